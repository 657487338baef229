"""Why an entry of LangChain or LlamaIndex answers, told on the page as in the application."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from langchain_ollama import OllamaEmbeddings

from aegis_llm.cli_parts import OllamaEmbedder
from aegis_llm.control import cache_control
from aegis_llm.testing import OllamaSimulator
from llama_index.llms.aegis._embedder import derived_id
from tests.langchain.kit import Kit as Chains
from tests.llama_index.kit import Kit as Indexes
from tests.llama_index.kit import ask
from tests.ui.conftest import Serve
from tests.ui.visitor import Visitor

QUESTION = "How do I water a cactus?"
REWORDED = "How should I water a cactus?"
MODEL = "llama3.1:8b"


@pytest.fixture(autouse=True)
def _gates_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_SIMILARITY", "0.9")


@pytest.fixture
def visitor_of(serve: Serve) -> Iterator[Callable[..., Visitor]]:
    """Opens a page whose entries are of one embedder."""
    clients: list[httpx.Client] = []

    def opened(**given: Any) -> Visitor:
        page = serve(**given)
        clients.append(httpx.Client(base_url=page.base, follow_redirects=True))
        visitor = Visitor(clients[-1])
        visitor.read(page.url)
        return visitor

    yield opened
    for client in clients:
        client.close()


@pytest.fixture
def chains(ollama: OllamaSimulator, redis_url: str, namespace: str) -> Iterator[Chains]:
    embeddings: Any = OllamaEmbeddings(model="all-minilm", base_url=ollama.base_url)
    kit = Chains(ollama, redis_url, namespace, embeddings)
    yield kit
    kit.close()


@pytest.fixture
def indexes(ollama: OllamaSimulator, redis_url: str, namespace: str) -> Iterator[Indexes]:
    kit = Indexes(ollama, redis_url, namespace)
    yield kit
    kit.close()


def test_an_entry_of_langchain_and_of_its_tenant(
    chains: Chains, visitor_of: Callable[..., Visitor]
) -> None:
    with cache_control(tenant="acme"):
        chains.aegis(temperature=0.0).invoke([("system", "Be brief."), ("human", QUESTION)])
    visitor = visitor_of()
    given = {"model": MODEL, "system": "Be brief.", "options": '{"temperature": 0}'}
    mine = visitor.sent("/why", question=REWORDED, tenant="acme", **given)
    assert f'The answer to "{QUESTION}" would be served' in mine
    assert "the same request, stored" in visitor.sent(
        "/why", question=QUESTION, tenant="acme", **given
    )
    for other in ({}, {"tenant": "other"}, {"tenant": "acme", "user": "u"}):
        told = visitor.sent("/why", question=REWORDED, **given, **other)
        assert "The model would be asked" in told
        assert QUESTION not in told
    without = visitor.sent("/why", question=REWORDED, tenant="acme", model=MODEL)
    assert "another context, system text, history or options" in without


def test_an_entry_of_llama_index_with_the_options_it_sends(
    indexes: Indexes, visitor_of: Callable[..., Visitor]
) -> None:
    model = indexes.aegis()
    model.chat(ask(QUESTION))
    visitor = visitor_of(embedding_id=derived_id(indexes.embed_model))
    sent = json.dumps(indexes.body["options"])
    told = visitor.sent("/why", question=REWORDED, model=MODEL, options=sent)
    assert f'The answer to "{QUESTION}" would be served' in told
    missing = visitor_of().sent("/why", question=REWORDED, model=MODEL, options=sent)
    assert "--framework llama-index" in missing


def test_options_that_are_none_are_a_sentence(visitor: Visitor) -> None:
    for options in ("x", "[1]", "{", "[" * 3000):
        reply = visitor.send("/why", question=QUESTION, model=MODEL, options=options)
        assert (reply.status_code, "no JSON object" in reply.text) == (400, True)


def test_the_page_names_its_embedder_as_the_framework_does() -> None:
    with OllamaEmbedder("m", framework="llama-index") as embedder:
        assert embedder.embedding_id == "OllamaEmbedding model_name=m"
