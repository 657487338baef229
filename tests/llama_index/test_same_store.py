"""LangChain and LlamaIndex share one store: what one cached, the other is served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_ollama import OllamaEmbeddings
from llama_index.core.llms import ChatMessage

from aegis_llm import AegisConfig, wiring
from langchain_aegis import ChatAegis
from tests.llama_index.kit import MODEL, PATIENT, Kit, outcome

SHARED = {"embedding_id": "all-minilm"}
"""The embedders of the two frameworks have different classes; one name makes them one index."""
SETTINGS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.7, "context_window": 2048},
    {"context_window": 4096, "thinking": False},
    {"temperature": 0, "additional_kwargs": {"seed": 3, "top_k": 5, "stop": ["END"]}},
]
Turns = list[tuple[str, str]]
CHATS: dict[str, Turns] = {
    "question": [("user", "What happens when the kettle is empty?")],
    "system": [
        ("system", "Answer from this context.\n\nAn empty kettle switches itself off."),
        ("user", "What happens when the kettle is empty?"),
    ],
    "history": [
        ("system", "You sell kettles."),
        ("user", "Is the kettle loud?"),
        ("assistant", "It is as loud as a whisper."),
        ("user", "What happens when the kettle is empty?"),
    ],
}
EACH_CHAT = pytest.mark.parametrize("turns", CHATS.values(), ids=CHATS)


@pytest.fixture
def embeddings(kit: Kit) -> Iterator[OllamaEmbeddings]:
    made = OllamaEmbeddings(model="all-minilm", base_url=kit.ollama.base_url)
    yield made
    made._client.close()


class Both:
    """The same model through both frameworks."""

    def __init__(self, kit: Kit, embeddings: Any, settings: dict[str, Any]) -> None:
        self.index = kit.aegis(**settings, **SHARED)
        extra = settings.get("additional_kwargs", {})
        self.chain = ChatAegis(
            model=MODEL,
            base_url=kit.ollama.base_url,
            redis_url=kit.redis_url,
            namespace=kit.namespace,
            embeddings=embeddings,
            aegis=AegisConfig().with_options(**(PATIENT | SHARED)),
            temperature=settings.get("temperature"),
            num_ctx=settings.get("context_window"),
            reasoning=settings.get("thinking"),
            **extra,
        )

    def ask_index(self, turns: Turns) -> tuple[str, str]:
        response = self.index.chat([ChatMessage(role=r, content=t) for r, t in turns])
        return outcome(response), str(response.message.content)

    def ask_chain(self, turns: Turns) -> tuple[str, str]:
        kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
        message = self.chain.invoke([kinds[role](text) for role, text in turns])
        return message.response_metadata["aegis"]["outcome"], str(message.content)

    def close(self) -> None:
        self.chain._client.close()
        self.chain._answering.service.store.close()


@pytest.fixture
def both(kit: Kit, embeddings: OllamaEmbeddings, request: Any) -> Iterator[Both]:
    made = Both(kit, embeddings, getattr(request, "param", {}))
    yield made
    made.close()


@EACH_CHAT
@pytest.mark.parametrize("both", SETTINGS, ids=str, indirect=True)
def test_what_langchain_cached_llama_index_is_served(kit: Kit, both: Both, turns: Turns) -> None:
    first, text = both.ask_chain(turns)
    assert first == "miss"
    assert both.ask_index(turns) == ("hit_local", text)
    assert both.ask_index(_reworded(turns)) == ("hit_semantic", text)
    assert both.ask_index(_another(turns))[0] == "miss"
    assert kit.calls == 2


@EACH_CHAT
@pytest.mark.parametrize("both", SETTINGS, ids=str, indirect=True)
def test_what_llama_index_cached_langchain_is_served(kit: Kit, both: Both, turns: Turns) -> None:
    first, text = both.ask_index(turns)
    assert first == "miss"
    assert both.ask_chain(turns) == ("hit_local", text)
    assert both.ask_chain(_reworded(turns)) == ("hit_semantic", text)
    assert both.ask_chain(_another(turns))[0] == "miss"
    assert kit.calls == 2


@EACH_CHAT
def test_also_from_redis_in_a_new_process(
    kit: Kit, embeddings: OllamaEmbeddings, turns: Turns
) -> None:
    first = Both(kit, embeddings, {"temperature": 0.0})
    _, text = first.ask_chain(turns)
    first.close()
    kit.forget()
    second = Both(kit, embeddings, {"temperature": 0.0})
    assert second.ask_index(turns) == ("hit_exact", text)
    second.close()
    kit.forget()
    third = Both(kit, embeddings, {"temperature": 0.0})
    assert third.ask_index(_reworded(turns)) == ("hit_semantic", text)
    third.close()
    assert kit.calls == 1


def test_a_stream_of_one_is_a_hit_of_the_other(kit: Kit, both: Both) -> None:
    turns = CHATS["history"]
    messages = [ChatMessage(role=role, content=text) for role, text in turns]
    *_, last = both.index.stream_chat(messages)
    assert both.ask_chain(turns) == ("hit_local", last.message.content)
    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    again = _another(turns)
    chunks = list(both.chain.stream([kinds[role](text) for role, text in again]))
    text = "".join(str(chunk.content) for chunk in chunks)
    assert both.ask_index(again) == ("hit_local", text)
    assert kit.calls == 2


def test_thinking_travels(kit: Kit, embeddings: OllamaEmbeddings) -> None:
    both = Both(kit, embeddings, {"thinking": True})
    both.index.model = both.chain.model = "qwen3:8b"
    turns = CHATS["question"]
    both.ask_chain(turns)
    hit = both.index.chat([ChatMessage(role=r, content=t) for r, t in turns])
    assert outcome(hit) == "hit_local"
    assert hit.message.blocks[0].block_type == "thinking"
    both.close()


def test_other_settings_are_not_mixed(kit: Kit, embeddings: OllamaEmbeddings) -> None:
    warm = Both(kit, embeddings, {"temperature": 0.7})
    cold = Both(kit, embeddings, {"temperature": 0.0})
    turns = CHATS["question"]
    warm.ask_chain(turns)
    assert cold.ask_index(turns)[0] == "miss"
    warm.close()
    cold.close()
    wiring.forget_all()


def _reworded(turns: Turns) -> Turns:
    return [*turns[:-1], ("user", "What happens if the kettle is empty?")]


def _another(turns: Turns) -> Turns:
    return [*turns[:-1], ("user", "What happens when the kettle is not empty?")]
