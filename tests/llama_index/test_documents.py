"""Answers know the documents they were made from: retrievals are tied to the span of the call."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import ChatMessage
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

from aegis_llm import codec
from aegis_llm.values import Entry
from llama_index.llms.aegis import _documents
from llama_index.llms.aegis._documents import documents_of
from tests.llama_index.kit import Kit
from tests.llama_index.test_chat_engines import WAYS as CHAT_WAYS
from tests.llama_index.test_chat_engines import engine_of as chat_engine_of
from tests.llama_index.test_query_engines import EVERY_WAY, QUESTION, WAYS, Way, use


class Numbered(BaseRetriever):
    """Finds the one node that the question names last."""

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        number = query_bundle.query_str.rstrip("?").split()[-1]
        node = TextNode(text=f"The code of item {number} is {number}00.", id_=f"item-{number}")
        return [NodeWithScore(node=node, score=1.0)]


def entries(kit: Kit) -> dict[str, Entry]:
    """Return what the exact tier holds, by the text of the answer."""
    with redis.Redis.from_url(kit.redis_url) as client:
        keys = client.scan_iter(f"aegis:v1:{kit.namespace}:x:*")
        found = [codec.decode(client.get(key)) for key in keys]  # type: ignore[arg-type]
    return {entry.answer.text: entry for entry in found if entry is not None}


def engine_of(kit: Kit, retriever: Any, **given: Any) -> RetrieverQueryEngine:
    synthesizer = get_response_synthesizer(llm=kit.aegis(embed_model=None), **given)
    return RetrieverQueryEngine(retriever, synthesizer)


@EVERY_WAY
async def test_every_way_of_asking_an_engine(kit: Kit, way: Way) -> None:
    use(kit.aegis(), kit)
    await way(kit.index(), QUESTION, similarity_top_k=2)
    (entry,) = entries(kit).values()
    assert set(entry.documents) >= {"fact-3"}
    assert len(entry.documents) == 2
    assert {one[:5] for one in entry.documents} == {"fact-"}  # ids of documents, not of nodes


@pytest.mark.parametrize("mode", ["context", "condense_plus_context"])
@pytest.mark.parametrize("way", CHAT_WAYS.values(), ids=CHAT_WAYS)
async def test_every_way_of_talking_to_an_engine(kit: Kit, mode: str, way: Way) -> None:
    Settings.llm, Settings.embed_model = kit.aegis(context_window=4096), kit.embed_model
    async with chat_engine_of(kit, mode) as engine:
        await way(engine, QUESTION)
    (entry,) = entries(kit).values()
    assert "fact-3" in entry.documents
    assert {one[:5] for one in entry.documents} == {"fact-"}


async def test_an_edited_document(kit: Kit) -> None:
    llm = kit.aegis()
    use(llm, kit)
    first = await WAYS["query"](kit.index(), QUESTION, similarity_top_k=1)
    assert llm.invalidate(document="fact-0") == 0
    assert llm.invalidate(document="fact-3") == 1
    assert await WAYS["query"](kit.index(), QUESTION, similarity_top_k=1) == first
    assert kit.calls == 2


async def test_threads_and_tasks_do_not_mix(kit: Kit) -> None:
    engine = engine_of(kit, Numbered())
    streaming = engine_of(kit, Numbered(), streaming=True)

    def ask(number: int) -> str:
        return str((engine if number % 2 else streaming).query(f"What is the code of {number}?"))

    async def aask(number: int) -> str:
        question = f"What is the code of {number}?"
        if number % 2:
            return str(await engine.aquery(question))
        response: Any = await streaming.aquery(question)
        return "".join([part async for part in response.async_response_gen()])

    with ThreadPoolExecutor(16) as pool:
        threads = [pool.submit(ask, number) for number in range(100, 116)]
        tasks = await asyncio.gather(*(aask(number) for number in range(200, 216)))
        answers = [thread.result() for thread in threads] + tasks
    found = entries(kit)
    assert len(found) == len(set(answers)) == 32
    for number, answer in zip([*range(100, 116), *range(200, 216)], answers, strict=True):
        assert f"{number}00" in answer
        assert found[answer].documents == (f"item-{number}",)


def test_streams_read_later_and_elsewhere_keep_their_documents(kit: Kit) -> None:
    engine: Any = engine_of(kit, Numbered(), streaming=True)
    responses = [engine.query(f"What is the code of {number}?") for number in (1, 2)]
    with ThreadPoolExecutor(1) as pool:
        later = "".join(pool.submit(list, responses[1].response_gen).result())
    first = str(responses[0])
    found = entries(kit)
    assert found[later].documents == ("item-2",)
    assert found[first].documents == ("item-1",)


async def test_nothing_is_kept_of_spans_that_ended(kit: Kit) -> None:
    use(kit.aegis(), kit)
    before = len(_documents._trail)
    for way in WAYS.values():
        await way(kit.index(), QUESTION)

    class Failing(BaseRetriever):
        def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            engine_of(kit, Failing()).query("What?")
    assert len(_documents._trail) == before


def test_a_retriever_called_by_hand_has_no_link(kit: Kit) -> None:
    llm = kit.aegis(embed_model=None)
    (found,) = Numbered().retrieve("What is the code of 1?")
    llm.chat([ChatMessage(content=f"{found.text}\n\nQuestion: What is the code?")])
    (entry,) = entries(kit).values()
    assert entry.documents == ()


def test_how_a_node_gets_its_id() -> None:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="whole")}
    nodes = [
        TextNode(text="a", id_="n1", relationships=source, metadata={"page": 1}),
        TextNode(text="b", id_="n2", relationships=source),
        TextNode(text="c", id_="n3"),
        TextNode(text="c", id_="n3"),
    ]
    found = documents_of(NodeWithScore(node=node) for node in nodes)
    assert [one.id for one in found] == ["whole", "whole", "n3"]
    assert [one.text for one in found] == ["page: 1\n\na", "b", "c"]
    assert len({one.hash for one in found}) == 3


def test_pieces_of_one_document_share_its_id(kit: Kit) -> None:
    index = VectorStoreIndex(
        [
            TextNode(
                text=text,
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="handbook")},
            )
            for text in ("Kettles break.", "Kettles boil.")
        ],
        embed_model=kit.embed_model,
    )
    use(kit.aegis(), kit)
    index.as_query_engine(similarity_top_k=2).query("What do kettles do?")
    (entry,) = entries(kit).values()
    assert entry.documents == ("handbook",)
    assert len(entry.chunks) == 2
