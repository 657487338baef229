"""What was learnt about pairs of questions: the same, or different. No text is kept. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

PairVerdict = Literal["same", "different"]
MOST_PAIRS = 20_000
"""Pairs kept, in the process and in Redis; the oldest go first."""


def pair_id(asked: str, cached: str) -> str:
    """Return the name of a pair: of two hashes in their order, so that it is symmetric."""
    first, second = sorted((_hash(asked), _hash(cached)))
    return blake2b(first + second, digest_size=16).hexdigest()


class PairMemory:
    """Verdicts about pairs, at most `most` of them.

    A refusal is stronger than an approval, whichever comes first. Reading needs no lock; whoever
    writes holds one.
    """

    def __init__(self, most: int = MOST_PAIRS) -> None:
        self._most = most
        self._verdicts: dict[str, PairVerdict] = {}

    def __len__(self) -> int:
        return len(self._verdicts)

    def get(self, asked: str, cached: str) -> PairVerdict | None:
        """Return what is known of two questions."""
        if not self._verdicts:
            return None
        return self._verdicts.get(pair_id(asked, cached))

    def add(self, pair: str, verdict: PairVerdict) -> bool:
        """Note a verdict; return whether it says something new."""
        known = self._verdicts.get(pair)
        if known == verdict or known == "different":
            return False
        self._verdicts[pair] = verdict
        while len(self._verdicts) > self._most:
            del self._verdicts[next(iter(self._verdicts))]
        return True

    def learn(self, verdicts: Mapping[str, PairVerdict]) -> None:
        """Note what others found out."""
        for pair, verdict in verdicts.items():
            self.add(pair, verdict)


def _hash(text: str) -> bytes:
    normal = " ".join(unicodedata.normalize("NFC", text).split())
    return blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=16).digest()
