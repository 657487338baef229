"""How many requests a model answers at once, measured from the replies.

The server queues what is beyond its slots and says in each reply, though not in so many words, how
long that took (`Reply.wait_s`). So the times at which requests really ran are known: where a
request waited until another one ended, the requests that ran at that moment are the slots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aegis_llm.batching.jobs import Job, Reply

_REMEMBERED = 32
_LEAST_WAIT_S = 0.02
_TOLERANCE = 0.1
_NEAR = 0.03  # share of a run within which its beginning is as good as another one's end
_FIRST_PROBE = 16
_RAREST_PROBE = 256
_CONTRADICTIONS = 3
_ENOUGH = 6


@dataclass(slots=True)
class _Run:
    """When one request was sent, when it began to run, when it ended, what ran beside it."""

    sent: float
    begun: float
    ended: float
    beside: int = 1


class Limit:
    """The slots of one model: given, or measured.

    Until they are measured any number may be in flight. Then one more than that is tried now and
    then while others wait, so that a server that came back with more slots is found out; one that
    came back with fewer shows by its waits.
    """

    def __init__(self, given: int | None = None) -> None:
        self.given = given
        self._measured: int | None = None
        self._runs: deque[_Run] = deque(maxlen=_REMEMBERED)
        self._since_probe = 0
        self._probe_after = _FIRST_PROBE
        self._probe: Job | None = None
        self._waited = 0
        self._doubted_since: float | None = None

    @property
    def slots(self) -> int | None:
        """The number of slots; None while it is not known."""
        return self._measured if self.given is None else self.given

    @property
    def measured(self) -> bool:
        """Whether the number was found out."""
        return self.given is None and self._measured is not None

    def expect(self, slots: int) -> None:
        """Begin with a number that is known of the family of the model."""
        if self.given is None and self._measured is None:
            self._measured = slots

    def room(self, in_flight: int) -> bool:
        """Return whether one more may be sent."""
        slots = self.slots
        if slots is None or in_flight < slots:
            return True
        if self.given is not None or in_flight > slots or self._probe is not None:
            return False
        return self._since_probe >= self._probe_after

    def sent(self, job: Job) -> None:
        """Note that a request was sent, as the `job.rank`-th in flight."""
        slots = self.slots
        if self.given is None and slots is not None and job.rank > slots:
            self._probe = job
            self._since_probe = 0

    def lost(self, job: Job) -> None:
        """Note that a request ended without a reply that says anything."""
        if self._probe is job:
            self._probe = None

    def doubt(self) -> None:
        """Note that the server went away, and may have come back with other slots."""
        self._runs.clear()
        self._probe_after = 1

    def ended(self, job: Job, reply: Reply, now: float) -> None:
        """Learn from a reply that has just come."""
        if self.given is not None:
            return
        self._since_probe += 1
        busy = reply.prefill_s + reply.decode_s
        # A reader that pauses takes the last line late: the server had ended before.
        ended = min(now, job.sent + reply.total_s + _LEAST_WAIT_S)
        run = _Run(job.sent, ended - busy, ended)
        trim = _TOLERANCE * busy
        for other in self._runs:
            if (
                run.begun + trim
                < other.begun + _TOLERANCE * (other.ended - other.begun)
                < run.ended
            ):
                other.beside += 1
            if other.begun < run.begun + trim < other.ended:
                run.beside += 1
        waited = self._waited_for_another(run, reply, busy)
        self._runs.append(run)
        self._judge(job, run, waited=waited)

    def _waited_for_another(self, run: _Run, reply: Reply, busy: float) -> bool:
        """Return whether the request began to run when another one ended, and not before.

        A wait alone says nothing: prompts are read one after the other, and each takes its time.
        """
        least = max(_LEAST_WAIT_S, _TOLERANCE * busy)
        if reply.wait_s < least:
            return False
        near = max(_LEAST_WAIT_S, _NEAR * busy)
        return any(
            run.begun - near <= other.ended <= run.begun + near
            and other.ended - run.sent - reply.load_s > least / 2
            for other in self._runs
        )

    def _judge(self, job: Job, run: _Run, *, waited: bool) -> None:
        slots = self._measured
        probed = job is self._probe
        if probed:
            self._probe = None
        if slots is None:
            seen = self._most(lambda _: True)
            if waited and job.rank > seen:
                self._measured = seen
            return
        if probed:
            self._note_probe(slots, waited=waited)
        elif waited and job.rank <= slots:
            self._note_contradiction(run, slots)

    def _note_probe(self, slots: int, *, waited: bool) -> None:
        if not waited and self._most(lambda _: True) > slots:
            self._measured = slots + 1
            self._probe_after = 1  # there may be more yet
        else:
            self._probe_after = min(_RAREST_PROBE, max(_FIRST_PROBE, 2 * self._probe_after))

    def _note_contradiction(self, run: _Run, slots: int) -> None:
        """Learn that a request waited although fewer than the slots were in flight."""
        if self._doubted_since is None or run.sent - self._doubted_since > 60.0:
            self._doubted_since, self._waited = run.sent, 0
        self._waited += 1
        since = self._doubted_since
        fresh = [one for one in self._runs if one.begun >= since]
        if self._waited >= _CONTRADICTIONS and len(fresh) >= _ENOUGH:
            seen = self._most(lambda one: one.begun >= since)
            if seen < slots:
                self._measured = seen
                self._probe_after = _FIRST_PROBE
            self._doubted_since = None

    def _most(self, of: Callable[[_Run], bool]) -> int:
        return max((one.beside for one in self._runs if of(one)), default=1)
