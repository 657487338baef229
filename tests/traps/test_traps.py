"""No trap is served: each pair by the decision itself, with the real cosine of its embeddings."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from aegis_llm.config import CacheConfig
from aegis_llm.matching import Matcher
from tests.traps.reading import Trap, different, foreign, named, same

STRICT = Matcher(CacheConfig())
BALANCED = Matcher(CacheConfig(matching="balanced"))
HARSHEST = 0.995
"""A cosine that makes the gates and the score work for their refusal."""


def test_there_are_enough_traps() -> None:
    kinds = Counter(trap.kind for trap in different())
    assert len(kinds) >= 12
    assert min(kinds.values()) >= 15
    assert kinds.total() >= 200
    assert kinds["look_alikes"] == 40
    assert len(same()) >= 120
    foreigners = Counter(trap.kind for trap in foreign("different"))
    assert min(foreigners.values()) >= 15


def test_no_pair_stands_twice() -> None:
    every = [*different(), *same(), *foreign("different"), *foreign("same")]
    twice = Counter(frozenset(trap[:2]) for trap in every)
    assert [pair for pair, count in twice.items() if count > 1] == []


@pytest.mark.parametrize("trap", [*different(), *foreign("different")], ids=named)
def test_strict_refuses_every_trap(trap: Trap) -> None:
    for asked, cached in (trap[:2], trap[1::-1]):
        decision = STRICT.decide(asked, cached, trap.cosine)
        assert not decision.accept, f"{trap.cosine:.3f} {decision}"
        assert decision.reason


def test_balanced_serves_at_most_two_traps_of_a_hundred() -> None:
    traps = [*different(), *foreign("different")]
    served = [trap for trap in traps if BALANCED.decide(trap.a, trap.b, trap.cosine).accept]
    assert len(served) <= 0.02 * len(traps), served


@pytest.mark.parametrize(
    "kind", ["numbers", "units", "dates", "versions", "literals", "negation", "names"]
)
def test_what_a_gate_sees_is_refused_at_any_similarity(kind: str) -> None:
    """Numbers, names and negations are facts: no similarity and no score outweighs them."""
    traps = [trap for trap in different() if trap.kind == kind]
    assert [trap for trap in traps if STRICT.decide(trap.a, trap.b, HARSHEST).accept] == []


@pytest.mark.parametrize("trap", foreign("same"), ids=named)
def test_writing_alone_makes_no_difference_in_any_language(trap: Trap) -> None:
    assert STRICT.decide(trap.a, trap.b, trap.cosine).accept, trap.cosine


def test_rewordings_are_served(capsys: pytest.CaptureFixture[str]) -> None:
    """What the gates and the score cost in rewordings that could have been served."""
    for matcher, least in ((STRICT, 0.30), (BALANCED, 0.50)):
        seen: Counter[str] = Counter(trap.kind for trap in same())
        served = Counter(t.kind for t in same() if matcher.decide(t.a, t.b, t.cosine).accept)
        shares = ", ".join(f"{kind} {served[kind]}/{count}" for kind, count in seen.items())
        with capsys.disabled():
            sys.stdout.write(f"\n{served.total()} of {seen.total()} rewordings: {shares}\n")
        assert served.total() >= least * seen.total(), shares
