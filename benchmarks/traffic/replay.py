"""Playing a stream to a policy: what is served, and whether the labels call it right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aegis_llm.matching import route
from benchmarks.traffic.data import Questions
from benchmarks.traffic.stream import Request

Decide = Callable[[str, str, float], Any]
"""`decide(asked, cached, cosine)`: true, or a decision with `accept`, where it may be served."""
CANDIDATES = 4
Near = dict[str, list[tuple[float, str]]]


@dataclass(frozen=True)
class Policy:
    """A way to decide; `routed`: only questions that the router lets be reused take part."""

    name: str
    decide: Decide
    routed: bool = True


@dataclass
class Outcome:
    """What a policy served in one stream."""

    requests: int = 0
    exact: int = 0
    right: int = 0
    wrong: int = 0
    told_apart: int = 0
    rewordings: int = 0
    caught: int = 0
    mistakes: list[tuple[str, str, str, float]] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """All requests answered from the cache."""
        return self.exact + self.right + self.wrong

    @property
    def wrong_share(self) -> float:
        """Wrong answers as a share of all hits, exact ones included."""
        return self.wrong / self.hits if self.hits else 0.0

    @property
    def labelled_share(self) -> float:
        """Like `wrong_share`, only of the answers that a label calls wrong."""
        return self.told_apart / self.hits if self.hits else 0.0

    @property
    def caught_share(self) -> float:
        """Share of the rewordings that got the answer of their group."""
        return self.caught / self.rewordings if self.rewordings else 0.0


def neighbours(texts: Sequence[str], vectors: np.ndarray, floor: float) -> Near:
    """Return for each text all others that are at least `floor` near, the nearest first."""
    near: Near = {}
    for start in range(0, len(texts), 512):
        cosines = vectors[start : start + 512] @ vectors.T
        for row, values in enumerate(cosines):
            values[start + row] = -1.0
            places = np.flatnonzero(values >= floor)
            ordered = places[np.argsort(-values[places], kind="stable")]
            near[texts[start + row]] = [(float(values[at]), texts[at]) for at in ordered]
    return near


def replay(
    requests: Iterable[Request], questions: Questions, near: Near, policy: Policy
) -> Outcome:
    """Ask every request in turn; a miss stores its text, a hit by meaning stores nothing."""
    outcome = Outcome()
    stored: set[str] = set()
    known: dict[tuple[str, str], float | None] = {}
    for text, kind in requests:
        counted = kind != "warm"
        outcome.requests += counted
        outcome.rewordings += kind == "rewording"
        if text in stored:
            outcome.exact += counted
            continue
        served = _served(text, stored, near, policy, known) if counted else None
        if served is None:
            stored.add(text)
            continue
        cosine, cached = served
        right = questions.same(text, cached)
        outcome.right += right
        outcome.wrong += not right
        outcome.caught += right and kind == "rewording"
        if not right:
            outcome.told_apart += questions.told_apart(text, cached)
            outcome.mistakes.append((kind, text, cached, cosine))
    return outcome


def _served(
    text: str,
    stored: set[str],
    near: Near,
    policy: Policy,
    known: dict[tuple[str, str], float | None],
) -> tuple[float, str] | None:
    if policy.routed and route(text).kind != "reuse":
        return None
    looked_at = 0
    accepted: list[tuple[float, float, str]] = []
    for cosine, other in near[text]:
        if other not in stored or (policy.routed and route(other).kind != "reuse"):
            continue
        looked_at += 1
        if looked_at > CANDIDATES:
            break
        if (text, other) not in known:
            decision = policy.decide(text, other, cosine)
            known[text, other] = _sureness(decision, cosine)
        sure = known[text, other]
        if sure is not None:
            accepted.append((sure, cosine, other))
    return max(accepted)[1:] if accepted else None


def _sureness(decision: Any, cosine: float) -> float | None:
    """Return how sure an accepted pair is, by which the matcher chooses; None: refused."""
    if not getattr(decision, "accept", decision):
        return None
    score = getattr(decision, "score", None)
    return cosine if score is None else float(score)
