"""`aegis-llm explain`: it finds what the chains stored, and answers bad input with a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from aegis_llm import cache_control
from aegis_llm.cli_parts import OllamaEmbedder
from langchain_aegis._embedder import LangChainEmbedder
from tests.langchain.kit import Kit

Command = Callable[..., Result]
QUESTION = "How do I water a cactus?"
REWORDED = "How should I water a cactus?"


def servers(kit: Kit) -> list[str]:
    """The options that name the servers of a test."""
    return [
        "--redis-url", kit.redis_url, "--namespace", kit.namespace,
        "--ollama-url", kit.ollama.base_url,
    ]  # fmt: skip


@pytest.fixture
def told(command: Command, kit: Kit) -> Callable[..., dict[str, Any]]:
    """Explains, and returns what `--json` prints."""

    def explain(*arguments: str) -> dict[str, Any]:
        result = command("explain", *arguments, *servers(kit), "--json")
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.output)
        return found

    return explain


def test_it_finds_what_a_chain_stored(kit: Kit, told: Callable[..., dict[str, Any]]) -> None:
    kit.aegis().invoke(QUESTION)
    calls = kit.calls
    assert told(QUESTION)["outcome"] == "hit_exact"
    near = told(REWORDED)
    assert (near["outcome"], near["in_the_way"]) == ("hit_semantic", [])
    assert near["candidates"][0]["question"] == QUESTION
    assert near["candidates"][0]["served"] is True
    assert kit.calls == calls


def test_the_options_make_the_same_request(kit: Kit, told: Callable[..., dict[str, Any]]) -> None:
    model = kit.aegis(temperature=0.0, num_ctx=2048)
    model.invoke([("system", "Be brief."), ("human", QUESTION)])
    options = '{"temperature": 0, "num_ctx": 2048}'
    same = told(REWORDED, "--system", "Be brief.", "--options", options)
    assert same["outcome"] == "hit_semantic"
    other = told(REWORDED)
    assert (other["outcome"], other["reason"]) == ("miss", "no_candidate")
    [one] = other["elsewhere"]
    assert (one["question"], one["accept"]) == (QUESTION, True)
    assert one["elsewhere"] == "with another context, system text, history or options"
    assert told(REWORDED, "--entries", "0")["elsewhere"] == []


def test_tenants_are_kept_apart(kit: Kit, told: Callable[..., dict[str, Any]]) -> None:
    with cache_control(tenant="acme"):
        kit.aegis().invoke(QUESTION)
    assert told(REWORDED, "--tenant", "acme")["outcome"] == "hit_semantic"
    assert told(REWORDED)["elsewhere"] == []
    assert told(REWORDED, "--tenant", "acme", "--user", "u")["elsewhere"] == []
    [one] = told(REWORDED, "--all-tenants")["elsewhere"]
    assert one["elsewhere"] == "of another tenant or user"


def test_the_table_is_read_at_once(kit: Kit, command: Command) -> None:
    kit.aegis().invoke(QUESTION)
    output = command("explain", REWORDED, *servers(kit)).output
    assert output.startswith(f'hit_semantic  The answer to "{QUESTION}" would be served')
    assert output.rstrip().endswith("served")


def test_an_embedder_of_another_name_is_told(kit: Kit, command: Command) -> None:
    kit.aegis().invoke(QUESTION)
    output = command("explain", REWORDED, *servers(kit), "--framework", "llama-index").output
    assert "no index of this embedder" in output
    assert "--embedding-id" in output


def test_the_embedder_is_named_as_the_framework_names_it(kit: Kit) -> None:
    with OllamaEmbedder("all-minilm", kit.ollama.base_url) as embedder:
        assert embedder.embedding_id == LangChainEmbedder(kit.embeddings).embedding_id
    with OllamaEmbedder("m", framework="llama-index") as embedder:
        assert embedder.embedding_id == "OllamaEmbedding model_name=m"
    with OllamaEmbedder("m", embedding_id="mine") as embedder:
        assert embedder.embedding_id == "mine"


def test_without_any_server(command: Command) -> None:
    result = command("explain", QUESTION, "--redis-url", "redis://127.0.0.1:1",
                     "--ollama-url", "http://127.0.0.1:1")  # fmt: skip
    assert result.exit_code == 0
    assert "bypass" in result.output
    assert "does not answer" in result.output


def test_a_redis_that_is_not_there(command: Command, kit: Kit) -> None:
    result = command("explain", QUESTION, "--redis-url", "redis://:secret@127.0.0.1:1",
                     "--ollama-url", kit.ollama.base_url)  # fmt: skip
    assert "redis_down (Redis does not answer)" in result.output
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([""], "The question is empty"),
        (["  \n "], "The question is empty"),
        (["a\udcff"], "bytes that are no text"),
        (["Why?", "--against", ""], "question of --against is empty"),
        (["Why?", "--similarity", "0.9"], "--similarity needs --against"),
        (["Why?", "--options", "[1]"], "--options is no JSON object"),
        (["Why?", "--options", "{"], "--options is no JSON object"),
        (["Why?", "--ollama-url", "http://[::1"], "is not usable"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(
    command: Command, arguments: list[str], sentence: str
) -> None:
    result = command("explain", *arguments)
    assert result.exit_code == 2
    assert sentence in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--namespace", "a b"], "namespace 'a b' is not usable"),
        (["--redis-url", "http://x"], "redis_url 'http://x' is not usable"),
        (["--tenant", ""], "tenant"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    command: Command, arguments: list[str], sentence: str
) -> None:
    result = command("explain", "Why?", *arguments)
    assert result.exit_code == 1
    assert sentence in result.output


def test_long_and_odd_questions(told: Callable[..., dict[str, Any]], kit: Kit) -> None:
    assert told("why " * 25_000)["no_question"] == "question_not_separable"
    for question in ("مرحبا بالعالم؟", "😀😀😀", "[bold]Why?[/bold]", "Why\x1b[31m?"):
        assert told(question)["outcome"] in ("miss", "bypass")


@pytest.mark.parametrize(
    ("against", "similarity", "words"),
    [
        ("How do I water 3 cacti?", None, ["would not be served", "veto_numbers"]),
        ("How should I water 2 cacti?", None, ["would be served", "similarity"]),
        ("How should I water 2 cacti?", "0.97", ["would be served", "0.970"]),
        ("How should I water 2 cacti?", "0.5", ["would not be served", "below_"]),
        ("why " * 25_000, None, ["Never by meaning", "longer than the embedder reads"]),
    ],
)
def test_two_questions_side_by_side(
    command: Command, kit: Kit, against: str, similarity: str | None, words: list[str]
) -> None:
    given = [] if similarity is None else ["--similarity", similarity]
    result = command("explain", "How do I water 2 cacti?", "--against", against, *given,
                     "--ollama-url", kit.ollama.base_url)  # fmt: skip
    assert result.exit_code == 0
    for word in words:
        assert word in result.output


def test_two_questions_without_any_server(command: Command) -> None:
    nowhere = ["--ollama-url", "http://127.0.0.1:1"]
    asked = ["explain", "How do I water 2 cacti?", "--against"]
    vetoed = command(*asked, "How do I water 3 cacti?", *nowhere)
    assert "veto_numbers" in vetoed.output
    unknown = command(*asked, "How should I water 2 cacti?", *nowhere)
    assert "No gate objects" in unknown.output
    given = command(*asked, "How should I water 2 cacti?", "--similarity", "0.99", "--json")
    told = json.loads(given.output)
    assert (told["decision"]["accept"], told["similarity"]) == (True, 0.99)
    assert [way["kind"] for way in told["routes"]] == ["reuse", "reuse"]
