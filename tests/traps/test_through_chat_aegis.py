"""Forty look-alikes asked through ChatAegis, with a real Redis and real embeddings."""

from __future__ import annotations

import pytest

from tests.langchain.kit import Kit, outcome
from tests.traps.reading import look_alikes, same

PAIRS = look_alikes()


@pytest.mark.parametrize("turned", [False, True], ids=["as written", "turned"])
def test_no_look_alike_is_answered_from_the_cache(kit: Kit, *, turned: bool) -> None:
    """All of them share one scope: nor may a question of another pair be answered."""
    model = kit.aegis()
    pairs = [(b, a) if turned else (a, b) for a, b, _ in PAIRS]
    questions = [first for first, _ in pairs] + [second for _, second in pairs]
    outcomes = {question: outcome(model.invoke(question)) for question in questions}
    assert {q: told for q, told in outcomes.items() if told not in ("miss", "bypass")} == {}
    assert kit.calls >= len(questions)


def test_rewordings_are_answered_in_the_same_way(kit: Kit) -> None:
    """The look-alikes were refused by the decision, not by a tier that was off."""
    model = kit.aegis()
    reworded = [trap for trap in same() if trap.kind in ("writing", "frames")]
    outcomes = []
    for first, second, _ in reworded:
        model.invoke(first)
        outcomes.append(outcome(model.invoke(second)))
    assert outcomes.count("hit_semantic") >= len(reworded) / 5, outcomes
