"""AegisQueryEngine: a query engine that answers a question again before it retrieves."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.response.schema import RESPONSE_TYPE, Response
from llama_index.core.instrumentation.span import active_span_id
from llama_index.core.schema import NodeWithScore, QueryBundle

from aegis_llm.config import AegisConfig
from aegis_llm.control import Surroundings, cache_control
from aegis_llm.errors import ConfigError
from aegis_llm.feedback import Feedback
from aegis_llm.fingerprint import Teller
from aegis_llm.invalidating import Invalidating
from aegis_llm.lookup import Lookup
from aegis_llm.plan import UNREADABLE
from aegis_llm.quiet import Quiet
from aegis_llm.replay import pieces
from aegis_llm.service import Service
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import connect, say_once, say_unjudged, whole_config
from llama_index.llms.aegis._documents import heard_by, listen
from llama_index.llms.aegis._embedder import LlamaIndexEmbedder
from llama_index.llms.aegis._events import tell_dispatcher
from llama_index.llms.aegis._responses import response_of
from llama_index.llms.aegis._streamed import (
    afollowed_by,
    aparts_of,
    aresponse_from,
    astreamed,
    followed_by,
    joined,
    parts_of,
    response_from,
    streamed,
    streams,
)
from llama_index.llms.aegis._structure import Structure
from llama_index.llms.aegis._watch import Watch

log = logging.getLogger("aegis_llm")
_quiet = Quiet()
_STREAM = "llama-index-query"
_LOCAL = (
    "AegisQueryEngine: the index behind the engine has no name that another process could know, "
    "so its answers are found by this process only; AegisQueryEngine(..., name='...') shares them"
)


class AegisQueryEngine(Feedback, Invalidating, BaseQueryEngine):
    """Wraps any query engine; a hit skips the retrieval and the model.

    The entry is stored with the documents that were retrieved for it, and dies with them. What
    the engine is made of belongs to the key, as it is when this is constructed. A streaming engine
    streams from the cache, too. Structured answers are served and not stored. When Redis is down,
    hung or full, the engine answers as it would without this.

    Args:
        engine: The query engine to cache.
        name: Names the engine instead of what it is made of. Change it with every change of the
            engine: two engines of one name share their answers.
        redis_url: Where answers are kept; see `CacheConfig.redis_url`.
        embed_model: Embeds questions; without it only exact repeats are served.
        aegis: All other settings; what is given here wins over it.
        options: Settings by their names, for example `namespace` or `ttl`.

    Raises:
        ConfigError: An option does not exist or is not usable, or the engine holds what cannot be
            told apart from another (a connection in a function, ...) and has no `name`.
    """

    def __init__(
        self,
        engine: BaseQueryEngine,
        *,
        name: str | None = None,
        redis_url: str | None = None,
        embed_model: BaseEmbedding | None = None,
        aegis: AegisConfig | None = None,
        **options: Any,
    ) -> None:
        config = whole_config(aegis, redis_url, options)
        if name is not None and (type(name) is not str or not name):
            msg = f"AegisQueryEngine(name={name!r}): give a text that is not empty"
            raise ConfigError(msg)
        super().__init__(callback_manager=engine.callback_manager)
        listen()
        embedder = None
        if embed_model is not None:
            embedder = LlamaIndexEmbedder(embed_model, config.cache.embedding_id)
        else:
            say_once("no embed_model given: only exact repeats are answered from the cache")
        self.cached_engine = engine
        self._name = name
        say_unjudged(config.cache, "AegisQueryEngine")
        self._answering = connect(config, embedder)
        self._identify()

    def connect_now(self, timeout: float = 5.0) -> None:
        """Connect to Redis now (starting a private one) instead of at the first request.

        Raises:
            StoreTrouble: Redis does not answer within `timeout` seconds.
        """
        self._answering.service.store.ready(timeout)

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Retrieve as the engine does, past the cache."""
        return self.cached_engine.retrieve(query_bundle)

    def synthesize(self, *args: Any, **kwargs: Any) -> RESPONSE_TYPE:
        """Synthesize as the engine does, past the cache."""
        return self.cached_engine.synthesize(*args, **kwargs)

    async def asynthesize(self, *args: Any, **kwargs: Any) -> RESPONSE_TYPE:
        """Like `synthesize`, awaited."""
        return await self.cached_engine.asynthesize(*args, **kwargs)

    def update_prompts(self, prompts_dict: dict[str, Any]) -> None:
        """Update the engine's prompts; with others it answers anew."""
        self.cached_engine.update_prompts(prompts_dict)
        self._identify()

    def get_prompts(self) -> dict[str, Any]:
        """Return the engine's prompts."""
        return self.cached_engine.get_prompts()

    def _get_prompt_modules(self) -> dict[str, Any]:
        return self.cached_engine._get_prompt_modules()

    @property
    def _cached_by(self) -> Service:
        return self._answering.service

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        listen()
        request, watch = self._request(query_bundle), Watch()

        def generate() -> RESPONSE_TYPE:
            with heard_by(watch):
                return self.cached_engine.query(replace(query_bundle))

        lookup, kept = self._looked_up(request)
        if kept is not None:
            return kept
        if streams(self.cached_engine):
            return self._streamed(lookup, watch, generate)
        answers_of = partial(_answers, lookup, watch)
        response: RESPONSE_TYPE = self._answering.computed(lookup, generate, answers_of)
        tell_dispatcher(lookup.origin)
        return response

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        listen()
        request, watch = self._request(query_bundle), Watch()

        async def generate() -> RESPONSE_TYPE:
            with heard_by(watch):
                return await self.cached_engine.aquery(replace(query_bundle))

        lookup, kept = await self._alooked_up(request)
        if kept is not None:
            return kept
        if streams(self.cached_engine):
            return await self._astreamed(lookup, watch, generate)
        answers_of = partial(_answers, lookup, watch)
        response: RESPONSE_TYPE = await self._answering.acomputed(lookup, generate, answers_of)
        tell_dispatcher(lookup.origin)
        return response

    def _looked_up(self, request: Request) -> tuple[Lookup, RESPONSE_TYPE | None]:
        """Return the look-up, and what is in its entry: None also where that cannot be read."""
        stream = _STREAM if streams(self.cached_engine) else ""
        lookup = self._answering.service.open(request, stream=stream)
        if lookup.entry is None:
            return lookup, None
        kept = _replayed(lookup)
        if kept is not None:
            lookup.reported()
            tell_dispatcher(lookup.origin)
            return lookup, streamed(kept, pieces(kept.response or "")) if stream else kept
        with cache_control(refresh=True):
            lookup = self._answering.service.open(request, stream=stream)
        lookup.alone(UNREADABLE)
        return lookup, None

    async def _alooked_up(self, request: Request) -> tuple[Lookup, RESPONSE_TYPE | None]:
        """Like `_looked_up`, awaited."""
        stream = _STREAM if streams(self.cached_engine) else ""
        lookup = await self._answering.service.aopen(request, stream=stream)
        if lookup.entry is None:
            return lookup, None
        kept = _replayed(lookup)
        if kept is not None:
            lookup.reported()
            tell_dispatcher(lookup.origin)
            return lookup, astreamed(kept, pieces(kept.response or "")) if stream else kept
        with cache_control(refresh=True):
            lookup = await self._answering.service.aopen(request, stream=stream)
        lookup.alone(UNREADABLE)
        return lookup, None

    def _streamed(
        self, lookup: Lookup, watch: Watch, generate: Callable[[], RESPONSE_TYPE]
    ) -> RESPONSE_TYPE:
        span_id = active_span_id.get()
        parts = self._answering.stream(
            lookup, lambda: parts_of(generate, watch), partial(_streamed_answers, lookup, watch)
        )
        told = followed_by(parts, lambda: tell_dispatcher(lookup.origin, span_id))
        return response_from(told, Surroundings())

    async def _astreamed(
        self, lookup: Lookup, watch: Watch, generate: Callable[[], Awaitable[RESPONSE_TYPE]]
    ) -> RESPONSE_TYPE:
        span_id = active_span_id.get()
        parts = self._answering.astream(
            lookup, lambda: aparts_of(generate, watch), partial(_streamed_answers, lookup, watch)
        )
        told = afollowed_by(parts, lambda: tell_dispatcher(lookup.origin, span_id))
        return await aresponse_from(told, Surroundings())

    def _request(self, asked: QueryBundle) -> Request:
        return Request(
            model="",
            messages=({"role": "user", "content": asked.query_str},),
            params={"inputs": [asked.custom_embedding_strs, asked.embedding, asked.image_path]},
            identity=self._identity,
            uses=self._uses,
            framework="llama_index",
            operation="invoke_workflow",
        )

    def _identify(self) -> None:
        """Note what the engine does and which models it uses."""
        structure, name = Structure(), self._name
        try:
            told = f"engine {Teller(structure).fingerprint(self.cached_engine)}"
        except Exception as exc:
            if name is None:
                msg = (
                    f"AegisQueryEngine cannot tell this engine from another: {exc}; give it a "
                    'name, AegisQueryEngine(engine, name="handbook-v1"), and another one when the '
                    "engine changes"
                )
                raise ConfigError(msg) from exc
            told = ""
        if name is None and structure.local:
            say_once(_LOCAL)
        self._identity = told if name is None else f"engine named {name}"
        self._uses = tuple(sorted(structure.sources))
        for source in structure.sources.values():
            self._answering.service.digests.register(source)


def _answers(lookup: Lookup, watch: Watch, response: RESPONSE_TYPE) -> list[Answer]:
    return watch.answers(lookup, lambda: response)


def _streamed_answers(lookup: Lookup, watch: Watch, parts: list[Any]) -> list[Answer]:
    return watch.answers(lookup, lambda: joined(parts)) if watch.ended else []


def _replayed(lookup: Lookup) -> Response | None:
    """Return what a hit holds; None when it was not written by us."""
    if lookup.entry is None:
        return None
    try:
        return response_of(lookup.entry.answer)
    except Exception as exc:  # noqa: BLE001 - the engine answers instead
        if _quiet.may_say(f"replaying {type(exc)}"):
            log.warning("an entry could not be replayed; the engine is asked: %s", type(exc))
        return None
