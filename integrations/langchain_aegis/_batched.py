"""One call of a `batch` for many callers, each with its own config and under what it asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig, run_in_executor
from langchain_core.runnables.config import ensure_config, get_callback_manager_for_config

from aegis_llm.control import Surroundings
from aegis_llm.scheduler.gathering import ALONE
from langchain_aegis._gains import Way

_MISSING = object()


class Company:
    """Who may share a batch: calls of one runnable, with the same arguments and surroundings.

    Threads and the tasks of each loop keep to themselves, as do their callbacks.
    """

    __slots__ = ("_told", "around", "kwargs", "way")

    def __init__(
        self, bound: Runnable[Any, Any], way: Way, loop: object, kwargs: dict[str, Any]
    ) -> None:
        self.way = way
        self.around = Surroundings()
        self.kwargs = kwargs
        self._told = (id(bound), way, loop, tuple(sorted(kwargs)), self.around)

    def __hash__(self) -> int:
        return hash(self._told)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Company) or self._told != other._told:
            return False
        try:
            return self.kwargs == other.kwargs
        except Exception:  # noqa: BLE001 - values that cannot be compared, such as arrays
            return False


class Call:
    """One caller's call; `company` is None when it shares its batch with anybody."""

    __slots__ = ("bound", "company", "config", "context", "input", "kwargs")

    def __init__(
        self,
        bound: Runnable[Any, Any],
        input: Any,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        company: Company | None,
    ) -> None:
        self.bound = bound
        self.input = input
        self.config = config
        self.kwargs = kwargs
        self.company = company
        self.context = copy_context()

    def own_config(self) -> RunnableConfig:
        """Return the config with all that its caller's context adds, callbacks above all."""
        return self.context.run(self._own_config)

    def _own_config(self) -> RunnableConfig:
        config = ensure_config(self.config)
        config["callbacks"] = get_callback_manager_for_config(config)
        return config


def send(calls: list[Call]) -> Sequence[Any]:
    """Answer calls by one `batch`; a call alone by `invoke`."""
    first = calls[0]
    if len(calls) == 1:
        return [first.bound.invoke(first.input, first.config, **first.kwargs)]
    company = first.company
    if company is None:
        return [ALONE] * len(calls)
    inputs = [call.input for call in calls]
    configs = [call.own_config() for call in calls]

    def batch() -> Any:
        with company.around.restored():
            return first.bound.batch(inputs, configs, return_exceptions=True, **company.kwargs)

    return _each(in_common([call.context for call in calls]).run(batch))


async def asend(calls: list[Call]) -> Sequence[Any]:
    """Like `send`, awaited; where only `batch` is worth it, that is run in a thread."""
    first = calls[0]
    if len(calls) == 1:
        return [await first.bound.ainvoke(first.input, first.config, **first.kwargs)]
    company = first.company
    if company is None:
        return [ALONE] * len(calls)
    if company.way == "batch":
        return await run_in_executor(None, send, calls)
    inputs = [call.input for call in calls]
    configs = [call.own_config() for call in calls]

    async def abatch() -> Any:
        with company.around.restored():
            return await first.bound.abatch(
                inputs, configs, return_exceptions=True, **company.kwargs
            )

    context = in_common([call.context for call in calls])
    return _each(await asyncio.create_task(abatch(), context=context))


def in_common(contexts: Sequence[Context]) -> Context:
    """Return a context with what is the same in all: nobody's own leaks into another's call."""
    common, (first, *others) = Context(), contexts
    for variable, value in first.items():
        if all(other.get(variable, _MISSING) is value for other in others):
            common.run(_set, variable, value)
    return common


def _each(results: Sequence[Any]) -> Sequence[Any]:
    """Return the results; raise the one error that stands in every place, as a whole."""
    first = results[0] if results else None
    if isinstance(first, Exception) and all(one is first for one in results):
        raise first
    return results


def _set(variable: ContextVar[Any], value: Any) -> None:
    variable.set(value)
