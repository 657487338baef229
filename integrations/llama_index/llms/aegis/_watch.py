"""What happens inside one query: nodes, tokens, and whether its answer is whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.base.response.schema import Response
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.instrumentation.events.span import (  # type: ignore[attr-defined]
    SpanDropEvent,
)

from aegis_llm.lookup import Lookup
from aegis_llm.values import Answer
from aegis_llm.wiring import say_once
from llama_index.llms.aegis._documents import documents_of
from llama_index.llms.aegis._responses import UnstorableError, answer_of


class Watch:
    """Hears of everything inside one query."""

    def __init__(self) -> None:
        self._found: list[Any] = []
        self._prompt_tokens = self._completion_tokens = 0
        self._reason = ""
        self.ended = False
        """Whether the engine's stream came to its end."""

    def heard(self, event: BaseEvent) -> None:
        """Take note of an event."""
        if isinstance(event, RetrievalEndEvent):
            self._found += event.nodes
        elif isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            raw = getattr(event.response, "raw", None)
            if isinstance(raw, dict):
                self._prompt_tokens += raw.get("prompt_eval_count") or 0
                self._completion_tokens += raw.get("eval_count") or 0
                reason = raw.get("done_reason")
                if reason not in (None, "stop"):
                    self._reason = self._reason or str(reason)
        elif isinstance(event, ExceptionEvent | SpanDropEvent):
            self._reason = "error"  # what answered is not what answers on a good day

    def answers(self, lookup: Lookup, response_of: Callable[[], Any]) -> list[Answer]:
        """Return the answer to store, with the documents it was made from; empty for none."""
        try:
            response = response_of()
            if type(response) is not Response:
                msg = f"a {type(response).__name__}"
                raise UnstorableError(msg)
            tokens = self._prompt_tokens, self._completion_tokens
            answer = answer_of(response, self._reason, tokens)
        except UnstorableError as exc:
            say_once(f"AegisQueryEngine: an answer was served and not stored: {exc}")
            return []
        lookup.made_from(documents_of([*response.source_nodes, *self._found]))
        return [answer]
