"""Sends a chat through the cache and the scheduler of this package, as an adapter does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import ollama

from aegis_llm.answering import Answering
from aegis_llm.bench.cleaning import sweep
from aegis_llm.bench.sending import Clock, Watch, what
from aegis_llm.bench.values import Sent
from aegis_llm.config import AegisConfig
from aegis_llm.control import cache_control
from aegis_llm.errors import AegisError
from aegis_llm.keys import request_from_body
from aegis_llm.ollama_client import LoopClient, OllamaModels
from aegis_llm.ollama_servers import fleet_of
from aegis_llm.ports import Embedder
from aegis_llm.scheduled_client import ScheduledAsyncClient
from aegis_llm.stores.redis import RedisStore
from aegis_llm.values import Answer
from aegis_llm.wiring import build

Same = Callable[[str, str], bool | None]
"""Whether two questions mean the same; None: not known."""
_SHOWN = 120
_TTL_S = 900


def bench_config(config: AegisConfig, namespace: str) -> AegisConfig:
    """Return the settings of a bench: entries of its own that go soon, and all of it from Redis.

    The copy in the process is off, so that a hit is what another process would have. So is the
    judge: it asks the model in idle time, and there is none in a measurement.
    """
    return config.with_options(
        namespace=namespace, ttl=_TTL_S, local_max_bytes=0, judge="off", check_hits=0.0
    )


class Through:
    """Through the package to an Ollama.

    Args:
        url: The server.
        config: Settings; see `bench_config`.
        embedder: For the semantic tier; None: exact repeats alone.
        same: Tells whether a hit was right.
        timeout_s: The longest that a request may take.
        login: Headers with which the server is asked.
    """

    def __init__(
        self,
        url: str,
        config: AegisConfig,
        embedder: Embedder | None,
        clock: Clock,
        same: Same,
        timeout_s: float,
        login: Mapping[str, str],
    ) -> None:
        options = {"headers": dict(login)}
        self._models = OllamaModels(url, options)
        self._place = (config.cache.redis_url or "memory://", config.cache.namespace)
        self._answering = Answering(build(config, embedder))
        self._answering.service.digests.register(self._models)
        first = ollama.AsyncClient(host=url, timeout=timeout_s, **options)
        client = LoopClient(
            lambda: ollama.AsyncClient(host=url, timeout=timeout_s, **options), first
        )
        self._http = first
        self._client = ScheduledAsyncClient([client], fleet_of([self._models], config.scheduler))
        self._clock = clock
        self._same = same

    def ready(self, timeout_s: float) -> str:
        """Connect to Redis; return why that does not work, empty when it does."""
        store = self._answering.service.store
        if isinstance(store, RedisStore):
            try:
                store.ready(timeout_s)
            except (AegisError, OSError) as exc:
                return str(exc)
        return ""

    async def send(self, body: Mapping[str, Any], blank: Sent, question: str = "") -> Sent:
        """Look a chat up, or have it answered and stored."""
        watch = Watch(self._clock(), self._clock)
        error = ""
        more: dict[str, Any] = {}
        try:
            request = request_from_body(body, server=self._models.server)
            with cache_control():
                lookup = await self._answering.service.aopen(request, "bench")
                if lookup.entry is not None:
                    watch.piece()
                    watch.done = True
                    lookup.reported()
                    stored = lookup.origin.matched_question or lookup.entry.question
                    more["right"] = None if stored is None else self._same(question, stored)
                else:
                    await self._read(lookup, body, watch)
            origin = lookup.origin
            more["outcome"] = f"{origin.outcome} {origin.reason}".strip()[:_SHOWN]
        except ollama.ResponseError as exc:
            error = f"refused: {exc.status_code} {exc.error[:_SHOWN]}"
        except (httpx.HTTPError, OSError) as exc:
            error = what(exc)
        except AegisError as exc:
            error = f"queue: {str(exc)[:_SHOWN]}"
        return watch.sent(blank, error, **more)

    async def _read(self, lookup: Any, body: Mapping[str, Any], watch: Watch) -> None:
        async def upstream() -> AsyncIterator[Any]:
            parts = await self._client.chat(**body, stream=True)
            async for part in parts:
                yield part

        async with contextlib.aclosing(
            self._answering.astream(lookup, upstream, _answers)
        ) as parts:
            async for part in parts:
                if part.message.content or part.message.thinking:
                    watch.piece()
                if part.done:
                    watch.end(part.model_dump())

    async def clear(self) -> None:
        """Delete what was stored, as far as Redis can be reached; the rest goes by its age."""
        self._answering.service.hits.forget()  # nor are hits written down afterwards
        with contextlib.suppress(AegisError, OSError):
            await self._answering.service.store.aclear()

    async def aclose(self) -> None:
        """Close the connections, and delete what else is left: a version, digests, an index."""
        await self._http.close()  # type: ignore[no-untyped-call]  # ollama's, untyped
        with contextlib.suppress(AegisError, OSError):
            await self._answering.service.store.aclose()
        await asyncio.to_thread(sweep, *self._place)


def _answers(parts: list[Any]) -> list[Answer]:
    if not parts or not parts[-1].done:
        return []
    last = parts[-1]
    return [
        Answer(
            text="".join(part.message.content or "" for part in parts),
            done_reason=last.done_reason,
            prompt_tokens=last.prompt_eval_count or 0,
            completion_tokens=last.eval_count or 0,
            duration_ms=(last.total_duration or 0) / 1e6,
        )
    ]
