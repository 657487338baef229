"""The examples run as they stand, given an Ollama and a Redis."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from aegis_llm import AegisConfig, service, vectorizing
from tests.langchain.kit import PATIENT, Kit, forget_stock_models

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _environment(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", kit.ollama.base_url)
    monkeypatch.setenv("AEGIS_REDIS_URL", kit.redis_url)
    monkeypatch.setenv("AEGIS_NAMESPACE", kit.namespace)
    for module in (service, vectorizing):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 30.0)  # a busy machine changes no outcome
    patient = AegisConfig.from_env().with_options(**PATIENT)
    monkeypatch.setattr(AegisConfig, "from_env", lambda: patient)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("name", ["langchain_rag", "langchain_cache", "langchain_chain"])
def test_an_example(kit: Kit, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    forget_stock_models()

    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [words[0] for words in told] == ["miss", "hit_local", "hit_semantic"]
    assert len({" ".join(words[-4:]) for words in told}) == 1
    assert kit.calls == 1


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_the_example_of_batching(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", kit.ollama.base_url)

    runpy.run_path(str(EXAMPLES / "langchain_batching.py"), run_name="__main__")
    forget_stock_models()

    *told, last = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in told] == ["parcel", "account", "payment"]
    words = last.split()
    calls = int(words[0])
    assert words[1:] == ["calls", "for", "60", "messages"]
    assert kit.ollama.count("/api/embed") == calls + 1 <= 30


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_the_example_of_embeddings(kit: Kit, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "langchain_embeddings.py"), run_name="__main__")
    forget_stock_models()

    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [words[0] for words in told] == ["computed", "kept"]
    assert [words[1:6] for words in told] == [["64", "vectors", "of", "384", "numbers,"]] * 2
    assert kit.ollama.count("/api/embed") * 5 <= 64


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_the_example_of_a_warm_start(kit: Kit, capsys: pytest.CaptureFixture[str]) -> None:
    loads = kit.ollama.loads

    runpy.run_path(str(EXAMPLES / "warm_start.py"), run_name="__main__")
    forget_stock_models()

    warmed, first = capsys.readouterr().out.splitlines()
    assert warmed.startswith("warm after ")
    assert "llama3.1:8b loaded in" in warmed
    assert "all-minilm loaded in" in warmed
    assert first.startswith("first question: ")
    assert kit.ollama.loads - loads == 2
