"""The official Python client, unmodified, on the simulator."""

from collections.abc import AsyncIterator, Iterator

import ollama
import pytest

from aegis_llm.testing import OllamaSimulator

MODEL = "llama3.1:8b"
RULES = "Context: Returns are accepted within 30 days. Shipping takes 5 days."


def messages(question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": RULES}, {"role": "user", "content": question}]


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: the first number
        b: the second number
    """
    return a + b


@pytest.fixture
def client(sim: OllamaSimulator) -> Iterator[ollama.Client]:
    with ollama.Client(sim.base_url) as client:
        yield client


@pytest.fixture
async def async_client(sim: OllamaSimulator) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(sim.base_url) as client:
        yield client


def test_chat(client: ollama.Client) -> None:
    answer = client.chat(MODEL, messages("How long does shipping take?"))
    assert answer.message.content == "Shipping takes 5 days."
    parts = list(client.chat(MODEL, messages("How long does shipping take?"), stream=True))
    assert "".join(part.message.content or "" for part in parts) == "Shipping takes 5 days."
    assert parts[-1].done
    assert parts[-1].eval_count == len(parts) - 1


def test_models(client: ollama.Client) -> None:
    assert [model.model for model in client.list().models][:2] == [MODEL, "all-minilm:latest"]
    assert client.show("qwen3:8b").capabilities == ["completion", "tools", "thinking"]
    client.generate(MODEL)
    assert [model.model for model in client.ps().models] == [MODEL]


def test_generate(client: ollama.Client) -> None:
    answer = client.generate(MODEL, "What is 2 + 3?", system="Be brief.")
    assert answer.response == "2 + 3 is 5."
    parts = client.generate(MODEL, "What is 2 + 3?", stream=True)
    assert "".join(part.response for part in parts) == "2 + 3 is 5."


def test_embeddings(client: ollama.Client) -> None:
    assert len(client.embed("all-minilm", ["a", "b"]).embeddings) == 2
    assert len(client.embeddings("all-minilm", "a").embedding) == 384


def test_tools(client: ollama.Client) -> None:
    asked = [{"role": "user", "content": "Please add 17 and 25."}]
    answer = client.chat(MODEL, asked, tools=[add])
    assert answer.message.tool_calls is not None
    (call,) = answer.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("add", {"a": 17, "b": 25})
    told = [*asked, answer.message, {"role": "tool", "content": "42", "tool_name": "add"}]
    final = client.chat(MODEL, told, tools=[add])
    assert "42" in (final.message.content or "")
    assert not final.message.tool_calls


def test_format(client: ollama.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"days": {"type": "integer"}, "answer": {"type": "string"}},
        "required": ["days", "answer"],
    }
    answer = client.chat(MODEL, messages("How long does shipping take?"), format=schema)
    assert answer.message.content == '{"days":5,"answer":"Shipping takes 5 days."}'
    loose = client.chat(MODEL, messages("How long does shipping take?"), format="json")
    assert loose.message.content == '{"answer":"Shipping takes 5 days."}'


def test_errors(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as caught:
        client.chat("nope", messages("Hello"))
    assert caught.value.status_code == 404


async def test_async(async_client: ollama.AsyncClient) -> None:
    answer = await async_client.chat(MODEL, messages("How long does shipping take?"))
    assert answer.message.content == "Shipping takes 5 days."
    parts = [
        part.response
        async for part in await async_client.generate(MODEL, "What is 2 + 3?", stream=True)
    ]
    assert "".join(parts) == "2 + 3 is 5."
    assert len((await async_client.embed("all-minilm", "a")).embeddings) == 1
    assert len((await async_client.list()).models) == 4
