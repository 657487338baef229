"""Learning in idle time: one daemon thread that judges pairs, checks hits and compares answers.

Nothing here delays or fails a request: what a request leaves behind goes into a short queue, and
is dropped when that is full. Work begins when no model call of this process is in flight, and
gives way at the next token when one begins. The judge is asked once about a pair, and for one of
twenty requests at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import numpy as np

from aegis_llm.errors import EmbedTrouble, JudgeTrouble
from aegis_llm.learning import comparing
from aegis_llm.learning.allowance import Allowance
from aegis_llm.learning.ledger import Label, Labels, Source
from aegis_llm.learning.pairs import pair_id
from aegis_llm.plan import Judge as JudgeEffect
from aegis_llm.plan import Match, Opened, Rules
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.embedding import Embedding
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.judge import Judge
from aegis_llm.scheduler.notebook import Notebook
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from aegis_llm.scheduler.traffic import TRAFFIC, Traffic
from aegis_llm.storable import not_storable
from aegis_llm.values import Answer, Request
from aegis_llm.window import fits_window

log = logging.getLogger("aegis_llm")
_MOST_JOBS = 64
_MOST_JUDGED = 4_000
_TRIES = 3
_PAUSE_S = 0.1
_AFTER_TROUBLE_S = 30.0
_STARTING = JudgeTrouble("pairs_starting")


class Doubt(msgspec.Struct, frozen=True):
    """A pair of questions for the judge."""

    request: Request
    match: Match
    tries: int = 0


class Comparison(msgspec.Struct, frozen=True):
    """An answer from the cache to be compared with the model's own, which may have to be asked."""

    request: Request
    match: Match
    source: Source
    fresh: str | None = None
    tries: int = 0


Job: TypeAlias = Doubt | Comparison


class _GaveWayError(Exception):
    """A model call of a user began."""


