"""Performs what plans ask for: one table of effects for blocking calls, one for awaited ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from aegis_llm import events, rejecting
from aegis_llm import plan as p
from aegis_llm.control import current_control
from aegis_llm.drivers import arun, run
from aegis_llm.errors import EmbedTrouble, NotCachedError
from aegis_llm.explaining import Explaining
from aegis_llm.learning.ledger import Labels
from aegis_llm.lookup import Lookup
from aegis_llm.metrics.registry import METRICS
from aegis_llm.metrics.snapshot import CacheState
from aegis_llm.names import Ids, names_given
from aegis_llm.ports import Store
from aegis_llm.quiet import Quiet
from aegis_llm.rejecting import Rejected
from aegis_llm.scheduler.digests import FIRST_WAIT_S, DigestBook
from aegis_llm.scheduler.embedding import Embedding
from aegis_llm.scheduler.flight import ALONE, Flights
from aegis_llm.scheduler.hits import HitBook
from aegis_llm.scheduler.judge import Judge
from aegis_llm.scheduler.learner import Learner
from aegis_llm.scheduler.notebook import Notebook
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.scheduler.recent import RecentHits
from aegis_llm.scheduler.rejections import Rejections, Removal
from aegis_llm.stores.local import LocalCopy
from aegis_llm.values import Origin, Request

log = logging.getLogger("aegis_llm")
_quiet = Quiet()


class Service(Explaining):
    """The cache of one configuration, for every adapter, thread and event loop of a process."""

    def __init__(
        self,
        *,
        rules: p.Rules,
        store: Store,
        local: LocalCopy,
        digests: DigestBook,
        embedding: Embedding | None,
        single_flight: bool = True,
    ) -> None:
        self.rules = rules
        self.store = store
        self.local = local
        self.digests = digests
        pool = DaemonPool("aegis-learn", 2)
        notebook = Notebook(rules.learned, store.notes, pool, rules.now_ms, store.publish)
        judge = Judge(digests.source, rules.cache.judge_model)
        self.learner = Learner(rules, notebook, judge, embedding, pool, local.delete)
        self.recent = RecentHits()
        rejecting.register(self)
        self._embedding = embedding
        self._single_flight = single_flight
        self.flights = Flights()
        self._rejections = Rejections(store, self.learner, self.recent, local.forget)
        self._sync: dict[type, Callable[[Any], Any]] = {
            p.Digest: self._digest,
            p.GetLocal: lambda e: None if store.doubtful else local.get(e.key),
            p.KeepLocal: lambda e: local.put(e.key, e.data, e.ttl_s, e.names, e.events),
            p.DropLocal: lambda e: local.delete(e.key),
            p.GetExact: lambda e: store.get(e.key),
            p.Drop: lambda e: store.delete(e.key),
            p.Join: lambda e: self.flights.join(e.key) if single_flight else ALONE,
            p.Settle: lambda e: e.flight.settle(e.entry),
            p.Embed: self._embed,
            p.Nearest: lambda e: store.nearest(e.scope, e.vector, e.count),
            p.Survey: store.survey,
            p.Put: store.put,
            p.Recall: lambda _: self.learner.recall(),
            p.Judge: self.learner.same,
        }
        self._async: dict[type, Callable[[Any], Any]] = {
            p.Digest: self._adigest,
            p.GetExact: lambda e: store.aget(e.key),
            p.Drop: lambda e: store.adelete(e.key),
            p.Join: lambda e: self.flights.ajoin(e.key),
            p.Embed: self._aembed,
            p.Nearest: lambda e: store.anearest(e.scope, e.vector, e.count),
            p.Survey: store.asurvey,
            p.Put: store.aput,
            p.Recall: lambda _: self.learner.arecall(),
            p.Judge: self.learner.asame,
        }
        if not single_flight:
            del self._async[p.Join]
        store.subscribe(self.heard)
        self.hits = HitBook(store.notes, rules.now_ms, rules.cache.ttl)
        METRICS.watch(self)

    def perform(self, effect: Any) -> Any:
        """Perform one effect, blocking."""
        return self._sync[type(effect)](effect)

    async def aperform(self, effect: Any) -> Any:
        """Like `perform`, awaited; what never blocks is the same call."""
        awaited = self._async.get(type(effect))
        if awaited is not None:
            return await awaited(effect)
        return self._sync[type(effect)](effect)

    def open(self, request: Request, stream: str = "") -> Lookup:
        """Look a request up; on a miss the caller generates and stores.

        `stream` is the adapter's name for a streamed request, since only readers of one adapter
        understand each other's chunks; empty for a whole answer.

        Raises:
            NotCachedError: Nothing cached, and `cache_control(only_if_cached=True)`.
        """
        started = time.perf_counter()
        kind = f"{stream}-sync" if stream else ""
        plan = p.open_plan(request, current_control(), self.rules, kind)
        try:
            opened = run(plan, self.perform)
            self._learn(request, opened)
        except BaseException as exc:  # noqa: BLE001 - a cache never costs an answer
            opened = _broken(exc, request, started)
        return Lookup(self, request, opened, started)

    async def aopen(self, request: Request, stream: str = "") -> Lookup:
        """Like `open`, awaited; the readers of one stream share an event loop."""
        started = time.perf_counter()
        kind = f"{stream}-async-{id(asyncio.get_running_loop())}" if stream else ""
        plan = p.open_plan(request, current_control(), self.rules, kind)
        try:
            opened = await arun(plan, self.aperform)
            self._learn(request, opened)
        except BaseException as exc:  # noqa: BLE001 - a cache never costs an answer
            opened = _broken(exc, request, started)
        return Lookup(self, request, opened, started)

    def remembers(self, entry_id: str) -> bool:
        """Return whether the entry answered by meaning here, not long ago."""
        return entry_id in self.recent

    def start_rejecting(self, rejected: Rejected) -> Removal:
        """Forget an entry, and what was wrong about it; see `aegis_llm.reject`."""
        return self._rejections.start(rejected)

    def reject(self, rejected: Rejected) -> bool:
        """Like `start_rejecting`; return whether the entry was removed.

        Raises:
            StoreTrouble: Redis could not be asked to; this process forgot the entry all the same.
        """
        return self._removed(self.start_rejecting(rejected).wait())

    async def areject(self, rejected: Rejected) -> bool:
        """Like `reject`, awaited."""
        return self._removed(await self.start_rejecting(rejected).await_())

    def _removed(self, done: bool) -> bool:
        if done:
            METRICS.checked("reject", right=False)
        return done

    def labels(self) -> Labels:
        """Return what the labels of this namespace say about its semantic hits."""
        return self.learner.labels()

    def state(self) -> CacheState:
        """Return what the metrics show of this cache; what Redis holds is as of the last look."""
        local = (len(self.local), self.local.size_bytes)
        embedder_open = self._embedding is not None and self._embedding.left_alone
        return self.hits.state(self.rules.cache, self.store, local, embedder_open=embedder_open)

    def _learn(self, request: Request, opened: p.Opened) -> None:
        match = opened.match
        if match is not None and match.kind == "served":
            self.recent.add(match)
        self.learner.opened(request, opened)

    def invalidate(
        self, document: Ids = None, tag: Ids = None, *, everything: bool = False
    ) -> int:
        """Remove the entries made from a document, or with a tag, in every process; count them.

        Raises:
            StoreTrouble: Redis did not do it: wrong answers may be left.
            ConfigError: Nothing was named, or something beside `everything`.
        """
        names = names_given(document, tag, everything=everything)
        if names:
            self.local.invalidate(names)
            return self.store.invalidate(names)
        self.store.renew()
        return 0

    async def ainvalidate(
        self, document: Ids = None, tag: Ids = None, *, everything: bool = False
    ) -> int:
        """Like `invalidate`, awaited."""
        names = names_given(document, tag, everything=everything)
        if names:
            self.local.invalidate(names)
            return await self.store.ainvalidate(names)
        await self.store.arenew()
        return 0

    def heard(self, event: bytes) -> None:
        """Do what an event of the namespace asks for."""
        told = events.decode(event)
        if isinstance(told, events.Invalidated):
            self.local.invalidate(told.names)
        elif isinstance(told, events.Renewed):
            self.local.clear()
            self.hits.forget()
        elif isinstance(told, events.Rejected):
            self.local.forget(told.entry_id)
            self.hits.forget(told.entry_id)
        elif isinstance(told, events.Refused):
            self.learner.notebook.heard(told.pairs)
        elif isinstance(told, events.Missed):
            self.local.distrust()
            self.learner.notebook.expire()

    def _digest(self, effect: p.Digest) -> str | None:
        server, model = effect.request.server, effect.request.model
        return self.digests.ask(server, model, FIRST_WAIT_S, keep=effect.keep)

    async def _adigest(self, effect: p.Digest) -> str | None:
        server, model = effect.request.server, effect.request.model
        return await self.digests.aask(server, model, FIRST_WAIT_S, keep=effect.keep)

    def _embed(self, effect: p.Embed) -> bytes:
        embedding = self._worth_it()
        self.learner.notebook.start()
        return embedding.embed(effect.question)

    async def _aembed(self, effect: p.Embed) -> bytes:
        embedding = self._worth_it()
        self.learner.notebook.start()
        return await embedding.aembed(effect.question)

    def _worth_it(self) -> Embedding:
        """Return the embedding, unless nothing could be found by its vectors."""
        if self._embedding is None:
            raise EmbedTrouble("no_embedder")
        if not self.store.searches:
            raise EmbedTrouble("no_query_engine")
        return self._embedding


def _broken(error: BaseException, request: Request, started: float) -> p.Opened:
    """Return a bypass: a cache never costs an answer; what ends the request is raised again."""
    if isinstance(error, NotCachedError) or not isinstance(error, Exception):
        METRICS.unanswered(request, error, started)
        raise error
    if _quiet.may_say(f"looking up {type(error)}"):
        log.error("the cache failed on a request, which goes to the model", exc_info=error)
    return p.Opened(Origin("bypass", "internal_error"))
