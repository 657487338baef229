"""Choosing the stored question whose answer may be served: near enough, and no veto."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan

from aegis_llm.config import CacheConfig
from aegis_llm.gates import same_text, veto
from aegis_llm.gates.facts import Facts
from aegis_llm.matching.decision import Decision, Verdict
from aegis_llm.values import Candidate

_STUDY_SIMILARITY = 0.92


class Matcher:
    """Decides by the settings of one cache which stored question asks the same.

    Args:
        config: The settings; the defaults when None.
    """

    def __init__(self, config: CacheConfig | None = None) -> None:
        self._config = config or CacheConfig()
        given = self._config.similarity
        self._least = _STUDY_SIMILARITY if given is None else given

    def decide(self, asked: str, cached: str, similarity: float) -> Decision:
        """Tell whether the answer to `cached` may be served for `asked`.

        `similarity` is the cosine similarity of their embeddings.
        """
        return self._decide(asked, None, cached, similarity)

    def choose(self, asked: str, candidates: Sequence[Candidate]) -> Verdict:
        """Return the nearest candidate that may be served.

        The order of the candidates does not matter. A candidate without the text of its question
        is refused, since no gate can look at it.
        """
        first: Verdict | None = None
        facts: Facts | None = None
        for candidate in sorted(candidates, key=_nearness, reverse=True):
            if candidate.question is None:
                verdict = Verdict(None, "no_question_text")
            else:
                facts = facts or Facts(asked)
                decision = self._decide(asked, facts, candidate.question, candidate.similarity)
                if decision.accept:
                    return Verdict(candidate, "", decision)
                verdict = Verdict(None, decision.reason, decision)
            first = first or verdict
        return first or Verdict(None, "no_candidate")

    def _decide(self, asked: str, facts: Facts | None, cached: str, similarity: float) -> Decision:
        if not similarity >= self._least:
            return Decision(False, "below_threshold", threshold=self._least)
        if same_text(asked, cached):
            return Decision(True, threshold=self._least)
        refused = veto(facts or Facts(asked), Facts(cached))
        if refused is not None:
            return Decision(False, refused, vetoes=(refused,), threshold=self._least)
        return Decision(True, threshold=self._least)


def _nearness(candidate: Candidate) -> tuple[float, str]:
    near = candidate.similarity
    return (-inf if isnan(near) else near), candidate.entry.key
