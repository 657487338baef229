"""`aegis-llm calibrate`: labelled pairs in, a threshold with a bound out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from aegis_llm.cli_calibrate import score
from aegis_llm.labelled import Pair
from aegis_llm.matching import Matcher
from aegis_llm.testing import OllamaSimulator

Command = Callable[..., Result]
THINGS = (
    "cactus", "rose", "tulip", "fern", "orchid", "ivy", "palm", "lily", "daisy", "basil", "mint",
    "thyme", "sage", "aloe", "maple", "oak", "birch", "pine", "cedar", "willow",
)  # fmt: skip


def line(a: str, b: str, same: Any) -> str:
    return json.dumps({"a": a, "b": b, "same": same})


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Twenty rewordings, twenty look-alikes and twenty pairs that have nothing in common."""
    lines = []
    for number, thing in enumerate(THINGS):
        asked = f"How do I water a {thing}?"
        lines += [
            line(asked, f"How should I water a {thing}?", True),
            line(asked, f"How do I not water a {thing}?", False),
            line(asked, f"What does {number + 3} plus {number} make?", False),
        ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines) + "\n\n")
    return path


def test_a_calibration_is_written(
    command: Command, pairs: Path, tmp_path: Path, ollama: OllamaSimulator
) -> None:
    out = tmp_path / "made.json"
    result = command("calibrate", "--pairs", str(pairs), "--out", str(out),
                     "--max-wrong-hits", "0.3", "--ollama-url", ollama.base_url)  # fmt: skip
    assert result.exit_code == 0, result.output
    made = json.loads(out.read_bytes())
    assert made["v"] == 1
    assert made["embedder"] == "all-minilm:latest"
    assert len(made["digest"]) == 64
    assert made["created"].endswith("+00:00")
    assert (made["max_wrong_hits"], made["confidence"]) == (0.3, 0.95)
    assert made["labels"] == [True, False, False] * 20
    assert len(made["scores"]) == 60
    assert all(score == 0 for score in made["scores"][1::3])
    served = [s for s in made["scores"] if s >= made["threshold"]]
    assert len(served) >= 13
    for word in ("60", "20 the same, 40 different", "wrong hits", "recall", str(out)):
        assert word in result.output
    for text in ("cactus", "water"):
        assert text not in out.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl", "made.json"] or (
        sorted(path.name for path in tmp_path.iterdir()) == ["made.json", "pairs.jsonl"]
    )
    embedded = [call for call in ollama.calls if call.path == "/api/embed"]
    assert len(embedded) == 2  # 80 different texts


def test_too_few_pairs_says_how_many(
    command: Command, pairs: Path, tmp_path: Path, ollama: OllamaSimulator
) -> None:
    out = tmp_path / "made.json"
    result = command("calibrate", "--pairs", str(pairs), "--out", str(out),
                     "--ollama-url", ollama.base_url)  # fmt: skip
    assert result.exit_code == 1
    assert "228" in result.output
    assert not out.exists()


