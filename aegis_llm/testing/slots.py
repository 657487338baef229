"""Slots, prefix reuse and the time a request takes: a pure model, the clock is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_SIMILAR = 0.10
_WORTH_KEEPING = 0.5


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long things take; zero stands for "no time at all".

    Attributes:
        load: Seconds to load a model.
        prefill: Prompt tokens a second; prompts of one model are read one after the other.
        decode: Answer tokens a second in one slot.
        contention: Share by which each further busy slot lengthens a decode step.
        embed: Seconds to embed one text, on top of `prefill`.
    """

    load: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    contention: float = 0.0
    embed: float = 0.0

    def prefill_time(self, tokens: int) -> float:
        """Return the seconds to read `tokens` that are not in the cache."""
        return tokens / self.prefill if self.prefill else 0.0

    def token_time(self, busy: int) -> float:
        """Return the seconds for one answer token while `busy` slots decode."""
        if not self.decode:
            return 0.0
        return (1 + self.contention * (max(busy, 1) - 1)) / self.decode


TIMINGS = {
    "fast": Timing(),
    "quick": Timing(load=0.2, prefill=15_000.0, decode=450.0, contention=0.04, embed=0.001),
    "realistic": Timing(load=2.0, prefill=1500.0, decode=45.0, contention=0.04, embed=0.01),
}
"""Named timings. The figures are invented: an 8B model on a good GPU, and ten times as fast."""


def common_prefix(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many tokens the two have in common from the start."""
    size = min(len(left), len(right))
    if left[:size] == right[:size]:
        return size
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass
class _Slot:
    content: tuple[str, ...] = ()
    busy: bool = False
    used_at: float = -1.0


@dataclass
class Slots:
    """The slots of one loaded model and its cache of prompts in host memory.

    Attributes:
        parallel: Number of slots.
        cache_tokens: Tokens that the cache in host memory holds; 0 turns it off.
    """

    parallel: int = 1
    cache_tokens: int = 1 << 20
    _slots: list[_Slot] = field(init=False, repr=False)
    _stored: list[tuple[str, ...]] = field(init=False, default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self._slots = [_Slot() for _ in range(self.parallel)]

    @property
    def idle(self) -> int:
        """Number of slots that are free."""
        return sum(not slot.busy for slot in self._slots)

    @property
    def busy(self) -> int:
        """Number of slots at work."""
        return self.parallel - self.idle

    def take(self, prompt: Sequence[str], now: float) -> tuple[int, int]:
        """Occupy the best idle slot; return its number and the tokens it need not read again.

        The slot with the longest common prefix wins if that is more than a tenth of the prompt,
        else the least recently used one.

        Raises:
            LookupError: Every slot is busy.
        """
        wanted = tuple(prompt)
        idle = [index for index, slot in enumerate(self._slots) if not slot.busy]
        if not idle:
            msg = "every slot is busy"
            raise LookupError(msg)
        shared = {i: common_prefix(self._slots[i].content, wanted) for i in idle}
        best = max(idle, key=lambda index: shared[index])
        if not wanted or shared[best] <= _SIMILAR * len(wanted):
            best = min(idle, key=lambda index: self._slots[index].used_at)
        slot = self._slots[best]
        if slot.content and shared[best] < _WORTH_KEEPING * len(slot.content):
            if self.cache_tokens:
                self._stored.append(slot.content)
            slot.content = self._fetch(wanted, shared[best]) or slot.content
        elif not slot.content:
            slot.content = self._fetch(wanted, 0) or ()
        self._trim()
        reused = common_prefix(slot.content, wanted)
        slot.content = wanted
        slot.busy = True
        slot.used_at = now
        return best, max(0, min(reused, len(wanted) - 1))

    def give_back(self, index: int, answer: Sequence[str], now: float) -> None:
        """Free the slot; the answer stays in it behind the prompt."""
        slot = self._slots[index]
        slot.content += tuple(answer)
        slot.busy = False
        slot.used_at = now

    def _trim(self) -> None:
        while sum(map(len, self._stored)) > self.cache_tokens:
            del self._stored[0]

    def _fetch(self, wanted: tuple[str, ...], least: int) -> tuple[str, ...] | None:
        """Take the stored prompt with the longest prefix of `wanted`; it moves, not copies."""
        if not self._stored:
            return None
        best = max(self._stored, key=lambda content: common_prefix(content, wanted))
        if common_prefix(best, wanted) <= least:
            return None
        self._stored.remove(best)
        return best
