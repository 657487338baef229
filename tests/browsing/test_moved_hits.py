"""What LangChain and LlamaIndex found before an export, they find after its import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_ollama import OllamaEmbeddings

from aegis_llm.browsing import Browser
from aegis_llm.control import cache_control
from aegis_llm.testing import OllamaSimulator
from tests.langchain.kit import Kit as Chains
from tests.llama_index.kit import Kit as Indexes
from tests.llama_index.kit import ask, origin

QUESTIONS = ("How do I water a cactus?", "How do I reset my password?")
REWORDED = ("How should I water a cactus?", "How can I reset my password?")
TENANTS = ("acme", "other")
Ask = Callable[[str], tuple[str, str, str]]
Opened = Callable[..., Browser]


@pytest.fixture(params=["langchain", "llama_index"])
def asking(
    request: pytest.FixtureRequest,
    ollama: OllamaSimulator,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], Ask]]:
    """Opens an application on a namespace; a call tells outcome, entry and answer."""
    monkeypatch.setenv("AEGIS_SIMILARITY", "0.9")
    kits: list[Any] = []

    def chain(namespace: str) -> Ask:
        embeddings: Any = OllamaEmbeddings(model="all-minilm", base_url=ollama.base_url)
        kits.append(Chains(ollama, redis_url, namespace, embeddings))
        model = kits[-1].aegis(temperature=0.0, local_max_bytes=0, similarity=0.9)

        def call(question: str) -> tuple[str, str, str]:
            reply = model.invoke([("system", "Be brief."), ("human", question)])
            told = reply.response_metadata["aegis"]
            return told["outcome"], told["entry_id"], str(reply.content)

        return call

    def index(namespace: str) -> Ask:
        kits.append(Indexes(ollama, redis_url, namespace))
        model = kits[-1].aegis(local_max_bytes=0, similarity=0.9)

        def call(question: str) -> tuple[str, str, str]:
            reply = model.chat(ask(question))
            told = origin(reply)
            return told["outcome"], told["entry_id"], str(reply.message.content)

        return call

    yield chain if request.param == "langchain" else index
    for kit in kits:
        kit.close()


def hits(call: Ask) -> dict[tuple[str, str], tuple[str, str, str]]:
    found = {}
    for tenant in TENANTS:
        with cache_control(tenant=tenant, documents=["d"]):
            found |= {(tenant, asked): call(asked) for asked in (*QUESTIONS, *REWORDED)}
    return found


def test_what_was_found_before_is_found_after(
    asking: Callable[[str], Ask],
    open_namespace: Opened,
    namespace: str,
    ollama: OllamaSimulator,
) -> None:
    first, second = open_namespace(), open_namespace(f"{namespace}-b")
    call = asking(namespace)
    for tenant in TENANTS:
        with cache_control(tenant=tenant, documents=["d"]):
            for question in QUESTIONS:
                call(question)
    before = hits(call)
    assert {outcome for outcome, _, _ in before.values()} == {"hit_exact", "hit_semantic"}
    lines = list(first.export())
    assert second.take_in(lines).stored == len(QUESTIONS) * len(TENANTS)
    calls = ollama.count("/api/chat")
    assert hits(asking(f"{namespace}-b")) == before
    assert ollama.count("/api/chat") == calls
    assert second.invalidate(["d"], []) == len(QUESTIONS) * len(TENANTS)
