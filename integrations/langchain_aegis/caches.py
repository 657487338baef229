"""AegisCache: a LangChain cache in Redis, exact and by meaning, for any LangChain model."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import Generation

from aegis_llm.config import OPTION_NAMES, AegisConfig, unknown_option
from aegis_llm.control import cache_control, current_control
from aegis_llm.explanation import Explanation
from aegis_llm.feedback import Feedback
from aegis_llm.invalidating import Invalidating
from aegis_llm.lookup import Lookup
from aegis_llm.service import Service
from aegis_llm.values import Answer, Control, Request
from aegis_llm.wiring import build, say_once, say_unjudged
from langchain_aegis._documents import documents_of_surroundings, listen
from langchain_aegis._embedder import LangChainEmbedder
from langchain_aegis._explaining import looked_up, unexplained
from langchain_aegis._fingerprint import identified
from langchain_aegis._generations import UnstorableError, answers_of, generations_of
from langchain_aegis._identity import kind_of, messages_of, why_exact

log = logging.getLogger("aegis_llm")
M = TypeVar("M")
_PENDING_BYTES = 16_000_000
"""What the requests of misses may take that no update has followed yet."""
_OVERHEAD = 4_000  # bytes of one such request beside its texts
_NO_IDENTITY = (
    "a model without a name in its identity (ChatOllama and OllamaLLM have none) is not cached, "
    "because one model's answer would be served for another: use ChatAegis, or cache.bind(llm)"
)


class _Missed(NamedTuple):
    """A lookup that found nothing, how many updates may follow, and its size in bytes."""

    lookup: Lookup
    updates: int
    size: int


class AegisCache(Feedback, Invalidating, BaseCache):
    """A cache for `set_llm_cache(...)` or a model's `cache=`; sync and async for real.

    LangChain asks a cache on `invoke` and `batch`, never on `stream`; `ChatAegis` does both, and
    is left alone by a global AegisCache. Redis down, hung or full is a miss, never an exception.

    Raises:
        ConfigError: An option does not exist or its value is not usable.
    """

    def __init__(
        self,
        *,
        redis_url: str | None = None,
        embeddings: Embeddings | None = None,
        config: AegisConfig | None = None,
        **options: Any,
    ) -> None:
        for name in options:
            if name not in OPTION_NAMES:
                raise unknown_option(name)
        if redis_url is not None:
            options["redis_url"] = redis_url
        # A lookup here is not followed by an update when the model fails: nobody may wait for one.
        settings = (config or AegisConfig()).with_options(**options, single_flight=False)
        embedder = None
        if embeddings is not None:
            embedder = LangChainEmbedder(embeddings, settings.cache.embedding_id)
        self._service = build(settings, embedder)
        say_unjudged(settings.cache, "AegisCache")
        listen()
        self._lock = threading.Lock()
        self._pending: OrderedDict[tuple[bytes, Control], _Missed] = OrderedDict()
        self._pending_bytes = 0

    def __repr__(self) -> str:
        return f"AegisCache(namespace={self._service.rules.cache.namespace!r})"

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Return the cached generations of a prompt, or None."""
        request = _request(prompt, llm_string)
        if request is None:
            return None
        return self._found(self._service.open(request), prompt, llm_string)

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Like `lookup`, awaited."""
        request = _request(prompt, llm_string)
        if request is None:
            return None
        return self._found(await self._service.aopen(request), prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Store the generations of a prompt, if they are complete."""
        answers = _answers(return_val)
        request = _request(prompt, llm_string)
        if request is None or not answers:
            return
        asked = lookup = self._asked(prompt, llm_string)
        if lookup is None:
            with cache_control(refresh=True, only_if_cached=False):
                lookup = self._service.open(request)
        lookup.store(*answers)
        if asked is not None:
            asked.told()

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Like `update`, awaited."""
        answers = _answers(return_val)
        request = _request(prompt, llm_string)
        if request is None or not answers:
            return
        asked = lookup = self._asked(prompt, llm_string)
        if lookup is None:
            with cache_control(refresh=True, only_if_cached=False):
                lookup = await self._service.aopen(request)
        await lookup.astore(*answers)
        if asked is not None:
            asked.told()

    def clear(self, **kwargs: Any) -> None:
        """Delete every entry of the namespace; raises `StoreTrouble` when Redis is down."""
        self._service.local.clear()
        self._service.store.clear()

    async def aclear(self, **kwargs: Any) -> None:
        """Like `clear`, awaited."""
        self._service.local.clear()
        await self._service.store.aclear()

    @property
    def _cached_by(self) -> Service:
        return self._service

    def explain(self, input: LanguageModelInput, llm: BaseChatModel | str) -> Explanation:
        """Tell what this cache would do with `llm.invoke(input)` and why, without a model call.

        In place of a model, `llm` may be the llm string that LangChain hands to `lookup`, and
        `input` then is the prompt of the same call. Trouble with Redis or the embedder is told,
        never raised.
        """
        prompt, llm_string = looked_up(input, llm)
        request = _request(prompt, llm_string)
        return _left_alone(llm_string) if request is None else self._service.explain(request)

    async def aexplain(self, input: LanguageModelInput, llm: BaseChatModel | str) -> Explanation:
        """Like `explain`, awaited."""
        prompt, llm_string = looked_up(input, llm)
        request = _request(prompt, llm_string)
        if request is None:
            return _left_alone(llm_string)
        return await self._service.aexplain(request)

    def bind(self, llm: M) -> M:
        """Return a copy of any LangChain model that uses this cache under its own identity.

        For models on Ollama prefer `ChatAegis`, which also knows the digest and caches streams.
        """
        return identified(llm, self)

    def _found(self, lookup: Lookup, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        if lookup.entry is not None:
            try:
                found = generations_of(lookup.entry, lookup.origin)
            except (ValueError, TypeError):  # a value that was not written by us
                lookup.alone("unreadable_entry")
                lookup.reported()
                return None
            lookup.reported()
            return found
        lookup.reported(late=True)  # the model has yet to answer
        key = (_hash(prompt, llm_string), current_control())
        size = _OVERHEAD + 2 * (len(prompt) + len(llm_string))
        with self._lock:
            known = self._pending.pop(key, None)
            if known is not None:
                self._pending_bytes -= known.size
            count = 1 if known is None else known.updates + 1
            self._pending[key] = _Missed(lookup, count, size)
            self._pending_bytes += size
            while self._pending_bytes > _PENDING_BYTES:
                self._pending_bytes -= self._pending.popitem(last=False)[1].size
        return None

    def _asked(self, prompt: str, llm_string: str) -> Lookup | None:
        """Return the lookup that the update follows, so that a miss embeds once."""
        key = (_hash(prompt, llm_string), current_control())
        with self._lock:
            known = self._pending.pop(key, None)
            if known is None:
                return None
            if known.updates > 1:
                self._pending[key] = known._replace(updates=known.updates - 1)
            else:
                self._pending_bytes -= known.size
            return known.lookup


def _hash(prompt: str, llm_string: str) -> bytes:
    told = f"{len(prompt)}:{prompt}{llm_string}"
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()


def _request(prompt: str, llm_string: str) -> Request | None:
    kind = kind_of(llm_string)
    if kind == "aegis":
        return None
    if kind == "unnamed":
        say_once(_NO_IDENTITY)
        return None
    exact = why_exact(llm_string)
    messages = messages_of(prompt)
    if messages is None:
        messages = ({"role": "user", "content": prompt},)
    documents, since = documents_of_surroundings()
    return Request(
        model="",
        messages=messages,
        identity=llm_string,
        exact_only=exact,
        documents=documents,
        since=since,
        framework="langchain",
    )


def _left_alone(llm_string: str) -> Explanation:
    return unexplained("chat_aegis" if kind_of(llm_string) == "aegis" else "model_unnamed")


def _answers(generations: RETURN_VAL_TYPE) -> list[Answer]:
    try:
        return answers_of(generations)
    except UnstorableError as exc:
        say_once(f"an answer was served and not stored: {exc}")
        return []
