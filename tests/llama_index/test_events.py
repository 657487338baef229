"""Hits raise the events of real answers: each once, and as many as the stock model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.llms.ollama import Ollama
from ollama import ResponseError

from llama_index.llms.aegis import _turn
from tests.llama_index.kit import Kit, ask
from tests.llama_index.ways import WAYS, Way

QUESTION = "What is the capital of France?"
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


class Events(BaseEventHandler):
    """Keeps every event."""

    seen: list[Any] = []  # noqa: RUF012 - a pydantic field

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        self.seen.append(event)

    def counted(self) -> Counter[str]:
        """Count the events, those of chunks as one, since a replay has other pieces."""
        names = [type(event).__name__ for event in self.seen]
        names = [name for name in names if name != "AegisCacheEvent"]  # ours, in addition
        many = {name for name in names if "InProgress" in name}
        return Counter({n: 1 if n in many else names.count(n) for n in names})


class Callbacks(BaseCallbackHandler):
    """Counts the callback manager's events."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.started: Counter[CBEventType] = Counter()
        self.ended: Counter[CBEventType] = Counter()

    def on_event_start(self, event_type: CBEventType, *_: Any, **__: Any) -> str:
        self.started[event_type] += 1
        return ""

    def on_event_end(self, event_type: CBEventType, *_: Any, **__: Any) -> None:
        self.ended[event_type] += 1

    def start_trace(self, trace_id: str | None = None) -> None:
        pass

    def end_trace(self, *_: Any, **__: Any) -> None:
        pass


@pytest.fixture
def root() -> Iterator[Any]:
    """The root dispatcher, with its handlers put back afterwards."""
    dispatcher = get_dispatcher()
    events, spans = list(dispatcher.event_handlers), list(dispatcher.span_handlers)
    yield dispatcher
    dispatcher.event_handlers, dispatcher.span_handlers = events, spans


async def told(root: Any, llm: Ollama, way: Way) -> tuple[Any, ...]:
    """Call once; return the events, the callbacks and the spans."""
    events, callbacks, spans = Events(seen=[]), Callbacks(), SimpleSpanHandler()
    root.event_handlers, root.span_handlers = [events], [spans]
    llm.callback_manager = CallbackManager([callbacks])
    await way(llm, QUESTION)
    names = Counter(span.id_.partition("-")[0].partition(".")[2] for span in spans.completed_spans)
    return events.counted(), callbacks.started, callbacks.ended, names


@EVERY_WAY
async def test_stock_miss_and_hit_tell_the_same(kit: Kit, way: Way, root: Any) -> None:
    async with kit.awaited_stock() as plain:
        stock = await told(root, plain, way)
    llm = kit.aegis(embed_model=None)
    miss, hit = await told(root, llm, way), await told(root, llm, way)
    assert kit.calls == 2
    assert stock == miss == hit
    assert stock[0]["LLMChatStartEvent"] == stock[0]["LLMChatEndEvent"] == 1


def test_the_events_carry_the_answer_and_the_model(kit: Kit, root: Any) -> None:
    llm = kit.aegis(embed_model=None)
    for expected in ("miss", "hit_local"):
        events = Events(seen=[])
        root.event_handlers = [events]
        response = llm.chat(ask(QUESTION), stop_me=1)
        (end,) = [event for event in events.seen if isinstance(event, LLMChatEndEvent)]
        assert end.response is not None
        assert end.response.message == response.message
        assert end.response.additional_kwargs["aegis"]["outcome"] == expected
        start = events.seen[0]
        assert start.model_dict["model_name"] == "llama3.1:8b"
        assert start.model_dict["class_name"] == "AegisOllama_llm"
        assert start.additional_kwargs == {"stop_me": 1}
        assert start.messages == ask(QUESTION)
        assert type(start.messages) is list


@pytest.mark.parametrize("way", [w for n, w in WAYS.items() if "chat" in n])
async def test_an_error_tells_the_same(kit: Kit, way: Way, root: Any) -> None:
    async with kit.awaited_stock(context_window=512) as plain:
        models: list[Any] = [plain, kit.aegis(embed_model=None)]
        seen = []
        for llm in models:
            events, callbacks = Events(seen=[]), Callbacks()
            root.event_handlers = [events]
            llm.callback_manager = CallbackManager([callbacks])
            kit.ollama.faults.status(500)
            with pytest.raises(ResponseError):
                await way(llm, QUESTION)
            seen.append((events.counted(), callbacks.started, callbacks.ended))
    assert seen[0] == seen[1]
    assert seen[0][1][CBEventType.LLM] == seen[0][2][CBEventType.LLM] == 1


def test_the_parent_is_called_under_its_decorators() -> None:
    for name in ("chat", "achat", "stream_chat", "astream_chat"):
        inner = _turn.undecorated(getattr(Ollama, name))
        assert inner.__qualname__ == f"Ollama.{name}"
        assert "self" in inner.__code__.co_varnames
        assert "ollama_messages" in inner.__code__.co_varnames + inner.__code__.co_cellvars


class Limiter(BaseRateLimiter):
    """Counts the calls that it let through."""

    def __init__(self) -> None:
        self.passed = 0

    def acquire(self, num_tokens: int = 0) -> None:
        self.passed += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.passed += 1


@pytest.mark.parametrize("way", [w for n, w in WAYS.items() if "chat" in n])
async def test_a_hit_does_not_use_up_the_rate_limit(kit: Kit, way: Way) -> None:
    limiter = Limiter()
    llm = kit.aegis(rate_limiter=limiter)
    await way(llm, QUESTION)
    assert limiter.passed == 1
    await way(llm, QUESTION)
    await way(llm, "What happens if Rome is burning?")
    await way(llm, QUESTION)
    assert limiter.passed == kit.calls == 2
