"""What the cache did with its traffic, and whether it was right. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from aegis_llm.bench.figures import Quantiles, by_round, quantiles
from aegis_llm.bench.statistics import Estimate, mean_of_rounds
from aegis_llm.bench.values import Phase, Sent

HITS = ("hit_local", "hit_exact", "hit_semantic", "coalesced")
_TROUBLE = ("redis_", "embedding_", "index_", "lookup_failed")


class Cached(msgspec.Struct, frozen=True, kw_only=True):
    """The cache traffic through the package, beside the same traffic straight to Ollama.

    Attributes:
        asked: Requests by what they were: `exact`, `reworded`, `new`.
        hits: Of each kind, those that hit.
        outcomes: Requests by where their answer came from.
        hit_rate: Share of all requests, of each round.
        wrong: Hits whose stored question asks something else.
        hit: Seconds until the whole answer of a hit, `miss` of a miss.
        around: Likewise of all requests straight to Ollama, `through` of all through the package.
        faster: How many times shorter the mean request is through the package.
        troubles: Requests at which the cache failed, by the reason; they were answered all the
            same.
        unstored: Answers that were not kept, by the reason: they cannot be repeated.
    """

    asked: dict[str, int]
    hits: dict[str, int]
    outcomes: dict[str, int]
    hit_rate: Estimate | None = None
    wrong: int = 0
    hit: Quantiles | None = None
    miss: Quantiles | None = None
    around: Quantiles | None = None
    through: Quantiles | None = None
    faster: float | None = None
    troubles: dict[str, int] = {}
    unstored: dict[str, int] = {}
    semantic: bool = False

    @property
    def repeats(self) -> float:
        """Share of the traffic that repeats something: more cannot be answered from a cache."""
        total = sum(self.asked.values())
        return 1 - self.asked.get("new", 0) / total if total else 0.0


def cached(
    phases: Sequence[Phase], sent: Sequence[Sent], seed: int, *, semantic: bool
) -> Cached | None:
    """Return what the cache traffic shows; None: there was none through the package."""
    kinds = {n: one.way for n, one in enumerate(phases) if one.kind == "cache"}
    good = [one for one in sent if one.phase in kinds and not one.error]
    through = [one for one in good if kinds[one.phase] == "through"]
    around = [one for one in good if kinds[one.phase] == "around"]
    if not through:
        return None
    rounds = by_round(through)
    hits = [one for one in through if is_hit(one)]
    return Cached(
        asked=dict(Counter(one.label for one in through)),
        hits=dict(Counter(one.label for one in hits)),
        outcomes=dict(Counter(_outcome(one) for one in through)),
        hit_rate=mean_of_rounds([sum(map(is_hit, part)) / len(part) for part in rounds]),
        wrong=sum(one.right is False for one in hits),
        hit=quantiles([[one for one in part if is_hit(one)] for part in rounds], _latency, seed),
        miss=quantiles(
            [[one for one in part if not is_hit(one)] for part in rounds], _latency, seed
        ),
        around=quantiles(by_round(around), _latency, seed),
        through=quantiles(rounds, _latency, seed),
        faster=_faster(around, through),
        troubles=dict(Counter(why for one in through if (why := trouble(one)))),
        unstored=dict(Counter(why for one in through if (why := _unstored(one)))),
        semantic=semantic,
    )


def is_hit(one: Sent) -> bool:
    """Return whether the model was not asked."""
    return _outcome(one) in HITS


def trouble(one: Sent) -> str:
    """Return why the cache failed at a request; empty: it did not."""
    _, _, reason = one.outcome.partition(" ")
    return reason.partition(";")[0] if reason.startswith(_TROUBLE) else ""


def _unstored(one: Sent) -> str:
    return one.outcome.partition("not stored: ")[2]


def _outcome(one: Sent) -> str:
    return one.outcome.partition(" ")[0]


def _latency(one: Sent) -> float:
    return one.latency


def _faster(around: Sequence[Sent], through: Sequence[Sent]) -> float | None:
    """Compare the means of the rounds that went both ways, which asked the same."""
    common = {one.round for one in around} & {one.round for one in through}
    ours = sum(one.latency for one in through if one.round in common)
    theirs = sum(one.latency for one in around if one.round in common)
    return theirs / ours if ours and theirs else None
