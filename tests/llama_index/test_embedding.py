"""AegisEmbedding: what LlamaIndex's OllamaEmbedding gives, asked for once and kept in Redis."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.ingestion import IngestionPipeline

from aegis_llm import AegisConfig, ConfigError, wiring
from aegis_llm.errors import TextTooLongError
from aegis_llm.testing import MiniLM, OllamaSimulator
from llama_index.llms.aegis import AegisEmbedding
from llama_index.llms.aegis._embedder import derived_id
from tests.llama_index.kit import FACTS, PATIENT

PATH = "/api/embed"
TEXTS = [f"fact number {n}" for n in range(25)]
ARGUMENTS = (
    "model_name", "base_url", "embed_batch_size", "ollama_additional_kwargs", "query_instruction",
    "text_instruction", "callback_manager", "client_kwargs", "keep_alive",
)  # fmt: skip
"""Those of llama-index-embeddings-ollama 0.10, in their order."""


class Makes:
    """Makes models and closes what they opened."""

    def __init__(self, ollama: OllamaSimulator, redis_url: str, namespace: str) -> None:
        self.ollama = ollama
        self.given = {"redis_url": redis_url, "namespace": namespace}
        self.made: list[AegisEmbedding] = []

    def __call__(self, **given: Any) -> AegisEmbedding:
        settings: dict[str, Any] = {
            "model_name": "all-minilm",
            "base_url": self.ollama.base_url,
            "aegis": AegisConfig().with_options(**PATIENT),
            **self.given,
        }
        made = AegisEmbedding(**(settings | given))
        self.made.append(made)
        vectors = made._links.vectors
        vectors.kept.digests.ask(vectors.source.models.server, "all-minilm:latest", 10.0)
        return made

    @property
    def sent(self) -> list[list[str]]:
        """The texts of each request so far."""
        return [list(call.body["input"]) for call in self.ollama.calls if call.path == PATH]

    def new_process(self) -> None:
        """Be as a new process: only Redis is kept."""
        self.close()
        wiring.forget_all()

    def close(self) -> None:
        for made in self.made:
            made._links.vectors.kept.store.close()


@pytest.fixture
def make(ollama: OllamaSimulator, redis_url: str, namespace: str) -> Iterator[Makes]:
    makes = Makes(ollama, redis_url, namespace)
    yield makes
    makes.close()


def right(vectors: Any, texts: list[str]) -> bool:
    return np.allclose(vectors, MiniLM().embed(texts), atol=1e-5)


def test_it_takes_what_the_stock_class_takes() -> None:
    taken = list(inspect.signature(AegisEmbedding.__init__).parameters)
    assert tuple(taken[1:-1]) == ARGUMENTS
    positional = AegisEmbedding("m", "http://h:1", 5, {"num_ctx": 9}, "q", "t", None, {}, "1h")
    assert positional.model_name == "m"
    assert positional.embed_batch_size == 5
    assert positional.keep_alive == "1h"
    assert AegisEmbedding("m").base_url == "http://localhost:11434"


def test_every_way_to_embed_gives_the_right_vectors(make: Makes) -> None:
    made = make()
    assert right(made.get_text_embedding_batch(TEXTS), TEXTS)
    assert right([made.get_text_embedding(TEXTS[0])], TEXTS[:1])
    assert right([made.get_query_embedding(TEXTS[1])], TEXTS[1:2])
    assert right([made.get_general_text_embedding(TEXTS[2])], TEXTS[2:3])
    assert [len(texts) for texts in make.sent] == [10, 10, 5], "embed_batch_size holds"

    async def awaited() -> list[Any]:
        return [
            await made.aget_text_embedding_batch(TEXTS),
            [await made.aget_text_embedding(TEXTS[0])],
            [await made.aget_query_embedding(TEXTS[1])],
            [await made.aget_general_text_embedding(TEXTS[2])],
        ]

    batch, *single = asyncio.run(awaited())
    assert right(batch, TEXTS)
    assert all(right(vectors, [TEXTS[at]]) for at, vectors in enumerate(single))
    assert len(make.sent) == 3


def test_no_texts_are_no_request(make: Makes) -> None:
    made = make()
    assert made.get_text_embedding_batch([]) == []
    assert asyncio.run(made.aget_text_embedding_batch([])) == []
    assert make.sent == []


def test_instructions_and_options_are_sent(make: Makes, ollama: OllamaSimulator) -> None:
    made = make(
        query_instruction=" Ask: ",
        text_instruction="Text:",
        ollama_additional_kwargs={"num_ctx": 200},
        keep_alive="1h",
    )
    made.get_query_embedding(" why ")
    made.get_text_embedding(" because ")
    assert make.sent == [["Ask: why"], ["Text: because"]]
    body = ollama.calls[-1].body
    assert body["options"] == {"num_ctx": 200}
    assert body["keep_alive"] == "1h"
    assert body["truncate"] is False


def test_a_hit_asks_ollama_nothing_in_a_new_process(make: Makes) -> None:
    make().get_text_embedding_batch(TEXTS)
    make.new_process()
    assert right(make().get_text_embedding_batch(TEXTS[::-1]), TEXTS[::-1])
    assert len(make.sent) == 3


def test_a_text_that_is_too_long_is_named(make: Makes) -> None:
    made = make()
    with pytest.raises(TextTooLongError, match="text 2 of 3"):
        made.get_text_embedding_batch(["a", "tree " * 300, "b"])
    assert len(make(truncate=True).get_text_embedding("tree " * 300)) == 384


def test_an_index_is_built_and_asked(make: Makes) -> None:
    made = make()
    documents = [Document(text=fact, id_=f"f{n}") for n, fact in enumerate(FACTS)]
    index = VectorStoreIndex.from_documents(documents, embed_model=made)
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("How long is a kettle's warranty?")
    assert found.text == FACTS[3]
    Settings.embed_model = made
    assert Settings.embed_model is made


def test_events_are_told(make: Makes) -> None:
    handler = LlamaDebugHandler(print_trace_on_end=False)
    made = make(callback_manager=CallbackManager([handler]))
    made.get_text_embedding("a")
    assert len(handler.get_event_pairs()) == 1


def test_an_ingestion_pipeline_with_workers(make: Makes) -> None:
    """The workers are processes: each gets a copy that connects by itself, and keeps in Redis."""
    documents = [Document(text=fact) for fact in FACTS]
    made = make()
    pipeline = IngestionPipeline(transformations=[made], disable_cache=True)
    nodes = pipeline.run(documents=documents, num_workers=2)
    assert right([node.embedding for node in nodes], [node.get_content() for node in nodes])
    assert sorted(text for texts in make.sent for text in texts) == sorted(FACTS)
    asyncio.run(pipeline.arun(documents=documents))
    assert sorted(text for texts in make.sent for text in texts) == sorted(FACTS)


def test_an_error_comes_back_from_a_worker(make: Makes) -> None:
    documents = [Document(text=text) for text in ("a", "tree " * 300)]
    pipeline = IngestionPipeline(transformations=[make()], disable_cache=True)
    with pytest.raises(TextTooLongError, match="1499 characters"):
        pipeline.run(documents=documents, num_workers=2)


def test_a_copy_is_the_same_and_settings_changed_later_hold(make: Makes) -> None:
    made = make()
    copied = copy.deepcopy(made)
    assert copied._links is made._links
    other = made.model_copy(update={"namespace": "elsewhere"})
    made.get_text_embedding("a")
    other.get_text_embedding("a")
    made.ollama_additional_kwargs = {"num_ctx": 100}
    made.get_text_embedding("a")
    assert len(make.sent) == 3
    made.base_url = "http://127.0.0.1:9"
    with pytest.raises(ConnectionError):
        made.get_text_embedding("b")
    with pytest.raises(ConfigError, match="namespace"):
        made.namespace = "not a name"


def test_it_is_serialized_without_secrets() -> None:
    made = AegisEmbedding(
        "all-minilm",
        redis_url="redis://:hunter2@localhost:1",
        client_kwargs={"headers": {"x": "hunter2"}},
        ttl=5,
    )
    assert "hunter2" not in f"{made!r} {made.to_dict()} {made.to_payload()}"
    again = AegisEmbedding.from_dict(made.to_dict())
    assert (again.model_name, again.ttl) == ("all-minilm", 5)


def test_its_name_is_that_of_the_stock_class() -> None:
    """So that the semantic tier of both is one, and the calibrated score holds."""
    given: dict[str, Any] = {"model_name": "all-minilm", "query_instruction": "Q:"}
    made = AegisEmbedding(**given, namespace="app", ttl=5, truncate=True, redis_url="memory://")
    assert derived_id(made) == "OllamaEmbedding model_name=all-minilm query_instruction=Q:"
    assert derived_id(AegisEmbedding(**given, ollama_additional_kwargs={"num_ctx": 9})) != (
        derived_id(made)
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"redis_ulr": "redis://x"}, "did you mean 'redis_url'"),
        ({"local_max_bytes": 0}, r"aegis=AegisConfig\(\)"),
        ({"aegis": {}}, "AegisConfig"),
        ({"ttl": -1}, "ttl"),
    ],
)
def test_a_wrong_setting_is_said_at_once(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AegisEmbedding("all-minilm", **given)
