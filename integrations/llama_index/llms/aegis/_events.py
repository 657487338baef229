"""The event that tells LlamaIndex's instrumentation where an answer came from."""

from __future__ import annotations

from typing import Any

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import NullEventHandler
from llama_index.core.instrumentation.events import BaseEvent

from aegis_llm.values import Origin

_dispatcher = get_dispatcher()


class AegisCacheEvent(BaseEvent):
    """Where one answer came from; see `aegis_llm.Origin`. It stands in the span of the call.

    `cache_hit` tells whether the answer came without a model call of its own. The question of the
    entry is left out: another user may have asked it.
    """

    cache_hit: bool
    outcome: str
    reason: str = ""
    similarity: float | None = None
    age_s: float | None = None
    entry_id: str | None = None
    lookup_ms: float = 0.0
    queued_ms: float = 0.0
    saved_tokens: int = 0
    saved_s: float = 0.0

    @classmethod
    def class_name(cls) -> str:
        """Return the name of the event."""
        return "AegisCacheEvent"


def tell_dispatcher(origin: Origin, span_id: str | None = None) -> None:
    """Dispatch the event, if anybody listens; what a handler raises is the dispatcher's matter.

    `span_id` is that of the call, where its span is over: a streamed response is read later.
    """
    dispatcher = _dispatcher
    while not any(_cares(handler) for handler in dispatcher.event_handlers):
        if not dispatcher.propagate or dispatcher.parent is None:
            return
        dispatcher = dispatcher.parent
    told = origin.as_dict()
    fields = {name: told[name] for name in AegisCacheEvent.model_fields if name in told}
    if span_id is not None:
        fields["span_id"] = span_id
    _dispatcher.event(AegisCacheEvent(cache_hit=origin.hit, **fields))


def _cares(handler: Any) -> bool:
    """Return whether a handler is neither LlamaIndex's idle one nor ours."""
    ours = type(handler).__module__.startswith("llama_index.llms.aegis")
    return not ours and not isinstance(handler, NullEventHandler)
