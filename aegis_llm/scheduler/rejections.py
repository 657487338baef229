"""Taking back an answer: at once in this process, then in the store, in a thread of its own.

Whoever rejects waits for the removal, and for what follows it (telling the other processes,
writing down the pair) as long as the patience lasts: what is late is done later all the same.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future

from aegis_llm import codec, events
from aegis_llm.errors import StoreTrouble
from aegis_llm.ports import Store
from aegis_llm.rejecting import Rejected
from aegis_llm.scheduler.learner import Learner
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from aegis_llm.scheduler.recent import RecentHits

PATIENCE_S = 5.0
_LONGEST_S = 30.0  # a removal looks through all keys; each reply of Redis has a limit of its own
_HUNG = StoreTrouble("redis_timeout")


class Removal:
    """A rejection under way."""

    def __init__(self) -> None:
        self.removed: Future[bool] = Future()
        self.rest: Future[None] = Future()
        self._until = time.monotonic() + PATIENCE_S

    def wait(self) -> bool:
        """Return whether the entry was removed.

        Raises:
            StoreTrouble: The store could not be asked to.
        """
        try:
            removed: bool = wait(self.removed, _LONGEST_S, _HUNG)
        finally:
            with contextlib.suppress(StoreTrouble):
                wait(self.rest, self._left(), _HUNG)
        return removed

    async def await_(self) -> bool:
        """Like `wait`, awaited."""
        try:
            removed: bool = await await_(self.removed, _LONGEST_S, _HUNG)
        finally:
            with contextlib.suppress(StoreTrouble):
                await await_(self.rest, self._left(), _HUNG)
        return removed

    def _left(self) -> float:
        return max(0.0, self._until - time.monotonic())


class Rejections:
    """Forgets entries that users rejected; `forget` drops them from the local copy."""

    def __init__(
        self,
        store: Store,
        learner: Learner,
        recent: RecentHits,
        forget: Callable[[str], None],
    ) -> None:
        self._store = store
        self._learner = learner
        self._recent = recent
        self._forget = forget
        self._pool = DaemonPool("aegis-reject", 2, give_up_s=PATIENCE_S)

    def start(self, rejected: Rejected) -> Removal:
        """Forget the entry and the pair here, and begin to do so in the store."""
        known = self._refuse(rejected)
        if known:
            self._learner.wrong(rejected.entry_id)
        removal = Removal()
        self._pool.submit(self._remove, rejected, known, removal)
        return removal

    def _remove(self, rejected: Rejected, known: bool, removal: Removal) -> None:
        values: list[bytes] = []
        try:
            values = self._store.notes.remove(rejected.entry_id)
        except BaseException as exc:  # noqa: BLE001 - it belongs to whoever waits
            removal.removed.set_exception(exc)
        else:
            self._learn(rejected, known, values)
        try:
            self._forget(rejected.entry_id)  # what was put there meanwhile
            if values or removal.removed.done():
                with contextlib.suppress(StoreTrouble):  # their copies end by their age
                    self._store.publish(events.encode(events.Rejected(rejected.entry_id)))
            if not removal.removed.done():
                removal.removed.set_result(bool(values))
            self._learner.notebook.flush()
        finally:
            removal.rest.set_result(None)

    def _refuse(self, rejected: Rejected) -> bool:
        """Forget an entry here; return whether it answered by meaning."""
        self._forget(rejected.entry_id)
        hits = self._recent.of(rejected.entry_id) if rejected.outcome != "hit_exact" else []
        same = [hit for hit in hits if hit.similarity == rejected.similarity]
        for hit in same or hits:
            self._learner.refuse(hit.asked, hit.cached)
        if rejected.asked and hits:
            self._learner.refuse(rejected.asked, hits[0].cached)
        self._recent.forget(rejected.entry_id)
        return bool(hits)

    def _learn(self, rejected: Rejected, known: bool, values: list[bytes]) -> None:
        for entry in filter(None, map(codec.decode, values[:1])):
            if rejected.asked and entry.question:
                self._learner.refuse(rejected.asked, entry.question)
        if values and rejected.asked and not known:
            self._learner.wrong(rejected.entry_id)
