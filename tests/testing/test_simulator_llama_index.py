"""LlamaIndex's stock Ollama classes on the simulator."""

from collections.abc import Iterator

import ollama
import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.ollama import Ollama
from pydantic import BaseModel

from aegis_llm.testing import HashedNgrams, OllamaSimulator

FACTS = (
    "Returns are accepted within 30 days.",
    "Shipping takes 5 days.",
    "Gift cards never expire.",
)


class Words(BaseEmbedding):
    """Hashed n-grams, so that the index finds its documents."""

    def _get_text_embedding(self, text: str) -> list[float]:
        found: list[float] = HashedNgrams().embed([text])[0].tolist()
        return found

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class City(BaseModel):
    name: str
    population: int


@pytest.fixture
def llm(sim: OllamaSimulator) -> Iterator[Ollama]:
    # A client of our own, because LlamaIndex never closes the one it makes.
    with ollama.Client(sim.base_url) as client:
        yield Ollama(model="llama3.1:8b", base_url=sim.base_url, client=client)


def test_a_query_engine_answers_from_its_documents(llm: Ollama) -> None:
    documents = [Document(text=fact) for fact in FACTS]
    index = VectorStoreIndex.from_documents(documents, embed_model=Words())
    engine = index.as_query_engine(llm=llm)
    assert str(engine.query("How long does shipping take?")) == "Shipping takes 5 days."


def test_a_stream_joins_to_the_answer(llm: Ollama) -> None:
    message = ChatMessage(role="user", content="What is 2 + 3?")
    assert "".join(part.delta or "" for part in llm.stream_chat([message])) == "2 + 3 is 5."


def test_structured(llm: Ollama) -> None:
    message = ChatMessage(role="user", content='The city is "Rome" with population 2800000')
    found = llm.as_structured_llm(City).chat([message]).raw
    assert found == City(name="Rome", population=2_800_000)


def test_tools(llm: Ollama) -> None:
    tool = FunctionTool.from_defaults(lambda city: city, name="weather", description="Weather.")
    answer = llm.chat_with_tools([tool], "What is the weather in Rome?")
    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Rome"})
