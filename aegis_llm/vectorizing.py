"""Vectors of texts for every adapter: kept in the store, computed together with other callers'."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aegis_llm import vectors as v
from aegis_llm.control import current_control
from aegis_llm.drivers import arun, run
from aegis_llm.errors import StoreTrouble
from aegis_llm.metrics.registry import METRICS, Call
from aegis_llm.ports import Store, VectorSource
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.digests import FIRST_WAIT_S, DigestBook
from aegis_llm.scheduler.underway import UnderWay
from aegis_llm.stores.local import LocalCopy
from aegis_llm.vectors.codec import unpack

log = logging.getLogger("aegis_llm")
_quiet = Quiet()


class VectorStore:
    """Where the vectors of one configuration are kept: here, and in the store.

    What is found in the store is kept here for at most `ttl_s`; how long it lives there yet is not
    asked.
    """

    def __init__(self, store: Store, local: LocalCopy, digests: DigestBook, ttl_s: float) -> None:
        self.store = store
        self.local = local
        self.digests = digests
        self._ttl_s = ttl_s

    def get(self, effect: v.GetVectors) -> tuple[dict[str, bytes], bool]:
        """Return the values there are by their keys, and whether the store was in trouble."""
        found = self._here(effect.keys)
        missing = [key for key in effect.keys if key not in found]
        if not missing or not effect.shared:
            return found, False
        try:
            return self._added(found, missing, self.store.get_many(missing)), False
        except Exception as exc:  # noqa: BLE001 - a cache never costs a vector
            return found, _trouble(exc)

    async def aget(self, effect: v.GetVectors) -> tuple[dict[str, bytes], bool]:
        """Like `get`, awaited."""
        found = self._here(effect.keys)
        missing = [key for key in effect.keys if key not in found]
        if not missing or not effect.shared:
            return found, False
        try:
            return self._added(found, missing, await self.store.aget_many(missing)), False
        except Exception as exc:  # noqa: BLE001
            return found, _trouble(exc)

    def keep(self, effect: v.KeepVectors) -> None:
        """Keep values here."""
        for put in effect.puts:
            self.local.put(put.key, put.data, put.ttl_ms / 1000)

    def put(self, effect: v.PutVectors) -> None:
        """Store values, if the store lets us."""
        try:
            self.store.put_many(effect.puts)
        except Exception as exc:  # noqa: BLE001
            _trouble(exc)

    async def aput(self, effect: v.PutVectors) -> None:
        """Like `put`, awaited."""
        try:
            await self.store.aput_many(effect.puts)
        except Exception as exc:  # noqa: BLE001
            _trouble(exc)

    def _here(self, keys: Sequence[str]) -> dict[str, bytes]:
        found = {key: data for key in keys if (data := self.local.get(key)) is not None}
        METRICS.embedded("hit_local", len(found))
        return found

    def _added(
        self, found: dict[str, bytes], keys: list[str], values: Sequence[bytes | None]
    ) -> dict[str, bytes]:
        for key, data in zip(keys, values, strict=True):
            if data is not None:
                found[key] = data
                self.local.put(key, data, self._ttl_s)
        METRICS.embedded("hit_exact", sum(data is not None for data in values))
        return found


class Gathers(Protocol):
    """Makes one request of what several callers want at the same time."""

    def call(self, item: Any) -> Any:
        """Return what became of one caller's texts; raise what is its own error."""

    async def acall(self, item: Any) -> Any:
        """Like `call`, awaited."""


