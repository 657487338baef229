"""Runnables that have a batch of their own, and count what reaches them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

from langchain_aegis import BatchingRunnable
from tests.langchain.kit import auntil, until
from tests.races.kit import start

FULL: Any = {"window": "always", "window_ms": 60_000}
"""Settings with which a batch is sent when it is full, and not before."""


class Counting(Runnable[Any, Any]):
    """Answers with `answer`, at once or after `gate`; knows how it was called.

    `batch` and `abatch` return what `answer` raises for an item, as LangChain's do; with `strict`
    one bad item lets a batch fail as a whole.
    """

    def __init__(self, answer: Callable[[Any], Any] = lambda asked: f"{asked}!") -> None:
        self.answer = answer
        self.gate = threading.Event()
        self.gate.set()
        self.strict = False
        self.alone: list[Any] = []
        self.batches: list[list[Any]] = []
        self.configs: list[RunnableConfig] = []
        self.kwargs: list[dict[str, Any]] = []
        self.ways: list[str] = []

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        self._called("invoke", [input], [ensure_config(config)], kwargs)
        until(self.gate.is_set)
        return self.answer(input)

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        self._called("ainvoke", [input], [ensure_config(config)], kwargs)
        await auntil(self.gate.is_set)
        return self.answer(input)

    def batch(
        self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> Any:
        self._called("batch", inputs, config, kwargs)
        until(self.gate.is_set)
        return self._answers(inputs, return_exceptions)

    async def abatch(
        self, inputs: Any, config: Any = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> Any:
        self._called("abatch", inputs, config, kwargs)
        await auntil(self.gate.is_set)
        return self._answers(inputs, return_exceptions)

    def _called(self, way: str, inputs: Sequence[Any], configs: Any, kwargs: Any) -> None:
        self.ways.append(way)
        self.kwargs.append(kwargs)
        self.configs += configs or []
        if way.endswith("batch"):
            self.batches.append(list(inputs))
        else:
            self.alone += inputs

    def _answers(self, inputs: Sequence[Any], return_exceptions: bool) -> list[Any]:
        answers: list[Any] = []
        for one in inputs:
            try:
                answers.append(self.answer(one))
            except Exception as exc:
                if self.strict or not return_exceptions:
                    raise
                answers.append(exc)
        return answers


def full(inner: Any, size: int) -> BatchingRunnable[Any, Any]:
    """Return a runnable that sends a batch as soon as it has `size` calls."""
    return BatchingRunnable(inner, max_batch=size, **FULL)


async def together(runnable: Any, calls: Sequence[tuple[Any, Any]], way: str) -> list[Any]:
    """Call with each input and config at the same time, from tasks or from threads."""
    if way == "tasks":
        made = [runnable.ainvoke(asked, config) for asked, config in calls]
    else:
        made = [in_thread(runnable.invoke, asked, config) for asked, config in calls]
    return await asyncio.gather(*made, return_exceptions=True)


def in_thread(call: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Call in a thread of its own, however few the loop's executor has."""
    return asyncio.wrap_future(start(partial(copy_context().run, call, *args)))


class Heard(BaseCallbackHandler):
    """A handler that notes the runs it hears of."""

    run_inline = True

    def __init__(self) -> None:
        self.runs: list[tuple[str, Any, Any, list[str], dict[str, Any]]] = []

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: Any, parent_run_id: Any = None, **kw: Any
    ) -> None:
        self._heard("chain", run_id, parent_run_id, kw)

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: Any, parent_run_id: Any = None, **kw: Any
    ) -> None:
        self._heard(f"model {messages[0][0].text}", run_id, parent_run_id, kw)

    def _heard(self, kind: str, run_id: Any, parent: Any, kw: dict[str, Any]) -> None:
        self.runs.append((kind, run_id, parent, kw["tags"] or [], kw["metadata"] or {}))
