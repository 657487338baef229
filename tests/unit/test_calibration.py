"""The threshold that labelled pairs allow, its file, and the embedder that it holds for."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from aegis_llm.bounds import upper_bound
from aegis_llm.config import CacheConfig
from aegis_llm.errors import ConfigError
from aegis_llm.matching import Matcher
from aegis_llm.matching.calibration import Calibration, dump, load, needed, threshold_for
from aegis_llm.matching.matcher import CAUTIOUS
from aegis_llm.wiring import make_matcher

MADE = Calibration("e", "d", "2026-01-01", [0.5], [True], 0.02, 0.95, 0.77)
LEVEL = 0.95 + 0.05 * 4 / 5
"""Confidence of one test, of five that share the error probability."""


def test_how_many_hits_it_takes() -> None:
    assert (needed(0.02, 0.95), needed(0.2, 0.95)) == (228, 21)
    assert upper_bound(0, 228, LEVEL) <= 0.02 < upper_bound(0, 227, LEVEL)


def test_the_least_threshold_that_passes() -> None:
    scores = [1 - n / 1000 for n in range(1000)]
    labels = [n < 300 for n in range(1000)]
    threshold = threshold_for(scores, labels, 0.02)
    hits = sum(score >= threshold for score in scores)
    assert upper_bound(hits - 300, hits, LEVEL) <= 0.02
    assert upper_bound(hits - 299, hits + 1, LEVEL) > 0.02


def test_pairs_of_one_score_hit_together() -> None:
    scores = [0.9] * 300 + [0.5] * 200
    labels = [True] * 300 + [True] * 100 + [False] * 100
    assert threshold_for(scores, labels, 0.02) == 0.9


def test_the_promise_is_kept_on_other_pairs() -> None:
    """Of 40 calibrations at most 5 % may break it, and a few more by chance."""
    made = random.Random(5)

    def sample(count: int) -> tuple[list[float], list[bool]]:
        scores = [made.random() for _ in range(count)]
        return scores, [made.random() < score**0.1 for score in scores]

    broken = 0
    other_scores, other_labels = sample(20_000)
    for _ in range(40):
        try:
            threshold = threshold_for(*sample(600), 0.05)
        except ConfigError:
            continue
        hits = [same for s, same in zip(other_scores, other_labels, strict=True) if s >= threshold]
        broken += hits.count(False) / len(hits) > 0.055
    assert broken <= 6


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        ([0.9] * 300, [True] * 300, "labelled the same"),
        ([0.9] * 300, [False] * 300, "labelled different"),
        ([0.9] * 100, [True] * 50 + [False] * 50, "takes 228 at least"),
        ([0.9] * 100 + [0.0] * 200, [True, False] * 150, "100 pairs can hit"),
        ([0.9] * 300, [True, False] * 150, "no threshold keeps"),
    ],
)
def test_what_cannot_be_calibrated(scores: list[float], labels: list[bool], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        threshold_for(scores, labels, 0.02)


def test_one_wrong_label_at_the_top_does_not_refuse_everything() -> None:
    scores = [1 - n / 10_000 for n in range(2_000)]
    labels = [n not in (0, 1, 2) for n in range(1_999)] + [False]
    threshold = threshold_for(scores, labels, 0.02)
    assert sum(score >= threshold for score in scores) > 1_900


def test_a_file_holds_its_version_and_is_read_again() -> None:
    assert msgspec.json.decode(dump(MADE))["v"] == 1
    assert load(dump(MADE), "c.json") == MADE


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"v": 2}', dump(MADE).replace(b"0.77", b'"x"')]
)
def test_what_is_no_calibration_file_is_said(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.json is no calibration file"):
        load(data, "c.json")
    path = tmp_path / "c.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="is no calibration file"):
        Matcher(CacheConfig(calibration=str(path)))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Matcher(CacheConfig(calibration=str(tmp_path / "none.json")))


EMBEDDERS = [
    ("nomic-embed-text:latest", "OllamaEmbeddings model=nomic-embed-text", True),
    ("nomic-embed-text:latest", "OllamaEmbedding model_name=nomic-embed-text:latest", True),
    ("nomic-embed-text", "HuggingFaceEmbeddings nomic-ai/Nomic-Embed-Text-v1.5", True),
    ("nomic-embed-text:v1.5", "OllamaEmbeddings model=nomic-embed-text:v1.5", True),
    ("nomic-embed-text:v1.5", "OllamaEmbeddings model=nomic-embed-text", False),
    ("nomic-embed-text:latest", "OllamaEmbeddings model=nomic-embed-text:v2", False),
    ("all-minilm:latest", "OllamaEmbeddings model=all-minilm:33m", False),
    ("nomic-embed-text:latest", "OllamaEmbeddings model=all-minilm", False),
    ("all-minilm:latest", "OllamaEmbeddings model=nomic-embed-text", False),
    ("", "OllamaEmbeddings model=all-minilm", False),
    ("a.b", "a+b", False),
]


@pytest.mark.parametrize(("model", "embedder", "holds"), EMBEDDERS)
def test_a_file_holds_for_its_embedder_alone(
    model: str, embedder: str, holds: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(dump(msgspec.structs.replace(MADE, embedder=model)))
    settings = CacheConfig(calibration=str(path))
    made: Any = SimpleNamespace(embedding_id=embedder)
    for _ in range(2):
        matcher = make_matcher(settings, made)
    assert matcher.scores is holds
    assert matcher.threshold == (0.77 if holds else CAUTIOUS)
    said = [record.message for record in caplog.records]
    assert len(said) == (0 if holds else 1)
    assert all(f"{path} was made for another embedder than {embedder}" in one for one in said)
    decision = matcher.decide("How do I bleed a radiator?", "How should I bleed a radiator?", 0.96)
    assert decision.threshold == matcher.threshold
    assert (decision.score is not None) is holds


def test_an_embedder_without_a_calibration_is_said_to_have_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made: Any = SimpleNamespace(embedding_id="OllamaEmbeddings model=nomic-embed-text")
    assert make_matcher(CacheConfig(), made).scores is False
    assert "nomic-embed-text was never calibrated" in caplog.text
    assert make_matcher(CacheConfig(similarity=0.9), made).scores is False
    assert len(caplog.records) == 1
