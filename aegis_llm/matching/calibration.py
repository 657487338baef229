"""The threshold of the score, chosen by labelled pairs so that few enough hits are wrong. Pure.

Learn-then-Test: thresholds are tested from strict to loose, each by the exact binomial tail of
the wrong ones among the hits; the loosest that passes is taken. The tests begin at several
places, and share the error probability between them (Bonferroni), so that one mislabelled pair
at the top does not refuse everything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec
import numpy as np

from aegis_llm.bounds import at_most
from aegis_llm.errors import ConfigError

_STARTS = 5  # places to begin: the least number of hits that can pass, and twice as many each
_NEXT = 2
_LATEST = ":latest"


class Calibration(msgspec.Struct, frozen=True, tag_field="v", tag=1):
    """What labelled pairs told about one embedder; scores and labels without any text.

    `embedder` and `digest` name the embedding model, `created` is a date (ISO 8601, UTC). A pair
    that a veto refuses, or whose question is never reused, has the score 0.
    """

    embedder: str
    digest: str
    created: str
    scores: list[float]
    labels: list[bool]
    max_wrong_hits: float
    confidence: float
    threshold: float


def dump(calibration: Calibration) -> bytes:
    """Return the bytes of a calibration file."""
    return msgspec.json.format(msgspec.json.encode(calibration), indent=0) + b"\n"


def load(data: bytes, name: str) -> Calibration:
    """Return the calibration in a file's bytes.

    Raises:
        ConfigError: They hold none; the message names the file.
    """
    try:
        return msgspec.json.decode(data, type=Calibration)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        msg = f"{name} is no calibration file ({exc}): write one with aegis-llm calibrate"
        raise ConfigError(msg) from None


def made_for(calibration: Calibration, embedder: str) -> bool:
    """Tell whether an embedder of this name has the model that the calibration was made for.

    Loosely: the name of the model occurs in it, with no other tag after it.
    """
    name, within = (text.casefold() for text in (calibration.embedder, embedder))
    name, within = name.removesuffix(_LATEST), f"{within} ".replace(f"{_LATEST} ", " ")
    return bool(name) and re.search(re.escape(name) + "(?!:)", within) is not None


def needed(max_wrong_hits: float, confidence: float) -> int:
    """Return how many hits, all of them right, it takes to show that few enough are wrong."""
    return math.ceil(math.log((1 - confidence) / _STARTS) / math.log1p(-max_wrong_hits))


def threshold_for(
    scores: Sequence[float],
    labels: Sequence[bool],
    max_wrong_hits: float,
    confidence: float = 0.95,
) -> float:
    """Return the least score of a hit so that, with `confidence`, few enough hits are wrong.

    A pair of score 0 never hits.

    Raises:
        ConfigError: Too few pairs, one class only, or no threshold passes; says how many it takes.
    """
    told, given = np.asarray(labels, bool), np.asarray(scores, float)
    least = needed(max_wrong_hits, confidence)
    if told.all() or not told.any():
        only = "the same" if told.any() else "different"
        msg = f"all pairs are labelled {only}: a calibration needs pairs of both kinds"
        raise ConfigError(msg)
    hits = int(np.count_nonzero(given > 0))
    if hits < least:
        msg = (
            f"{hits} pairs can hit, and max_wrong_hits={max_wrong_hits:g} takes {least} at least: "
            "give more pairs, or allow more wrong hits"
        )
        raise ConfigError(msg)
    order = np.argsort(-given, kind="stable")
    ranked, wrong = given[order], np.cumsum(~told[order])
    level = (1 - confidence) / _STARTS
    best = 0
    for start in (least * _NEXT**step for step in range(_STARTS)):
        for count in range(start, hits + 1):
            if count < hits and ranked[count] == ranked[count - 1]:
                continue  # a threshold takes all pairs of one score
            if at_most(int(wrong[count - 1]), count, max_wrong_hits) > level:
                break
            best = max(best, count)
    if not best:
        first = int(wrong[least - 1])
        msg = (
            f"{first} of the {least} pairs with the highest scores are different questions: no "
            f"threshold keeps wrong hits below {max_wrong_hits:g}; allow more, or give more pairs"
        )
        raise ConfigError(msg)
    return float(ranked[best - 1])
