"""What was learnt about pairs of questions: the same, or different. No text is kept. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

PairVerdict = Literal["same", "different"]
Finding = Literal["approved", "refused", "rejected"]
"""What the judge approved, what the judge or a comparison refused, what a user rejected."""
MOST_PAIRS = 20_000
"""Pairs that were refused, and pairs that users rejected, kept in the process and in Redis.

The oldest of each go first. Approved pairs have the room that both leave of that number.
"""


def pair_id(asked: str, cached: str) -> str:
    """Return the name of a pair: of two hashes in their order, so that it is symmetric."""
    first, second = sorted((_hash(asked), _hash(cached)))
    return blake2b(first + second, digest_size=16).hexdigest()


def approval_id(asked: str, cached: str, scope: str, judge: str) -> str:
    """Return the name of an approval: of the pair, in one scope, by one judge.

    The scope stands for all but the question that an answer depends on: tenant, model and its
    digest, options, history and context.
    """
    parts = (pair_id(asked, cached), scope, judge)
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(framed.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def room_for_approved(refused: int, rejected: int, most: int) -> int:
    """Return how many approved pairs are kept beside so many others.

    They go before any refusal does, so that none that was overruled comes back.
    """
    return max(0, most - refused - rejected)


class PairMemory:
    """Verdicts about pairs, `most` of a kind.

    A refusal is stronger than an approval, whichever comes first. Reading needs no lock; whoever
    writes holds one.
    """

    def __init__(self, most: int = MOST_PAIRS) -> None:
        self._most = most
        self._approved: dict[str, None] = {}
        self._refused: dict[str, None] = {}
        self._rejected: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._approved) + len(self._refused) + len(self._rejected)

    def get(self, asked: str, cached: str, scope: str, judge: str) -> PairVerdict | None:
        """Return what is known of two questions in a scope."""
        if self._refused or self._rejected:
            pair = pair_id(asked, cached)
            if pair in self._refused or pair in self._rejected:
                return "different"
        if self._approved and approval_id(asked, cached, scope, judge) in self._approved:
            return "same"
        return None

    def add(self, name: str, finding: Finding) -> bool:
        """Note a finding under its name; return whether it says something new.

        An approval is named by `approval_id`, the others by `pair_id`.
        """
        if finding == "approved":
            if name in self._approved:
                return False
            self._approved[name] = None
        else:
            known = self._refused if finding == "refused" else self._rejected
            if name in known or name in self._rejected:
                return False
            known[name] = None
            _shorten(known, self._most)
        left = room_for_approved(len(self._refused), len(self._rejected), self._most)
        _shorten(self._approved, left)
        return True

    def learn(self, findings: Mapping[str, Finding]) -> None:
        """Note what others found out."""
        for name, finding in findings.items():
            self.add(name, finding)


def _shorten(known: dict[str, None], most: int) -> None:
    while len(known) > most:
        del known[next(iter(known))]


def _hash(text: str) -> bytes:
    normal = " ".join(unicodedata.normalize("NFC", text).split())
    return blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=16).digest()
