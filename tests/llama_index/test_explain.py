"""`AegisOllama.explain()`: it tells what the next call does, and does nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextvars import copy_context

import pytest
from llama_index.core.base.llms.types import ChatMessage
from typer.testing import CliRunner

from aegis_llm import Explanation, cache_control
from aegis_llm.cli import app
from tests.llama_index.kit import Kit, ask, origin

QUESTION = "How do I water a cactus?"
REWORDED = "How should I water a cactus?"
GATES = {"similarity": 0.9}
"""Settings by which the gates decide alone, whatever the weights of the score."""


@pytest.fixture(params=["blocking", "awaited"])
def explain(request: pytest.FixtureRequest) -> Iterator[Callable[..., Explanation]]:
    """Explains, blocking or awaited."""
    if request.param == "blocking":
        yield lambda model, *args, **given: model.explain(*args, **given)
        return
    with asyncio.Runner() as runner:
        yield lambda model, *args, **given: runner.run(
            model.aexplain(*args, **given), context=copy_context()
        )


@pytest.mark.parametrize("question", [QUESTION, REWORDED, "How do I water 7 cacti?"])
def test_it_tells_what_the_next_call_does(
    kit: Kit, explain: Callable[..., Explanation], question: str
) -> None:
    model = kit.aegis(judge="off")
    model.chat(ask(QUESTION))
    for _ in range(2):
        calls = kit.calls
        told = explain(model, ask(question))
        assert explain(model, question).key == told.key != ""
        assert kit.calls == calls
        found = origin(model.chat(ask(question)))
        assert (told.outcome, told.reason) == (found["outcome"], found["reason"])
        assert told.entry_id == found["entry_id"]


def test_a_prompt_is_that_of_complete(kit: Kit, explain: Callable[..., Explanation]) -> None:
    model = kit.aegis(**GATES)
    model.complete(QUESTION)
    assert explain(model, QUESTION).exact
    assert explain(model, REWORDED).outcome == "hit_semantic"


def test_control_holds_and_other_tenants_are_hidden(
    kit: Kit, explain: Callable[..., Explanation]
) -> None:
    model = kit.aegis()
    model.chat(ask(QUESTION))
    with cache_control(tenant="acme"):
        assert explain(model, REWORDED, elsewhere=3).elsewhere == ()
        everyone = explain(model, REWORDED, elsewhere=3, all_tenants=True)
        assert [one.elsewhere for one in everyone.elsewhere] == ["of another tenant or user"]
    with cache_control(bypass=True):
        assert explain(model, QUESTION).reason == "asked"


@pytest.mark.parametrize("given", ["", "\ud800", "x" * 100_000, "😀"])
def test_no_input_is_an_exception(
    kit: Kit, explain: Callable[..., Explanation], given: str
) -> None:
    told = explain(kit.aegis(), given)
    assert told.outcome in ("miss", "bypass")
    str(told).encode()


def test_messages_of_a_conversation(kit: Kit, explain: Callable[..., Explanation]) -> None:
    model = kit.aegis(**GATES)
    system = ChatMessage(role="system", content="Be brief.")
    model.chat(ask(QUESTION, system))
    assert explain(model, ask(REWORDED, system)).outcome == "hit_semantic"


def test_the_command_finds_what_the_model_stored(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEGIS_SIMILARITY", "0.9")
    model = kit.aegis(context_window=4096, embedding_id="OllamaEmbedding model_name=all-minilm")
    model.chat(ask(QUESTION))
    arguments = [
        "explain", REWORDED, "--framework", "llama-index", "--redis-url", kit.redis_url,
        "--namespace", kit.namespace, "--ollama-url", kit.ollama.base_url, "--json",
    ]  # fmt: skip
    told = json.loads(CliRunner().invoke(app, arguments).output)
    assert told["elsewhere"][0]["question"] == QUESTION
    arguments += ["--options", '{"num_ctx": 4096}']
    told = json.loads(CliRunner().invoke(app, arguments).output)
    assert told["outcome"] == "hit_semantic"
