"""What cached engines return: stored or not, and equal when it comes back."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Document
from llama_index.core.base.response.schema import (
    PydanticResponse,
    Response,
)
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.schema import ImageNode, NodeWithScore, TextNode

from aegis_llm import observe
from tests.llama_index.engine_kit import EVERY_WAY, Given, Raw, Way, cached
from tests.llama_index.kit import Kit
from tests.llama_index.test_documents import entries
from tests.llama_index.test_query_engines import QUESTION


class Shape(BaseModel):
    sides: int


@pytest.mark.parametrize(
    "answer",
    [
        PydanticResponse(Shape(sides=3)),
        Response("text", [NodeWithScore(node=ImageNode(text="x"), score=1.0)]),
        Response("text", [], {"a": {1, 2}}),
        Response("text", [NodeWithScore(node=TextNode(text="x", metadata={"a": object()}))]),
    ],
    ids=["pydantic", "image", "metadata", "node"],
)
def test_what_is_not_stored_is_served(kit: Kit, answer: Any) -> None:
    engine = cached(kit, Raw(answer=answer), name="raw")
    with observe() as seen:
        assert engine.query(QUESTION) is engine.query(QUESTION) is answer
    assert seen.outcomes == ["miss", "miss"]


@pytest.mark.parametrize("answer", ["", " ", None])
def test_an_empty_answer_is_not_stored(kit: Kit, answer: Any) -> None:
    engine = cached(kit, Raw(answer=Response(answer)), name="empty")
    with observe() as seen:
        for _ in range(2):
            assert engine.query(QUESTION).response == answer
    assert seen.outcomes == ["miss", "miss"]


def test_documents_among_the_sources_come_back(kit: Kit) -> None:
    given = Response("text", [NodeWithScore(node=Document(text="x", id_="d"), score=None)])
    engine = cached(kit, Raw(answer=given), name="documents")
    for _ in range(2):
        (scored,) = engine.query(QUESTION).source_nodes
        assert isinstance(scored.node, Document)
        assert (scored.node.node_id, scored.score) == ("d", None)


@EVERY_WAY
async def test_an_error_passes_through_and_nothing_is_stored(kit: Kit, way: Way) -> None:
    error = ConnectionError("as it is")
    inner = Given(answer=error)
    engine = cached(kit, inner, name="failing")
    for _ in range(2):
        with pytest.raises(ConnectionError) as told:
            await way(engine, QUESTION)
        assert told.value is error
    assert inner.asked == 2
    assert entries(kit) == {}
