"""Which runnables answer a batch better than its inputs one by one."""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.language_models.llms import LLM
from langchain_core.runnables import Runnable, RunnableSequence, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.retry import RunnableRetry
from langchain_ollama import OllamaLLM

from langchain_aegis._many import AllAtOnce

Way = Literal["batch", "abatch"]


def best_way(runnable: Runnable[Any, Any], *, awaited: bool) -> Way | None:
    """Return the method for a batch; None when that gains nothing.

    Callers who await get a `batch`, in a thread, where each `ainvoke` would be run in one too.
    """
    if not awaited:
        return "batch" if _gains(runnable, "batch") else None
    if _gains(runnable, "abatch"):
        return "abatch"
    return "batch" if _awaits_a_thread(runnable) and _gains(runnable, "batch") else None


def _gains(runnable: Runnable[Any, Any], way: Way) -> bool:
    """Return whether a batch is more than its inputs each by itself.

    LangChain's own `batch` is not: it takes a thread, or a task, for each input. Nor is that of
    models which answer one prompt after the other.
    """
    own = getattr(getattr(runnable, way), "__func__", None)
    if own is getattr(Runnable, way) or own is getattr(AllAtOnce, way):
        return False
    if isinstance(runnable, OllamaLLM):
        return False
    if isinstance(runnable, LLM):
        answer = "_generate" if way == "batch" else "_agenerate"
        return getattr(type(runnable), answer) is not getattr(LLM, answer)
    parts = _parts(runnable, own, way)
    return not parts or any(_gains(part, way) for part in parts)


def _parts(runnable: Any, own: object, way: Way) -> list[Runnable[Any, Any]]:
    """Return the runnables whose batches the batch of this one is made of."""
    if own is getattr(RunnableBindingBase, way) or own is getattr(RunnableRetry, way):
        return [runnable.bound]
    if own is getattr(RunnableSequence, way):
        return list(runnable.steps)
    if own is getattr(RunnableWithFallbacks, way):
        return list(runnable.runnables)
    return []


def _awaits_a_thread(runnable: Any) -> bool:
    """Return whether `ainvoke` runs `invoke` in a thread, as LangChain's own does."""
    own = getattr(runnable.ainvoke, "__func__", None)
    if own is RunnableBindingBase.ainvoke:
        return _awaits_a_thread(runnable.bound)
    return own is Runnable.ainvoke
