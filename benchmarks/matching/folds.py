"""The matcher with weights that never saw what they judge, for the stream of requests.

`decider(matching)` trains one forest per fold of the pairs and lets each question be judged by the
forest of its own fold. A stored question may come from another fold, whose pairs that forest saw;
never the pair itself.
"""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any

import msgspec
import numpy as np

from aegis_llm.matching import Decision, Matcher
from aegis_llm.matching.verifier import shipped
from benchmarks.matching.data import DATA
from benchmarks.matching.learning import (
    fitted,
    forest_of,
    prepared,
)


@cache
def _forests() -> tuple[dict[str, int], list[Any]]:
    made = prepared(DATA)
    known, beside, fold, pairs = made.known, made.beside, made.fold, made.pairs
    place = {row[side]: int(own) for row, own in zip(pairs, fold, strict=True) for side in "ab"}
    return place, [forest_of(fitted(known, beside, fold != own)) for own in np.unique(fold)]


def decider(matching: str) -> Any:
    """Return `decide(asked, cached, cosine)` for a setting."""
    place, forests = _forests()
    matchers = []
    for forest in forests:
        matcher = copy(Matcher(matching))  # type: ignore[arg-type]
        matcher._verifier = msgspec.structs.replace(shipped(), forest=forest)
        matchers.append(matcher)

    def decide(asked: str, cached: str, cosine: float) -> Decision:
        return matchers[place.get(asked, 0)].decide(asked, cached, cosine)

    return decide
