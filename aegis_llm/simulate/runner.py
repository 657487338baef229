"""One loaded model: its queue, the prompts it reads and the answers it writes."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from aegis_llm.batching.jobs import Reply
from aegis_llm.simulate.jobs import Job
from aegis_llm.simulate.slots import PrefixSlots

_NEVER = float("inf")


class Visit:
    """A request at a server, and when it got how far.

    Its prompt is read from `read_at` to `write_at`; the first token is there at `first_at`.
    """

    __slots__ = (
        "first_at", "job", "loaded_at", "read_at", "sent_at", "slot", "started_at", "to_read",
        "write_at",
    )  # fmt: skip

    def __init__(self, job: Job, now: float) -> None:
        self.job = job
        self.slot = self.to_read = 0
        self.sent_at = self.loaded_at = self.started_at = now
        self.read_at = self.write_at = self.first_at = now

    def reply(self, now: float) -> Reply:
        """Return what the last line of its answer says."""
        load, prefill = self.loaded_at - self.sent_at, self.write_at - self.read_at
        decode = now - self.write_at
        wait = now - self.sent_at - load - prefill - decode
        job = self.job
        return Reply(load, prefill, decode, wait, job.prompt_tokens, job.output_tokens)


class Runner:
    """One loaded model. Between two happenings all its speeds are constant.

    Prompts are read one after the other; the answers being written all go at the same speed, so
    one count of `written` tokens tells when each of them ends.

    Args:
        slots: Its slots.
        rates: Answer tokens a second of a slot, by the number of slots that write.
        prefill: Prompt tokens a second.
        num_batch: Prompt tokens of one step; 0: reading does not slow writing.
    """

    __slots__ = (
        "_due_read", "_left", "_num_batch", "_number", "_prefill", "_rates", "_read_rate",
        "_reading", "_sharing", "_write_rate", "_writing", "_written", "at", "expires_at",
        "slots", "uses", "version", "waiting", "working",
    )  # fmt: skip

    def __init__(
        self, slots: PrefixSlots, rates: list[float], prefill: float, num_batch: int
    ) -> None:
        self.slots = slots
        self.waiting: deque[Visit] = deque()
        self.uses = 0
        self.expires_at = _NEVER
        self.version = 0
        self.working = False
        self.at = 0.0
        self._rates = rates
        self._prefill = prefill
        self._num_batch = num_batch
        self._reading: deque[Visit] = deque()
        self._writing: list[tuple[float, int, Visit]] = []
        self._left = 0.0
        self._written = 0.0
        self._read_rate = self._write_rate = 0.0
        self._due_read = False
        self._sharing = 1
        self._number = 0

    @property
    def has_work(self) -> bool:
        """Whether a slot is busy."""
        return bool(self._reading or self._writing)

    def advance(self, now: float) -> None:
        """Let the time pass until `now`; call it before anything changes."""
        passed = now - self.at
        self.at = now
        if passed > 0:
            if self._reading:
                self._left -= passed * self._read_rate
            if self._writing:
                self._written += passed * self._write_rate

    def start(self, visit: Visit, now: float) -> None:
        """Give the request a slot; there must be an idle one, and `advance` was called."""
        job = visit.job
        visit.slot, reused = self.slots.take(job.prefix, job.prefix_tokens, job.prompt_tokens, now)
        visit.to_read = job.prompt_tokens - reused
        visit.started_at = now
        self._reading.append(visit)
        if len(self._reading) == 1:
            self._begin_to_read(visit, now)

    def next_at(self, sharing: int) -> float:
        """Return when a prompt is read or an answer written next.

        Args:
            sharing: Models that work on this server now and share its speed.
        """
        self._sharing = sharing
        read_at = write_at = _NEVER
        reading = self._reading
        if reading:
            self._read_rate = self._prefill / sharing
            read_at = self.at + max(0.0, self._left) / self._read_rate
        if self._writing:
            rate = self._rates[len(self._writing)]
            if reading and self._num_batch:
                rate = min(rate, self._prefill / min(self._num_batch, reading[0].to_read))
            self._write_rate = rate / sharing
            write_at = self.at + max(0.0, self._writing[0][0] - self._written) / self._write_rate
        self._due_read = read_at <= write_at
        return min(read_at, write_at)

    def step(self, now: float) -> Visit | None:
        """Do what is due at `now`; return the request whose answer has ended, if one has."""
        self.advance(now)
        if self._due_read:
            visit = self._reading.popleft()
            visit.write_at = now
            self._number += 1
            if not self._writing:
                self._written = 0.0
            ends = self._written + visit.job.output_tokens
            heappush(self._writing, (ends, self._number, visit))
            visit.first_at = now + self._sharing / self._rates[len(self._writing)]
            if self._reading:
                self._begin_to_read(self._reading[0], now)
            return None
        self._written, _, visit = heappop(self._writing)
        self.slots.give_back(visit.slot, visit.job.output_tokens, now)
        return visit

    def _begin_to_read(self, visit: Visit, now: float) -> None:
        visit.read_at = now
        self._left = visit.to_read