class Learner:
    """What one cache learns from its own traffic; `drop` forgets a local copy by its key."""

    def __init__(
        self,
        rules: Rules,
        notebook: Notebook,
        judge: Judge,
        embedding: Embedding | None,
        pool: DaemonPool,
        drop: Callable[[str], None],
        *,
        traffic: Traffic = TRAFFIC,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._rules = rules
        self.notebook = notebook
        self._judge = judge
        self._embedding = embedding
        self._pool = pool
        self._drop = drop
        self._traffic = traffic
        self._pause = pause_s
        self._quiet = Quiet()
        self._judged: OrderedDict[str, None] = OrderedDict()
        self._differed: OrderedDict[str, int] = OrderedDict()
        self._allowance = Allowance()
        self._trouble_until = 0.0
        settings = rules.cache
        redis_s = (settings.redis_timeout_ms + settings.redis_connect_timeout_ms) / 1000
        self._patience = max(0.25, redis_s)
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Leave the work to the parent."""
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._working = False

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._working

    def recall(self) -> None:
        """Wait, at the first decision, until the verdicts of others are known."""
        if (loading := self.notebook.start()) is not None:
            wait(loading, self._patience, _STARTING)
        self._known()

    async def arecall(self) -> None:
        """Like `recall`, awaited."""
        if (loading := self.notebook.start()) is not None:
            await await_(loading, self._patience, _STARTING)
        self._known()

    def same(self, effect: JudgeEffect) -> bool:
        """Let the judge decide before serving, and remember its verdict."""
        with self._traffic.begin():
            same = self._judge.same(effect.request, effect.asked, effect.cached)
        self._found(effect.asked, effect.cached, effect.scope, same=same)
        return same

    async def asame(self, effect: JudgeEffect) -> bool:
        """Like `same`, awaited."""
        with self._traffic.begin():
            same = await self._judge.asame(effect.request, effect.asked, effect.cached)
        self._found(effect.asked, effect.cached, effect.scope, same=same)
        return same

    def opened(self, request: Request, opened: Opened) -> None:
        """Take in how a look-up ended."""
        with self._lock:
            self._allowance.seen()
        match = opened.match
        if match is None or not self._judge.knows(request.server):
            return
        if match.kind == "grey":
            if self._is_new(match):
                self._add(Doubt(request, match))
        elif match.kind == "served":
            share = self._rules.cache.check_hits
            if share and (self._rules.random() < share or self._in_doubt(match)):
                self._add(Comparison(request, match, "check"))

    def answered(self, opened: Opened, answers: tuple[Answer, ...]) -> None:
        """Take in what the model answered where the cache would have."""
        match, ticket = opened.match, opened.ticket
        if match is None or ticket is None or match.kind != "shadow":
            return
        if not not_storable(ticket.request, answers):
            self._add(Comparison(ticket.request, match, "shadow", answers[0].text))

    def refuse(self, asked: str, cached: str) -> None:
        """Never serve the answer to one question for the other again."""
        self.notebook.add_pair(asked, cached, "", "rejected")

    def wrong(self, entry_id: str) -> None:
        """Note that a user rejected an entry."""
        self.notebook.add_label(Label(entry_id, False, "reject", self._rules.now_ms()))

    def labels(self) -> Labels:
        """Return what the labels of this namespace say."""
        return self.notebook.labels()

    def _found(self, asked: str, cached: str, scope: str, *, same: bool) -> None:
        self.notebook.add_pair(asked, cached, scope, "approved" if same else "refused")

    def _known(self) -> None:
        if not self.notebook.loaded:
            raise JudgeTrouble("pairs_starting")

    def _is_new(self, match: Match) -> bool:
        """Return whether the judge may be asked about the pair, and was not of late."""
        name = self._name(match)
        with self._lock:
            if name in self._judged or not self._allowance.left:
                return False
            self._judged[name] = None
            while len(self._judged) > _MOST_JUDGED:
                self._judged.popitem(last=False)
            return True

    def _put_off(self, job: Job) -> None:
        """Let a pair that got no verdict be asked about another time."""
        if isinstance(job, Doubt):
            with self._lock:
                self._judged.pop(self._name(job.match), None)

    def _name(self, match: Match) -> str:
        learned = self._rules.learned
        return learned.name_of(match.asked, match.cached, match.entry.scope, "approved")

    def _allowed(self) -> bool:
        """Take one call of the judge's; False: there were too many for the traffic."""
        with self._lock:
            return self._allowance.take()

    def _add(self, job: Job) -> None:
        with self._lock:
            full = len(self._jobs) >= _MOST_JOBS
        if full:
            self._put_off(job)
            return
        with self._lock:
            self._jobs.append(job)
            if self._working:
                return
            self._working = True
        try:
            self._pool.submit(self._work)
        except BaseException:  # no thread can be started
            self._working = False
            raise

    def _work(self) -> None:
        try:
            while True:
                with self._lock:
                    if not self._jobs:
                        self._working = False
                        return
                self._traffic.wait_quiet(self._pause)
                with self._lock:
                    job = self._jobs.popleft()
                self._try(job)
        except BaseException:
            self._working = False
            raise

    def _try(self, job: Job) -> None:
        try:
            if isinstance(job, Doubt):
                self._doubt(job)
            else:
                self._compare(job)
        except _GaveWayError:
            if job.tries + 1 < _TRIES:
                with self._lock:
                    self._jobs.append(msgspec.structs.replace(job, tries=job.tries + 1))
            else:
                self._put_off(job)
        except Exception as exc:  # noqa: BLE001 - learning is never worth an error
            self._put_off(job)
            self._trouble_until = time.monotonic() + _AFTER_TROUBLE_S
            if self._quiet.may_say(f"{type(exc)}"):
                log.warning("learning from traffic pauses: %s", type(exc).__name__)

    def _doubt(self, job: Doubt) -> None:
        match = job.match
        if self._rules.learned.verdict(match.asked, match.cached, match.entry.scope):
            return  # it was found out meanwhile
        if not (self._may_ask() and self._allowed()):
            self._put_off(job)
            return
        same = self._judge.questions(job.request, match.asked, match.cached, self._going)
        self._gave_way(same)
        if same is not None:
            self._found(match.asked, match.cached, match.entry.scope, same=same)

    def _compare(self, job: Comparison) -> None:
        fresh = job.fresh
        if fresh is None:
            if not self._may_ask():
                return
            fresh = self._judge.again(job.request, self._going)
            self._gave_way(fresh)
            if fresh is None:
                return
        right = self._agree(job, job.match.entry.answer.text, fresh)
        if right is None:
            return
        match = job.match
        if not right:
            if self._differs(job):
                self.notebook.add_pair(match.asked, match.cached, match.entry.scope, "refused")
            self._drop(match.key)
        now = self._rules.now_ms()
        self.notebook.add_label(Label(match.entry.key, right, job.source, now))

    def _differs(self, job: Comparison) -> bool:
        """Note that two answers differ; return whether that is enough to refuse the pair."""
        pair = pair_id(job.match.asked, job.match.cached)
        with self._lock:
            seen = self._differed.pop(pair, 0) + 1
            enough = seen >= comparing.disagreements_needed(job.request)
            if not enough:
                self._differed[pair] = seen
                while len(self._differed) > _MOST_JUDGED:
                    self._differed.popitem(last=False)
            return enough

    def _in_doubt(self, match: Match) -> bool:
        """Return whether answers to the pair differed before, so that one more look decides."""
        return bool(self._differed) and pair_id(match.asked, match.cached) in self._differed

    def _agree(self, job: Comparison, served: str, fresh: str) -> bool | None:
        if comparing.equal(served, fresh):
            return True
        agree = self._near(served, fresh)
        asks = self._rules.cache.judge != "off" and self._judge.knows(job.request.server)
        if agree is None and asks and self._may_ask() and self._allowed():
            agree = self._judge.answers(job.request, job.match.asked, served, fresh, self._going)
            self._gave_way(agree)
        return agree

    def _near(self, served: str, fresh: str) -> bool | None:
        """Compare by embedding; None when there is no embedder or an answer is too long for it."""
        window = self._rules.cache.max_question_tokens
        if self._embedding is None or not all(
            text.strip() and fits_window(text, window) for text in (served, fresh)
        ):
            return None
        try:
            one, other = (
                np.frombuffer(self._embedding.embed(text), np.float32) for text in (served, fresh)
            )
        except EmbedTrouble:
            return None
        vetoes = self._rules.matcher.decide(served, fresh, 1.0).vetoes
        return comparing.by_similarity(float(one @ other), vetoes)

    def _may_ask(self) -> bool:
        return time.monotonic() >= self._trouble_until

    def _going(self) -> bool:
        return self._traffic.quiet

    def _gave_way(self, got: object) -> None:
        if got is None and not self._traffic.quiet:
            raise _GaveWayError
