"""How many requests a model answers at once, measured from the replies.

The server queues what is beyond its slots and says in each reply, though not in so many words, how
long that took (`Reply.wait_s`). So it is known when each request really began to run. Those that
ran at that moment are a lower bound of the slots; where a request began in the moment in which
another one ended, and nothing else held it up, they are the slots.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from aegis_llm.batching.jobs import Job, Reply

_REMEMBERED = 48
_LEAST_WAIT_S = 0.02
_TOLERANCE = 0.1  # share of a run by which its beginning may be off
_NEAR = 0.03  # share of a run within which its beginning is as good as another one's end
_QUICK_S = 0.01  # to read a prompt, too little to hold up the next one
_FIRST_PROBE = 16
_RAREST_PROBE = 64
_STREAK = 3
_ENOUGH = 6
_PATIENCE = 19
_LONG_WAIT_S = 0.1
_LONG_WAIT = 0.25  # share of a run from which on a wait is no mere overhead
_LOOKED_BACK = 48  # waits
_STRANGE = 4  # of them that nothing of ours explains


@dataclass(slots=True)
class _Run:
    """When one request was sent, began to run, had read its prompt and ended; what ran beside it.

    `beside` counts the request itself, and those that ended so far and ran when it began. It
    `shows` the slots if it began because another one ended, and `waited` if it did so for long.
    A wait is `explained` by a request of our own. `number` and `rank` are the job's; `came` is
    when the reply was there.
    """

    number: int
    rank: int
    came: float
    sent: float
    begun: float
    read: float
    ended: float
    beside: int = 1
    shows: bool = False
    waited: bool = False
    explained: bool = False

    @property
    def point(self) -> float:
        """A moment at which it had surely begun."""
        return self.begun + _TOLERANCE * (self.ended - self.begun)

    def ran_at(self, moment: float) -> bool:
        """Return whether it surely ran then."""
        return self.begun < moment < self.ended - _TOLERANCE * (self.ended - self.begun)


class Limit:
    """The slots of one model: given, or measured.

    Until they are measured any number may be in flight. Then one more than that is tried now and
    then while others wait, so that a server that came back with more slots is found out; one that
    came back with fewer shows by its waits. Where prompts take so long to read that slots stand
    still, their number shows nowhere: then it is guessed, as one more than were ever busy, and
    grows as soon as requests no longer wait. Where requests wait for those of others, who use the
    server as well, any number may be in flight: to hold back would only give others more.
    """

    def __init__(self, given: int | None = None) -> None:
        self.given = given
        self._measured: int | None = None
        self._runs: deque[_Run] = deque(maxlen=_REMEMBERED)
        self._unjudged: deque[_Run] = deque(maxlen=_REMEMBERED)
        self._flying: dict[int, float] = {}
        self._replies = 0
        self._since_probe = 0
        self._probe_after = _FIRST_PROBE
        self._probes: set[int] = set()
        self._step = 1
        self._streak = 0
        self._streak_since = 0.0
        self._guessed_at: int | None = None  # replies there were then
        self._strange: deque[bool] = deque(maxlen=_LOOKED_BACK)

    @property
    def shared(self) -> bool:
        """Whether others use the server at the same time."""
        return sum(self._strange) >= _STRANGE

    @property
    def slots(self) -> int | None:
        """The number of slots; None while it is not known."""
        return self._measured if self.given is None else self.given

    @property
    def measured(self) -> bool:
        """Whether the number was found out."""
        found = self._measured is not None and self._guessed_at is None
        return self.given is None and found

    def expect(self, slots: int) -> None:
        """Begin with a number that is known of the family of the model."""
        if self.given is None and self._measured is None:
            self._measured = slots

    def room(self, in_flight: int) -> bool:
        """Return whether one more may be sent."""
        slots = self.slots
        if slots is None or in_flight < slots:
            return True
        if self.given is None and self.shared:
            return True
        if self.given is not None or in_flight >= slots + self._step:
            return False
        due = self._since_probe >= self._probe_after
        return len(self._probes) < self._step if self._probes else due

    def sent(self, job: Job) -> None:
        """Note that a request was sent, as the `job.rank`-th in flight."""
        if self.given is not None:
            return
        self._flying[job.number] = job.sent
        if self._measured is not None and job.rank > self._measured and not self.shared:
            self._probes.add(job.number)
            self._since_probe = 0

    def lost(self, job: Job) -> None:
        """Note that a request ended without a reply that says anything."""
        self._flying.pop(job.number, None)
        self._probes.discard(job.number)

    def loaded(self) -> None:
        """Note that the model was loaded anew: it may have other slots."""
        self._probe_after = 1

    def doubt(self) -> None:
        """Note that the server went away, and may have come back with other slots.

        Then twice as many are tried at once, as long as that succeeds.
        """
        self._runs.clear()
        self._unjudged.clear()
        self._probes.clear()
        self._probe_after = 1
        self._step = self._measured or 1

    def ended(self, job: Job, reply: Reply, now: float) -> None:
        """Learn from a reply that has just come."""
        self._flying.pop(job.number, None)
        if self.given is not None:
            return
        self._since_probe += 1
        self._replies += 1
        run = _run(job, reply, now)
        for other in self._runs:
            run.beside += other.ran_at(run.point)
            other.beside += run.ran_at(other.point)
        run.shows = self._shows_slots(run, reply)
        run.waited = _waited(run, reply, _LONG_WAIT_S, _LONG_WAIT)
        run.explained = self._explains(run)
        self._runs.append(run)
        if self._measured is None:
            self._find(run)
            return
        if self._guessed_at is not None:
            self._refine(run, reply, self._measured)
        self._unjudged.append(run)
        oldest = next(iter(self._flying.values()), now)
        while self._unjudged and self._unjudged[0].came <= oldest:
            self._judge(self._unjudged.popleft(), self._measured)
        self._probes &= {*self._flying, *(one.number for one in self._unjudged)}

    def _find(self, run: _Run) -> None:
        seen = max(one.beside for one in self._runs)
        if self._is_sure(seen, self._replies):
            self._measured = seen
        elif self._replies >= _PATIENCE and run.rank > seen + 1:
            self._measured, self._guessed_at = seen + 1, self._replies

    def _refine(self, run: _Run, reply: Reply, slots: int) -> None:
        """Mend a guess: one more while requests do not wait, the very number once it shows."""
        since = self._replies - (self._guessed_at or 0)
        seen = max(one.beside for one in list(self._runs)[-since:])
        if self._is_sure(seen, since):
            self._measured, self._guessed_at = seen, None
        elif run.rank >= slots and not _waited(run, reply, _LEAST_WAIT_S, _TOLERANCE):
            self._measured = slots + 1

    def _is_sure(self, seen: int, replies: int) -> bool:
        """Return whether `seen` at once are all the slots, after so many replies."""
        # As long as fewer than twice as many have ended, those that still run may be more.
        return replies > 2 * seen and any(
            one.shows and one.beside == seen < one.rank for one in list(self._runs)[-replies:]
        )

    def _explains(self, run: _Run) -> bool:
        """Return whether one of our own requests that are over can be what it waited for."""
        near = max(2 * _LEAST_WAIT_S, _NEAR * (run.ended - run.begun))
        return any(
            abs(run.begun - other.ended) <= near or other.begun < run.begun <= other.read + near
            for other in self._runs
            if other is not run
        )

    def _shows_slots(self, run: _Run, reply: Reply) -> bool:
        """Return whether the request began because another one ended, and for no other reason.

        A wait alone says nothing: prompts are read one after the other, and each takes its time.
        """
        if not _waited(run, reply, _LEAST_WAIT_S, _TOLERANCE):
            return False
        busy = run.ended - run.begun
        least = max(_LEAST_WAIT_S, _TOLERANCE * busy)
        near = max(_LEAST_WAIT_S, _NEAR * busy)
        freed = any(
            -near / 4 <= run.begun - other.ended <= near and other.ended - run.sent > least / 2
            for other in self._runs
        )
        return freed and not any(
            other.begun < run.begun <= other.read + near and other.read - other.begun > _QUICK_S
            for other in self._runs
        )

    def _judge(self, run: _Run, slots: int) -> None:
        """Learn from a request beside which nothing runs any more that is not known."""
        if run.waited:
            # Those that were over before it was are forgotten by now, perhaps.
            self._strange.append(not (run.explained or self._explains(run)))
        if self.shared:
            self._probes.discard(run.number)
        elif run.number in self._probes:
            self._probes.discard(run.number)
            if run.beside > slots:
                self._measured = run.beside if self._step > 1 else slots + 1
                self._step = self._measured if self._step > 1 else 1
                self._probe_after = 1  # there may be more yet
            elif run.rank > slots:
                self._step = 1
                self._probe_after = min(_RAREST_PROBE, max(_FIRST_PROBE, 2 * self._probe_after))
        elif run.shows and run.beside < slots:
            self._fewer(run, slots)

    def _fewer(self, run: _Run, slots: int) -> None:
        """Note that a request waited although fewer than the slots were busy."""
        if not self._streak:
            self._streak_since = run.begun
        self._streak += 1
        fresh = [one for one in self._runs if one.begun >= self._streak_since]
        if self._streak < _STREAK or len(fresh) < _ENOUGH:
            return
        seen = max(one.beside for one in fresh)
        self._streak = 0
        if seen < slots:
            self._measured = seen
            self._probe_after = _FIRST_PROBE


def _waited(run: _Run, reply: Reply, least_s: float, share: float) -> bool:
    return reply.wait_s >= max(least_s, share * (run.ended - run.begun))


def _run(job: Job, reply: Reply, now: float) -> _Run:
    """Return when a request ran, by the server's clock if it tells the time, else by ours."""
    if reply.ended_at is not None:
        ended, sent = reply.ended_at, reply.ended_at - reply.total_s
    else:
        # A reader that pauses takes the last line late: the server had ended before.
        ended, sent = min(now, job.sent + reply.total_s + _LEAST_WAIT_S), job.sent
    begun = ended - reply.prefill_s - reply.decode_s
    return _Run(job.number, job.rank, now, sent, begun, begun + reply.prefill_s, ended)