def test_one_class_only(command: Command, tmp_path: Path, ollama: OllamaSimulator) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(line(f"Why {t}?", f"Why a {t}?", True) for t in THINGS))
    result = command("calibrate", "--pairs", str(path), "--out", str(tmp_path / "c.json"),
                     "--max-wrong-hits", "0.3", "--ollama-url", ollama.base_url)  # fmt: skip
    assert result.exit_code == 1
    assert "pairs of both kinds" in result.output


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "no pairs"),
        (b"\n\n", "no pairs"),
        (b'{"a": "x?"', "line 1: no JSON"),
        (b'\n{"a": "x?", "b": "y?", "same": true}\nnot JSON', "line 3: no JSON"),
        (b"\xff\xfe", "line 1: no JSON"),
        (b'["a", "b", true]', "line 1: no JSON object"),
        (b'{"a": "x?", "same": true}', "line 1: 'b' is missing"),
        (b'{"a": "x?", "b": "y?"}', "line 1: 'same' is missing"),
        (b'{"a": "x?", "b": "y?", "same": 1}', "line 1: 'same' is neither"),
        (b'{"a": "x?", "b": "y?", "same": "yes"}', "line 1: 'same' is neither"),
        (b'{"a": 5, "b": "y?", "same": true}', "line 1: 'a' is no text"),
        (b'{"a": "x?", "b": "  ", "same": true}', "line 1: 'b' is empty"),
        (b'{"a": "x?", "b": "\\ud800", "same": true}', "line 1:"),
        (b'{"a": "x?", "b": "' + b"why " * 25_000 + b'", "same": true}', "line 1: 'b' is longer"),
        (
            b'{"a": "x?", "b": "y?", "same": true}\n{"a": "y?", "b": "x?", "same": false}',
            "line 2: the same two questions as in line 1",
        ),
    ],
    ids=["empty", "blank", "cut", "no JSON", "bytes", "list", "no b", "no same", "number", "word",
         "number as text", "blank b", "surrogate", "long", "twice"],
)  # fmt: skip
def test_a_bad_file_is_one_sentence_with_its_line(
    command: Command, tmp_path: Path, text: bytes, sentence: str
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(text)
    out = tmp_path / "c.json"
    result = command("calibrate", "--pairs", str(path), "--out", str(out),
                     "--ollama-url", "http://127.0.0.1:1")  # fmt: skip
    assert result.exit_code == 1
    assert sentence in result.output.replace("\n", " ")
    assert not out.exists()


def test_files_that_are_not_there(command: Command, tmp_path: Path, pairs: Path) -> None:
    absent = command("calibrate", "--pairs", str(tmp_path / "no"))
    assert (absent.exit_code, "cannot be read" in absent.output) == (2, True)
    folder = command("calibrate", "--pairs", str(pairs), "--out", str(tmp_path))
    assert (folder.exit_code, "is a folder" in folder.output) == (2, True)
    nowhere = command("calibrate", "--pairs", str(pairs), "--out", str(tmp_path / "x" / "y"))
    assert (nowhere.exit_code, "there is no folder" in nowhere.output) == (2, True)


def test_an_ollama_that_is_not_there_or_has_no_such_model(
    command: Command, pairs: Path, ollama: OllamaSimulator, tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "c.json")]
    given = ["calibrate", "--pairs", str(pairs), *out]
    absent = command(*given, "--ollama-url", "http://127.0.0.1:1")
    assert (absent.exit_code, "no Ollama answers" in absent.output) == (1, True)
    unknown = command(*given, "--ollama-url", ollama.base_url, "--embedding-model", "no-such")
    assert unknown.exit_code == 1
    assert "ollama pull no-such" in unknown.output


def test_what_never_hits_has_the_score_0() -> None:
    matcher = Matcher()
    assert score(matcher, Pair("Is it 3?", "Is it 4?", same=False), 0.99) == 0.0
    assert (
        score(
            matcher,
            Pair("How do I bleed a radiator?", "How do I bleed a radiator", same=True),
            0.95,
        )
        == 1.0
    )
    assert score(matcher, Pair("Is it so?", "Was a cat red?", same=False), -0.5) == 0.0
    assert score(matcher, Pair("Is it raining now?", "Is it raining now", same=True), 1.0) == 0.0


def test_where_rules_alone_decide_a_pair_hits_at_any_threshold_or_never() -> None:
    """No score is made of these; their similarity is no substitute for one."""
    matcher = Matcher()
    french = Pair("Comment arroser un cactus ?", "Comment arroser un cactus", same=True)
    assert score(matcher, french, 0.96) == 1.0
    other = Pair("Comment arroser un cactus ?", "Comment arroser une rose ?", same=False)
    assert score(matcher, other, 0.96) == 0.0


def test_the_score_is_made_whatever_the_embedder() -> None:
    pair = Pair("How do I bleed a radiator?", "How should I bleed a radiator?", same=True)
    low, high = (score(Matcher(), pair, similarity) for similarity in (0.6, 0.97))
    assert 0 < low < high < 1


def test_a_calibration_is_used_for_its_embedder_alone(
    command: Command, pairs: Path, tmp_path: Path, ollama: OllamaSimulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("AEGIS_SIMILARITY")
    out = tmp_path / "made.json"
    servers = ["--ollama-url", ollama.base_url]
    made = command("calibrate", "--pairs", str(pairs), "--out", str(out),
                   "--max-wrong-hits", "0.3", *servers)  # fmt: skip
    assert made.exit_code == 0, made.output
    asked = ["explain", "How do I water a fern?", "--against", "How should I water a fern?",
             "--calibration", str(out), "--similarity", "0.97", "--json"]  # fmt: skip
    told = json.loads(command(*asked).output)
    assert told["decision"]["threshold"] == json.loads(out.read_bytes())["threshold"]
    assert (told["decision"]["score"] > 0, told["unscored"]) == (True, "")
    other = json.loads(command(*asked, "--embedding-model", "bge-large").output)
    assert (other["decision"]["score"], other["decision"]["threshold"]) == (None, 0.95)
    assert "was made for another embedder" in other["unscored"]
    plain = command(*asked[:-1], "--embedding-model", "bge-large").output
    assert "was made for another embedder" in plain
