"""Which slot a prompt gets and what it need not read again, by the names of prefixes.

The rules are those of `aegis_llm.testing.slots.Slots`, which compares token by token; here a
prompt is the name and length of its prefix and its whole length, so that it costs next to nothing.
"""

from __future__ import annotations

_SIMILAR = 0.10
_WORTH_KEEPING = 0.5


class _Slot:
    __slots__ = ("busy", "prefix", "shared", "total", "used_at")

    def __init__(self) -> None:
        self.prefix = ""
        self.shared = 0
        self.total = 0
        self.busy = False
        self.used_at = -1.0


class PrefixSlots:
    """The slots of one loaded model and its cache of prompts in host memory.

    Args:
        parallel: Number of slots.
        cache_tokens: Tokens that the cache in host memory holds; 0 turns it off.
    """

    __slots__ = ("_cache_tokens", "_held", "_named", "_number", "_slots", "_stored", "idle")

    def __init__(self, parallel: int, cache_tokens: int) -> None:
        self.idle = parallel
        self._slots = [_Slot() for _ in range(parallel)]
        self._cache_tokens = cache_tokens
        # Stored prompts, the oldest first: number -> (prefix, its tokens, all tokens).
        self._stored: dict[int, tuple[str, int, int]] = {}
        self._named: dict[str, dict[int, int]] = {}
        self._held = 0
        self._number = 0

    def take(self, prefix: str, shared: int, total: int, now: float) -> tuple[int, int]:
        """Occupy the best idle slot; return its number and the tokens it need not read again.

        There must be an idle one.
        """
        best, most = -1, -1
        oldest, oldest_at = -1, float("inf")
        for number, slot in enumerate(self._slots):
            if slot.busy:
                continue
            common = min(slot.shared, shared) if prefix and slot.prefix == prefix else 0
            if common > most:
                best, most = number, common
            if slot.used_at < oldest_at:
                oldest, oldest_at = number, slot.used_at
        if most <= _SIMILAR * total:
            best = oldest
        slot = self._slots[best]
        known = min(slot.shared, shared) if prefix and slot.prefix == prefix else 0
        if slot.total and known < _WORTH_KEEPING * slot.total:
            if self._cache_tokens:
                self._store(slot)
            known = self._fetch(prefix, shared, known)
        elif not slot.total:
            known = self._fetch(prefix, shared, 0)
        self._trim()
        slot.prefix, slot.shared, slot.total = prefix, shared, total
        slot.busy, slot.used_at = True, now
        self.idle -= 1
        return best, max(0, min(known, total - 1))

    def give_back(self, number: int, answer: int, now: float) -> None:
        """Free the slot; an answer of so many tokens stays in it behind the prompt."""
        slot = self._slots[number]
        slot.total += answer
        slot.busy, slot.used_at = False, now
        self.idle += 1

    def _store(self, slot: _Slot) -> None:
        self._number += 1
        self._stored[self._number] = (slot.prefix, slot.shared, slot.total)
        self._held += slot.total
        if slot.prefix:
            self._named.setdefault(slot.prefix, {})[self._number] = slot.shared

    def _fetch(self, prefix: str, shared: int, known: int) -> int:
        """Take the stored prompt with the most of this prefix, if that is more than `known`.

        It moves, it is not copied. Returns the tokens in common after it.
        """
        best, most = -1, known
        for number, length in self._named.get(prefix, {}).items():
            common = min(length, shared)
            if common > most:
                best, most = number, common
            if common == shared:
                break
        if best >= 0:
            self._drop(best)
        return most

    def _trim(self) -> None:
        while self._held > self._cache_tokens:
            self._drop(next(iter(self._stored)))

    def _drop(self, number: int) -> None:
        prefix, _, total = self._stored.pop(number)
        self._held -= total
        if prefix:
            named = self._named[prefix]
            del named[number]
            if not named:
                del self._named[prefix]
