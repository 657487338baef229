"""The documents that a LangChain run has retrieved before it calls a model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

from langchain_core import documents as lc
from langchain_core.callbacks import BaseCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import LLMResult
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.context import register_configure_hook

from aegis_llm.trail import Trail
from aegis_llm.values import Document, Retrieved
from langchain_aegis._listening import Listener

_calling: ContextVar[UUID | None] = ContextVar("aegis_calling", default=None)
"""The run that calls the model whose answer is being made in this context."""


class _Documents(Listener):
    """Follows all runs of the process, and keeps of each what was retrieved inside it."""

    def __init__(self) -> None:
        self.trail: Trail[lc.Document] = Trail(time.monotonic)

    @property
    def ignore_llm(self) -> bool:
        """Whether to leave out tokens and ends of models: yes."""
        return True

    def _begun(
        self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        self.trail.begin(run_id, parent_run_id)

    def _ended(self, *_: Any, run_id: UUID, **kwargs: Any) -> None:
        self.trail.end(run_id)

    on_chain_start = on_tool_start = on_retriever_start = _begun
    on_chain_end = on_tool_end = _ended
    on_chain_error = on_tool_error = on_retriever_error = _ended

    def on_retriever_end(
        self, documents: Sequence[lc.Document], *, run_id: UUID, **kwargs: Any
    ) -> None:
        self.trail.found(run_id, documents)
        self.trail.end(run_id)

    def on_chat_model_start(
        self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        _calling.set(parent_run_id)


class _Hook:
    """What LangChain asks, as a context variable, for a handler to add to each new run."""

    def get(self) -> _Documents | None:
        """Return the handler; once None after `left_out`."""
        if _left_out.get():
            _left_out.set(False)
            return None
        return _documents


_documents = _Documents()
_left_out: ContextVar[bool] = ContextVar("aegis_left_out", default=False)
_listening: list[bool] = []


def listen() -> None:
    """Follow the runs of this process from now on."""
    if not _listening:
        _listening.append(True)
        register_configure_hook(cast("ContextVar[Any]", _Hook()), inheritable=True)


class KnowsDocuments(BaseChatModel):
    """A chat model that takes note itself of the run that it is called in.

    LangChain looks at each handler of a model's run several times, which takes longer than all
    the rest that there is to be done for documents; so ours is left out of that run.
    """

    def generate(
        self, messages: Any, stop: Any = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """Like the model's, without our handler in its run."""
        with _by(callbacks) as others:
            return super().generate(messages, stop, others, **kwargs)

    async def agenerate(
        self, messages: Any, stop: Any = None, callbacks: Any = None, **kwargs: Any
    ) -> LLMResult:
        """Like `generate`, awaited."""
        with _by(callbacks) as others:
            return await super().agenerate(messages, stop, others, **kwargs)


@contextmanager
def _by(callbacks: Any) -> Iterator[Any]:
    """Note which run calls a model, and leave our handler out of the next one."""
    _calling.set(getattr(callbacks, "parent_run_id", None))
    if isinstance(callbacks, BaseCallbackManager) and _documents in callbacks.handlers:
        callbacks = callbacks.copy()
        callbacks.remove_handler(_documents)
    _left_out.set(True)
    try:
        yield callbacks
    finally:
        _left_out.set(False)


def documents_of_call(run_manager: Any = None) -> Retrieved:
    """Return what was retrieved in the runs around the present call of a model, and since when."""
    if run_manager is not None:
        return _retrieved(run_manager.parent_run_id)
    return _retrieved(_calling.get() or _surrounding())


def documents_of_surroundings() -> Retrieved:
    """Like `documents_of_call`, for who is not told of calls: from the runnable around this."""
    return _retrieved(_surrounding() or _calling.get())


def _retrieved(around: UUID | None) -> Retrieved:
    found = _documents.trail.of(around)
    return (documents_of(found), _documents.trail.since(around)) if found else ((), None)


def documents_of(found: Iterable[Any]) -> tuple[Document, ...]:
    """Return LangChain's documents as the core takes them, each piece of text once.

    The id is, by this order: `metadata["doc_id"]`, the document's own id unless a vector store
    made it up (a UUID), `metadata["id"]`, `metadata["source"]`, the UUID, a hash of the text.
    """
    known: dict[tuple[str, str], Document] = {}
    for one in found:
        if isinstance(one, lc.Document):
            hashed = hashlib.sha256(one.page_content.encode("utf-8", "surrogatepass"))
            short = hashed.hexdigest()[:16]
            named = _id(one) or f"sha256:{short}"
            known.setdefault((named, short), Document(named, short, one.page_content))
    return tuple(known.values())


def _id(found: lc.Document) -> str:
    told = found.metadata
    own = found.id or ""
    made_up = _is_uuid(own)
    for name in (told.get("doc_id"), "" if made_up else own, told.get("id"), told.get("source")):
        if isinstance(name, str | int) and str(name):
            return str(name)
    return own


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _surrounding() -> UUID | None:
    config = var_child_runnable_config.get()
    around: UUID | None = getattr((config or {}).get("callbacks"), "parent_run_id", None)
    return around
