"""BatchingRunnable: the calls of many callers, made as batches of one runnable."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import (
    RunnableBindingBase,
    RunnableLike,
    coerce_to_runnable,
)
from pydantic import PrivateAttr

from aegis_llm.config import SchedulerConfig, unknown_option
from aegis_llm.config.checks import check_whole
from aegis_llm.config.scheduler import Window
from aegis_llm.errors import ConfigError
from aegis_llm.scheduler.gathering import Gathering
from langchain_aegis._batched import Call, Company, asend, send
from langchain_aegis._gains import best_way

I = TypeVar("I")  # noqa: E741 - the names that LangChain gives them
O = TypeVar("O")  # noqa: E741
SETTINGS = frozenset({"window_ms", "max_batch", "max_in_flight", "window"})
_OTHERS = frozenset(RunnableBindingBase.model_fields) | {"name"}


class BatchingRunnable(RunnableBindingBase[I, O]):
    """A runnable whose `invoke` and `ainvoke` of many callers become `batch` and `abatch`.

    Useful for what answers a batch faster than its inputs one by one: a model that runs in this
    process, an API with a call for many. A call alone waits for nothing. While a batch is under
    way, calls are gathered, for `window_ms` at most, and then made together; each caller gets its
    own result or its own error, under its own callbacks, tags and metadata. Only calls with equal
    arguments share a batch, made by threads or by the tasks of one event loop, and inside equal
    `cache_control` and the same `observe` blocks. Of other context variables a batch sees those
    that all its callers agree in. All of them wait for the slowest.

    What gains nothing from a batch is called at once and one by one, as without this: everything
    with LangChain's own `batch` (most chat models, `ChatAegis` too, chains of them), and models
    that answer prompts one after the other. Streams, `batch` and `abatch` pass through, and so
    does `invoke` on the thread of a running event loop, which must not wait.

    Args:
        bound: What to call: a runnable, or what LangChain makes one of.
        window_ms: Longest time that a call waits for others.
        max_batch: Most calls of one batch.
        max_in_flight: Batches under way from which on calls are gathered.
        window: "busy", or "always": gather even while nothing is under way. What gains nothing
            from a batch is then held back for the window, and its calls are let go together.

    Raises:
        ConfigError: A setting does not exist or is not usable.
    """

    window_ms: float = 50.0
    max_batch: int = 32
    max_in_flight: int = 1
    window: Window = "busy"

    _gathering: Gathering[Call, Any] = PrivateAttr()

    def __init__(
        self,
        bound: RunnableLike[I, O],
        *,
        window_ms: float = 50.0,
        max_batch: int = 32,
        max_in_flight: int = 1,
        window: Window = "busy",
        **others: Any,
    ) -> None:
        settings: dict[str, Any] = {
            "window_ms": window_ms,
            "max_batch": max_batch,
            "window": window,
        }
        SchedulerConfig(**settings)
        check_whole("max_in_flight", max_in_flight, 1, 1 << 20, "a whole number, 1 or more")
        for name in others.keys() - _OTHERS:
            raise unknown_option(name, SETTINGS)
        settings["max_in_flight"] = max_in_flight
        super().__init__(bound=_runnable(bound), **settings, **others)
        self._gathering = Gathering(
            send,
            asend,
            window_s=window_ms / 1000,
            max_batch=max_batch,
            max_in_flight=max_in_flight,
            always=window == "always",
            key=lambda call: call.company,
        )

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return whether LangChain can write it down and read it again: no."""
        return False

    def invoke(self, input: I, config: RunnableConfig | None = None, **kwargs: Any) -> O:
        """Call the runnable, together with others who do so."""
        call = self._call(None, input, config, kwargs)
        answer: O
        if call.company is None and self.window == "busy":
            answer = call.bound.invoke(input, call.config, **call.kwargs)
        else:
            answer = self._gathering.call(call)
        return answer

    async def ainvoke(self, input: I, config: RunnableConfig | None = None, **kwargs: Any) -> O:
        """Like `invoke`, awaited."""
        call = self._call(asyncio.get_running_loop(), input, config, kwargs)
        answer: O
        if call.company is None and self.window == "busy":
            answer = await call.bound.ainvoke(input, call.config, **call.kwargs)
        else:
            answer = await self._gathering.acall(call)
        return answer

    def _call(
        self, loop: object, input: I, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> Call:
        """Return a call; it has no company when there is nothing to gain from a batch."""
        way = best_way(self.bound, awaited=loop is not None)
        if self.config or self.config_factories:
            config = self._merge_configs(config)
        given = {**self.kwargs, **kwargs}
        company = Company(self.bound, way, loop, given) if way is not None else None
        return Call(self.bound, input, config, given, company)


def _runnable(bound: RunnableLike[I, O]) -> Runnable[I, O]:
    try:
        return coerce_to_runnable(bound)  # type: ignore[return-value]
    except TypeError as exc:
        msg = f"BatchingRunnable({bound!r}): give a runnable, a function, or a dictionary of them"
        raise ConfigError(msg) from exc
