"""The learned score P(same), with the weights that the package ships."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
import numpy as np

from aegis_llm.matching.calibration import threshold_for
from aegis_llm.matching.features import NAMES, features
from aegis_llm.matching.forest import Forest, from_arrays
from aegis_llm.matching.reading import Pair

_SHIPPED: Final = "aegis_llm.matching.shipped"
CALIBRATED: Final = "all-minilm"
"""The embedder whose pairs the shipped thresholds were chosen by, as Ollama names it."""
SURE: Final = 0.9999
"""Score of a pair that differs in a spoken self-correction alone."""
CERTAIN: Final = 0.99
"""Score from which on none of the calibration pairs (534 of them) is labelled different."""
AGREED: Final = 0.97
"""Least score of a near pair in which the strict reading finds the same words and parts."""
_NEAR: Final = 0.93
_SIMILARITY, _NO_DOUBT = NAMES.index("similarity"), NAMES.index("no_doubt")
_SAME_PERSONS = NAMES.index("same_persons")
_STEPS: Final = 10.0  # rarity is kept in tenths


class Record(msgspec.Struct, frozen=True):
    """How the shipped weights were made, and the thresholds of the named settings.

    `grey` is the score from which on a refused pair is worth a judge.
    """

    made: str
    embedder: str
    features: list[str]
    strict: float
    balanced: float
    grey: float
    trained: Mapping[str, Any]
    measured: Mapping[str, Any]


class Verifier(msgspec.Struct, frozen=True):
    """Scores pairs that no veto refuses."""

    forest: Forest
    record: Record
    rarity: Mapping[str, float]
    rarest: float

    def scores(self, pairs: Sequence[Pair], similarities: Sequence[float]) -> list[float]:
        """Return P(same) of each pair, 0 to 1; the same whichever text comes first."""
        return [score for score, _ in self.judged(pairs, similarities)]

    def judged(
        self, pairs: Sequence[Pair], similarities: Sequence[float]
    ) -> list[tuple[float, bool]]:
        """Return P(same) of each pair, and whether it is as good as certain."""
        if not pairs:
            return []
        rows = [
            features(pair, similarity, self.rarity, self.rarest)
            for pair, similarity in zip(pairs, similarities, strict=True)
        ]
        found: list[float] = self.forest.probability(np.asarray(rows, np.float32)).tolist()
        return [
            (max(score, AGREED), True) if agree(row) else (score, score >= CERTAIN)
            for score, row in zip(found, rows, strict=True)
        ]


def agree(row: Sequence[float]) -> bool:
    """Tell whether rules and embedding agree that the two are the same, by their features."""
    return bool(row[_NO_DOUBT] and row[_SAME_PERSONS] and row[_SIMILARITY] >= _NEAR)


@cache
def shipped() -> Verifier:
    """Return the verifier of the package's files, read once a process."""
    record = msgspec.json.decode(_read("verifier.json"), type=Record)
    if tuple(record.features) != NAMES:
        msg = "the shipped weights belong to other features: reinstall aegis-llm"
        raise RuntimeError(msg)
    with np.load(io.BytesIO(_read("verifier.npz")), allow_pickle=False) as found:
        forest = from_arrays(found)
        words = found["words"].tobytes().decode().split("\n")
        rarity = dict(zip(words, (found["rarity"] / _STEPS).tolist(), strict=True))
        rarest = float(found["rarest"])
    return Verifier(forest, record, rarity, rarest)


@cache
def threshold_at(max_wrong_hits: float) -> float:
    """Return the threshold at which so few hits are wrong, by the shipped scores and labels."""
    with np.load(io.BytesIO(_read("calibration.npz")), allow_pickle=False) as found:
        scores = found["scores"].astype(np.float64)
        labels = np.unpackbits(found["labels"], count=len(scores)).astype(bool)
    return threshold_for(scores.tolist(), labels.tolist(), max_wrong_hits)


def _read(name: str) -> bytes:
    return files(_SHIPPED).joinpath(name).read_bytes()
