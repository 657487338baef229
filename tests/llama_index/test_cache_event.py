"""LlamaIndex's instrumentation hears where each answer came from, in the span of the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import ChatMessage

from aegis_llm.metrics import snapshot
from aegis_llm.metrics.registry import METRICS
from llama_index.llms.aegis import AegisCacheEvent
from tests.llama_index.kit import Kit
from tests.llama_index.ways import WAYS, Way

QUESTION = [ChatMessage(role="user", content="Why is the sky blue?")]


class Heard(BaseEventHandler):
    """Keeps every event."""

    events: list[Any] = []  # noqa: RUF012 - pydantic copies it

    @classmethod
    def class_name(cls) -> str:
        return "Heard"

    def handle(self, event: Any, **_: Any) -> None:
        self.events.append(event)


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    handler, root = Heard(events=[]), get_dispatcher()
    root.add_event_handler(handler)
    yield handler.events
    root.event_handlers.remove(handler)


def told(events: list[Any]) -> list[tuple[str, bool]]:
    return [(e.outcome, e.cache_hit) for e in events if isinstance(e, AegisCacheEvent)]


@pytest.mark.parametrize("way", ["chat", "stream_chat", "complete"])
def test_an_event_tells_of_hit_and_miss(kit: Kit, heard: list[Any], way: str) -> None:
    llm = kit.aegis()
    for _ in range(2):
        given: Any = "Why is the sky blue?" if way == "complete" else QUESTION
        answer = getattr(llm, way)(given)
        if way == "stream_chat":
            list(answer)
    assert told(heard) == [("miss", False), ("hit_local", True)]
    hit = [event for event in heard if isinstance(event, AegisCacheEvent)][-1]
    assert hit.saved_tokens > 0
    assert "sky" not in hit.model_dump_json()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_every_way_to_ask_counts_and_tells_once(
    kit: Kit, heard: list[Any], way: Way
) -> None:
    llm = kit.aegis(embed_model=None)
    METRICS.renew()
    for _ in range(2):
        await way(llm, "Why is the sky blue?")
    counted = {(r.outcome, r.framework): r.count for r in snapshot().requests}
    assert counted == {("miss", "llama_index"): 1, ("hit_local", "llama_index"): 1}
    assert told(heard) == [("miss", False), ("hit_local", True)]


async def test_an_event_tells_of_awaited_answers(kit: Kit, heard: list[Any]) -> None:
    llm = kit.aegis()
    await llm.achat(QUESTION)
    async for _ in await llm.astream_chat(QUESTION):
        pass
    assert told(heard) == [("miss", False), ("hit_local", True)]


def test_the_event_stands_in_the_span_of_the_call(kit: Kit, heard: list[Any]) -> None:
    llm = kit.aegis()
    llm.chat(QUESTION)
    spans = {type(event).__name__: event.span_id for event in heard}
    assert spans["AegisCacheEvent"] == spans["LLMChatEndEvent"]


def test_where_nobody_listens_no_event_is_made(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = kit.aegis()
    monkeypatch.setattr("llama_index.llms.aegis._events.AegisCacheEvent", None)
    assert llm.chat(QUESTION).message.content
