"""A cached query engine tells LlamaIndex's instrumentation where each answer came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler

from aegis_llm import observe
from aegis_llm.values import Answer
from llama_index.llms.aegis import AegisCacheEvent
from tests.llama_index.engine_kit import EVERY_WAY, STREAMING, Way, cached, close, plain, text
from tests.llama_index.kit import Kit
from tests.llama_index.test_documents import entries
from tests.llama_index.test_query_engines import LOOK_ALIKE, QUESTION, REWORDED


class Heard(BaseEventHandler):
    """Keeps every event."""

    events: list[Any] = []  # noqa: RUF012 - pydantic copies it

    def handle(self, event: Any, **_: Any) -> None:
        self.events.append(event)

    @property
    def told(self) -> list[AegisCacheEvent]:
        return [event for event in self.events if isinstance(event, AegisCacheEvent)]


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, root = Heard(events=[]), get_dispatcher()
    before = list(root.event_handlers)
    root.add_event_handler(handler)
    yield handler
    root.event_handlers = before


@EVERY_WAY
@STREAMING
async def test_hits_and_misses_are_told_once_in_the_span_of_the_query(
    kit: Kit, heard: Heard, way: Way, streaming: bool
) -> None:
    engine = cached(kit, plain(kit, streaming=streaming))
    with observe() as seen:
        for question in (QUESTION, QUESTION, REWORDED, LOOK_ALIKE):
            await text(await way(engine, question))
    await close(kit)
    assert [(e.outcome, e.cache_hit) for e in heard.told] == [
        ("miss", False), ("hit_local", True), ("hit_semantic", True), ("miss", False),
    ]  # fmt: skip
    assert [e.saved_tokens for e in heard.told] == [origin.saved_tokens for origin in seen]
    assert heard.told[1].saved_tokens > 0
    assert [e.reason for e in heard.told] == [origin.reason for origin in seen]
    assert all((e.span_id or "").startswith("AegisQueryEngine._") for e in heard.told)
    assert len({e.span_id for e in heard.told}) == 4
    assert "France" not in "".join(e.model_dump_json() for e in heard.told)


@STREAMING
def test_a_cut_answer_is_told_as_not_stored(kit: Kit, heard: Heard, streaming: bool) -> None:
    short = kit.stock(context_window=4096, additional_kwargs={"num_predict": 2})
    engine = cached(kit, plain(kit, llm=short, streaming=streaming))
    for _ in range(2):
        response = engine.query(QUESTION)
        assert len(str(response)) > 0
    assert [e.outcome for e in heard.told] == ["miss", "miss"]
    assert heard.told[0].reason == "no_candidate; not stored: done_reason_length"
    assert entries(kit) == {}


def test_a_stream_that_is_given_up_tells_nothing_and_is_not_stored(kit: Kit, heard: Heard) -> None:
    response = cached(kit, plain(kit, streaming=True)).query(QUESTION)
    next(response.response_gen)
    response.response_gen.close()
    assert heard.told == []
    assert entries(kit) == {}


@EVERY_WAY
@STREAMING
async def test_handlers_that_an_application_replaced_are_put_back(
    kit: Kit, way: Way, streaming: bool
) -> None:
    """Without them a cut answer would look whole, and its documents would not be known."""
    short = kit.stock(context_window=4096, additional_kwargs={"num_predict": 2})
    engines = [
        cached(kit, plain(kit, llm=llm, streaming=streaming))
        for llm in (short, kit.stock(context_window=4096))
    ]
    root = get_dispatcher()
    events, spans = root.event_handlers, root.span_handlers
    root.event_handlers, root.span_handlers = [], []
    try:
        for engine in engines:
            await text(await way(engine, QUESTION))
    finally:
        root.event_handlers, root.span_handlers = events, spans
    await close(kit)
    (entry,) = entries(kit).values()
    assert entry.answer.completion_tokens > 2
    assert "fact-3" in entry.documents


@EVERY_WAY
@STREAMING
async def test_an_entry_of_another_shape_counts_once(
    kit: Kit, heard: Heard, way: Way, streaming: bool
) -> None:
    from llama_index.core.schema import QueryBundle

    engine = cached(kit, plain(kit, streaming=streaming))
    request = engine._request(QueryBundle(QUESTION))
    engine._answering.service.open(request).store(Answer(text="x", info={"nodes": [[1]]}))
    with observe() as seen:
        await text(await way(engine, QUESTION))
    await close(kit)
    assert [(one.outcome, one.reason) for one in seen] == [("miss", "unreadable_entry")]
    assert [one.outcome for one in heard.told] == ["miss"]
