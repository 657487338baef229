"""What the slots of one model hold, as far as a client can tell: which prompts ran last in them.

Ollama chooses the slot itself, by the rules of llama.cpp's server: of the idle slots the one with
the longest common prefix, if that is more than a tenth of the prompt, else the one used least
recently. This repeats the choice, so that the next request is one that finds its prefix.
"""

from __future__ import annotations

from dataclasses import dataclass

from aegis_llm.batching.jobs import Job
from aegis_llm.batching.prefix import NOTHING, Prefix, chars, common

SIMILAR = 0.10
"""Share of a prompt that a slot must hold already to be chosen for it."""


@dataclass(slots=True)
class _Slot:
    prefix: Prefix = NOTHING
    job: Job | None = None
    used: int = 0


class Slots:
    """The slots of one model; as many as were ever busy at once."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []
        self._uses = 0
        self._marks: dict[int, int] = {}

    def take(self, job: Job, most: int | None) -> bool:
        """Note that a request is sent; return whether any slot has the beginning of its prompt.

        `most` is the number of slots that the server has; while it is not known nothing waits, so
        nothing is noted.
        """
        if most is None:
            return True
        best, most_shared, known = None, -1, False
        for slot in self._slots:
            shared = common(slot.prefix, job.prefix)
            known = known or shared > 0
            if slot.job is None and shared > most_shared:
                best, most_shared = slot, shared
        if best is None or chars(most_shared) <= SIMILAR * job.prefix.size:
            best = self._least_used(most)
        self._uses += 1
        best.prefix, best.job, best.used = job.prefix, job, self._uses
        for mark in job.prefix.marks:
            self._marks[mark] = self._marks.get(mark, 0) + 1
        return known

    def give_back(self, job: Job, most: int | None) -> None:
        """Note that a request is over: its prompt stays in the slot."""
        slot = next((slot for slot in self._slots if slot.job is job), None)
        if slot is None:
            return
        self._uses += 1
        slot.job, slot.used = None, self._uses
        for mark in job.prefix.marks:
            self._marks[mark] -= 1
            if not self._marks[mark]:
                del self._marks[mark]
        if most is not None and len(self._slots) > most:
            idle = [slot for slot in self._slots if slot.job is None]
            for slot in sorted(idle, key=lambda slot: slot.used)[: len(self._slots) - most]:
                self._slots.remove(slot)

    def forget(self) -> None:
        """Note that the model was loaded anew: its slots are empty."""
        for slot in self._slots:
            if slot.job is None:
                slot.prefix = NOTHING

    def idle(self) -> list[Prefix]:
        """Return the prompts in the slots that are free."""
        return [s.prefix for s in self._slots if s.job is None and s.prefix.marks]

    def running(self, mark: int) -> bool:
        """Return whether a request with this prefix is being worked on."""
        return mark in self._marks

    def _least_used(self, most: int) -> _Slot:
        """Return a slot that was not used yet, else the idle one that was used least recently."""
        idle = [slot for slot in self._slots if slot.job is None]
        if not idle or len(self._slots) < most:
            self._slots.append(_Slot())
            return self._slots[-1]
        return min(idle, key=lambda slot: slot.used)