class Vectorizing:
    """Embeds texts with one model on one server, for one configuration."""

    def __init__(
        self, kept: VectorStore, source: VectorSource, gathers: Gathers, rules: v.VectorRules
    ) -> None:
        self.kept = kept
        self.source = source
        self.gathers = gathers
        self._rules = rules
        self._work: UnderWay[str, v.Outcome] = UnderWay()
        self._sync: dict[type, Callable[[Any], Any]] = {
            v.Digest: self._digest,
            v.GetVectors: kept.get,
            v.KeepVectors: kept.keep,
            v.PutVectors: kept.put,
            v.Claim: lambda e: self._work.claim(e.texts, None),
            v.Send: lambda e: _computed(e, gathers.call(e.texts)),
            v.Wait: lambda e: _shared(self._work.wait(e.waiting)),
            v.Ask: lambda e: source.embed(e.texts, truncate=e.truncate),
        }
        self._async: dict[type, Callable[[Any], Any]] = {
            v.Digest: self._adigest,
            v.GetVectors: kept.aget,
            v.PutVectors: kept.aput,
            v.Send: self._asend,
            v.Wait: self._await,
            v.Ask: lambda e: source.aembed(e.texts, truncate=e.truncate),
        }

    def embed(self, texts: str | Sequence[str]) -> list[list[float]]:
        """Return the vectors of texts, in order.

        Raises:
            TextTooLongError: One of the texts is too long, and `truncate` is off.
            EmbeddingError: The server's reply holds no usable vectors.
            Exception: Whatever the server's client raises.
        """
        started = time.perf_counter()
        plan = v.embed_plan(_listed(texts), current_control(), self._rules)
        try:
            vectors = run(plan, self._perform)
        except BaseException as exc:
            self._told(started, type(exc).__name__)
            raise
        self._told(started)
        return [unpack(vector) for vector in vectors]

    async def aembed(self, texts: str | Sequence[str]) -> list[list[float]]:
        """Like `embed`, awaited."""
        started = time.perf_counter()
        plan = v.embed_plan(_listed(texts), current_control(), self._rules)
        try:
            vectors = await arun(plan, self._aperform)
        except BaseException as exc:
            self._told(started, type(exc).__name__)
            raise
        self._told(started)
        return [unpack(vector) for vector in vectors]

    def _told(self, started: float, error: str = "") -> None:
        if METRICS.listeners:
            seconds = time.perf_counter() - started
            METRICS.tell(Call("embeddings", "", self.source.model, seconds, error=error))

    def _perform(self, effect: Any) -> Any:
        return self._sync[type(effect)](effect)

    async def _aperform(self, effect: Any) -> Any:
        if type(effect) is v.Claim:
            return self._work.claim(effect.texts, asyncio.get_running_loop())
        awaited = self._async.get(type(effect))
        return self._sync[type(effect)](effect) if awaited is None else await awaited(effect)

    async def _asend(self, effect: v.Send) -> Any:
        return _computed(effect, await self.gathers.acall(effect.texts))

    async def _await(self, effect: v.Wait) -> Any:
        return _shared(await self._work.await_(effect.waiting))

    def _digest(self, _: v.Digest) -> str | None:
        source = self.source
        return self.kept.digests.ask(source.models.server, source.model, FIRST_WAIT_S)

    async def _adigest(self, _: v.Digest) -> str | None:
        source = self.source
        return await self.kept.digests.aask(source.models.server, source.model, FIRST_WAIT_S)


def batched(source: VectorSource) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what sends a batch of callers' texts, blocking and awaited."""

    def send(callers: Sequence[v.Texts]) -> list[Any]:
        plan = v.batch_plan(callers, cut=source.truncate)
        return run(plan, lambda e: source.embed(e.texts, truncate=e.truncate))

    async def asend(callers: Sequence[v.Texts]) -> list[Any]:
        plan = v.batch_plan(callers, cut=source.truncate)
        return await arun(plan, lambda e: source.aembed(e.texts, truncate=e.truncate))

    return send, asend


class Apart:
    """Sends what each caller wants by itself."""

    def __init__(self, source: VectorSource) -> None:
        self._send, self._asend = batched(source)

    def call(self, item: v.Texts) -> Any:
        """Return what became of one caller's texts."""
        return _result(self._send([item])[0])

    async def acall(self, item: v.Texts) -> Any:
        """Like `call`, awaited."""
        return _result((await self._asend([item]))[0])


def _computed(effect: v.Send, outcomes: Any) -> Any:
    METRICS.embedded("miss", len(effect.texts))
    return outcomes


def _shared(outcome: Any) -> Any:
    METRICS.embedded("coalesced", int(outcome is not None))
    return outcome


def _result(outcome: Any) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _listed(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _trouble(error: Exception) -> bool:
    """Return that there was trouble; a fault of ours is logged with its traceback."""
    if not isinstance(error, StoreTrouble) and _quiet.may_say(f"vectors {type(error)}"):
        log.error("the cache of vectors failed; they were computed all the same", exc_info=error)
    return True
