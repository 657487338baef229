"""What happens inside one run of a chain: documents, tokens, and whether its answer is whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from langchain_core.documents import Document
from langchain_core.outputs import ChatGeneration, LLMResult

from aegis_llm.lookup import Lookup
from aegis_llm.values import Answer
from aegis_llm.wiring import say_once
from langchain_aegis._documents import documents_of
from langchain_aegis._generations import UnstorableError, finish_reason
from langchain_aegis._listening import Listener
from langchain_aegis._values import encoded, text_of


class Watch(Listener):
    """Hears of everything inside one run of a chain."""

    def __init__(self) -> None:
        self._retrieving: dict[UUID, UUID | None] = {}
        self._found: list[Document] = []
        self._prompt_tokens = self._completion_tokens = 0
        self._reason = ""
        self.ended = False
        """Whether the chain's stream came to its end."""

    @property
    def ignore_agent(self) -> bool:
        """Whether to leave out agents and tools: no, a tool can fail."""
        return False

    def on_retriever_start(
        self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        self._retrieving[run_id] = parent_run_id

    def on_retriever_end(
        self, documents: Sequence[Document], *, run_id: UUID, **kwargs: Any
    ) -> None:
        parent = self._retrieving.get(run_id)
        if parent not in self._retrieving:  # not what another retriever chose from
            self._found += documents

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        for generations in response.generations:
            for one in generations:
                message = one.message if isinstance(one, ChatGeneration) else None
                usage = getattr(message, "usage_metadata", None) or {}
                self._prompt_tokens += usage.get("input_tokens", 0)
                self._completion_tokens += usage.get("output_tokens", 0)
                told = getattr(message, "response_metadata", None)
                reason = finish_reason(one.generation_info) or finish_reason(told)
                if reason not in (None, "stop"):
                    self._reason = self._reason or str(reason)

    def _failed(self, *_: Any, **kwargs: Any) -> None:
        self._reason = "error"  # a fallback answered: not what the chain says on a good day

    on_llm_error = on_chain_error = on_tool_error = on_retriever_error = _failed

    def answers_of(self, lookup: Lookup) -> Callable[[tuple[Any]], list[Answer]]:
        """Return how the answer to store is made of what the chain returned."""
        return lambda native: self.answers(lookup, lambda: native[0])

    def answers(self, lookup: Lookup, value_of: Callable[[], Any]) -> list[Answer]:
        """Return the answer to store, with the documents it was made from; empty for none."""
        try:
            value = value_of()
            told = encoded(value)
        except UnstorableError as exc:
            say_once(f"cache_chain: an answer was served and not stored: {exc}")
            return []
        lookup.made_from(documents_of(self._found))
        return [
            Answer(
                text=text_of(value),
                done_reason=self._reason or None,
                prompt_tokens=self._prompt_tokens,
                completion_tokens=self._completion_tokens,
                info=None if isinstance(value, str) else {"value": told},
            )
        ]
