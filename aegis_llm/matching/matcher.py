"""Choosing the stored question whose answer may be served: no veto, and a score that is enough."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf, isnan
from pathlib import Path
from typing import Final

from aegis_llm.config import CacheConfig, Matching
from aegis_llm.errors import ConfigError
from aegis_llm.gates import same_text, veto
from aegis_llm.gates.vetoes import first_veto, vetoes
from aegis_llm.matching.calibration import Calibration, load, made_for
from aegis_llm.matching.decision import Decision, Verdict
from aegis_llm.matching.reading import LONGEST, Pair, reading
from aegis_llm.matching.verifier import SURE, Verifier, shipped, threshold_at
from aegis_llm.values import Candidate

_HIGHEST: Final = 1.001  # a cosine, as floats compute it
CAUTIOUS: Final = 0.95
"""Least similarity where nothing but the gates decides: no calibrated embedder, or no English."""
FLOOR: Final = 0.5
"""Similarity below which two questions are not compared at all."""
_CALIBRATED: Final = re.compile(r"all-minilm(?!\S*(?:l12|33m))", re.IGNORECASE)


def is_calibrated(embedder: str) -> bool:
    """Tell whether the shipped thresholds hold for an embedder of this name (all-MiniLM-L6-v2)."""
    return _CALIBRATED.search(embedder) is not None


class Matcher:
    """Decides by the settings of one cache which stored question asks the same.

    Three ways, by what is known: the learned score (a calibrated embedder, English), the strict
    gates with a high similarity (any other embedder or language, or a calibration file of another
    embedder), or the strict gates with the fixed `similarity` that the settings give.

    Args:
        config: The settings, the name of one ("strict", "balanced"), or None for the defaults.
        embedder: Name of the embedder that makes the similarities; None: the one that the
            thresholds were chosen for, the shipped ones or those of the calibration file.

    Raises:
        ConfigError: The calibration file cannot be read, or no threshold keeps the promise.
    """

    def __init__(
        self, config: CacheConfig | Matching | None = None, embedder: str | None = None
    ) -> None:
        if isinstance(config, str):
            config = CacheConfig(matching=config)
        settings = config or CacheConfig()
        self._verifier: Verifier | None = None
        self._grey = inf
        self.threshold = CAUTIOUS if settings.similarity is None else settings.similarity
        self._least = self.threshold
        if settings.similarity is not None:
            return
        calibration = _calibration_of(settings)
        if embedder is not None and not _holds(calibration, embedder):
            return
        self._verifier = shipped()
        self._least = FLOOR
        if calibration is not None:
            self.threshold = calibration.threshold
        else:
            self.threshold = _threshold(settings, self._verifier)
        self._grey = min(self._verifier.record.grey, self.threshold)

    @property
    def scores(self) -> bool:
        """Whether English questions are judged by the learned score."""
        return self._verifier is not None

    def decide(self, asked: str, cached: str, similarity: float) -> Decision:
        """Tell whether the answer to `cached` may be served for `asked`, naming every veto.

        `similarity` is the cosine similarity of their embeddings. The same whichever comes first.
        """
        return self._weigh(asked, [(cached, similarity)], every=True)[0]

    def choose(self, asked: str, candidates: Sequence[Candidate]) -> Verdict:
        """Return the surest candidate that may be served; the reason is that of the nearest.

        The order of the candidates does not matter. A candidate without the text of its question
        is refused, since no gate can look at it. When the nearest one is certain, the others are
        not looked at, unless one is the very question: an embedder may put another nearer for a
        question mark. Reading and scoring them is most of what a hit costs.
        """
        ranked = sorted(candidates, key=_nearness, reverse=True)
        if not ranked:
            return Verdict(None, "no_candidate")
        weighed = self._pairs(asked, ranked[:1])
        if not weighed[0][1].certain or _written(asked, ranked[1:]):
            weighed += self._pairs(asked, ranked[1:])
        accepted = [pair for pair in weighed if pair[1].accept]
        if accepted:
            best = max(accepted, key=_sureness)
            return Verdict(best[0], "", best[1])
        first = weighed[0][1]
        grey = [pair for pair in weighed if pair[1].grey]
        worth = max(grey, key=_sureness)[0] if grey else None
        return Verdict(None, first.reason, first, worth)

    def _pairs(
        self, asked: str, candidates: Sequence[Candidate]
    ) -> list[tuple[Candidate, Decision]]:
        known = [(one.question, one.similarity) for one in candidates if one.question is not None]
        decisions = iter(self._weigh(asked, known))
        return [
            (one, next(decisions) if one.question is not None else _UNKNOWN) for one in candidates
        ]

    def _weigh(
        self, asked: str, known: Sequence[tuple[str, float]], *, every: bool = False
    ) -> list[Decision]:
        found: list[Decision | None] = []
        pairs: list[Pair] = []
        similarities: list[float] = []
        for cached, similarity in known:
            decision = self._ruled(asked, cached, similarity, every=every)
            if isinstance(decision, Pair):
                pairs.append(decision)
                similarities.append(similarity)
                found.append(None)
            else:
                found.append(decision)
        scores = (
            iter(())
            if self._verifier is None
            else iter(self._verifier.judged(pairs, similarities))
        )
        return [self._scored(*next(scores)) if one is None else one for one in found]

    def _scored(self, score: float, certain: bool) -> Decision:
        accept = score >= self.threshold
        return Decision(
            accept,
            "" if accept else "below_score",
            score=score,
            threshold=self.threshold,
            grey=not accept and score >= self._grey,
            certain=accept and certain,
        )

    def _ruled(
        self, asked: str, cached: str, similarity: float, *, every: bool
    ) -> Decision | Pair:
        """Decide by rules alone, or return the pair that has to be scored."""
        scored = self._verifier is not None
        if not self._least <= similarity <= _HIGHEST:
            return Decision(False, "below_threshold", threshold=self._least)
        one, other = reading(asked), reading(cached)
        worded = one.has_words and other.has_words
        if asked == cached or (worded and same_text(asked, cached)):
            return Decision(
                True, score=1.0 if scored else None, threshold=self.threshold, certain=True
            )
        if not worded:
            return _refused("no_words")
        if max(len(asked), len(cached)) > LONGEST:
            return _refused("question_too_long")
        if not scored or not (one.english and other.english):
            least = max(self._least, CAUTIOUS if scored else 0.0)
            if not similarity >= least:
                return Decision(False, "below_threshold_unscored", threshold=least)
            strict = veto(one.facts, other.facts) or first_veto(one.facts, other.facts)
            if strict is None and not one.reads_as(other):
                strict = "veto_words"
            if strict is None:
                return Decision(True, threshold=least, certain=not scored)
            return _refused(strict, strict)
        return self._gated(Pair(asked, cached), every=every)

    def _gated(self, pair: Pair, *, every: bool) -> Decision | Pair:
        """Return the pair if it has to be scored, else what corrections or vetoes decide."""
        if pair.corrected:
            return Decision(True, score=SURE, threshold=self.threshold, certain=True)
        if pair.other_correction:
            return _refused("veto_correction", "veto_correction")
        facts = (pair.a.facts, pair.b.facts)
        if every:
            named = vetoes(*facts)
        else:
            first = first_veto(*facts)
            named = (first,) if first else ()
        return _refused(named[0], *named) if named else pair


def _refused(reason: str, *named: str) -> Decision:
    return Decision(False, reason, vetoes=named)


_UNKNOWN: Final = Decision(False, "no_question_text")


def _calibration_of(settings: CacheConfig) -> Calibration | None:
    if settings.calibration is None:
        return None
    try:
        data = Path(settings.calibration).read_bytes()
    except OSError as exc:
        msg = f"calibration={settings.calibration!r} cannot be read ({exc.strerror})"
        raise ConfigError(msg) from None
    return load(data, settings.calibration)


def _holds(calibration: Calibration | None, embedder: str) -> bool:
    return is_calibrated(embedder) if calibration is None else made_for(calibration, embedder)


def _threshold(settings: CacheConfig, verifier: Verifier) -> float:
    if settings.max_wrong_hits is not None:
        return threshold_at(settings.max_wrong_hits)
    record = verifier.record
    return record.strict if settings.matching == "strict" else record.balanced


def _written(asked: str, candidates: Sequence[Candidate]) -> bool:
    """Tell whether the very question is among the candidates."""
    return any(one.question is not None and same_text(asked, one.question) for one in candidates)


def _sureness(weighed: tuple[Candidate, Decision]) -> tuple[float, tuple[float, str]]:
    score = weighed[1].score
    return (-inf if score is None else score), _nearness(weighed[0])


def _nearness(candidate: Candidate) -> tuple[float, str]:
    near = candidate.similarity
    return (-inf if isnan(near) else near), candidate.entry.key
