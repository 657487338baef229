"""Run a plan: perform each effect it yields and send the result back, or throw what went wrong.

`run` and `arun` are the only places that feed a plan what was really done; `plan/explaining.py`
feeds one what would have been.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aegis_llm.plan import Plan

T = TypeVar("T")


def run(plan: Plan[T], perform: Callable[[Any], Any]) -> T:
    """Drive a plan to its end with blocking effects and return its result."""
    try:
        effect = next(plan)
        while True:
            try:
                result = perform(effect)
            except Exception as exc:  # noqa: BLE001 - the plan decides what an error means
                effect = plan.throw(exc)
            else:
                effect = plan.send(result)
    except StopIteration as stop:
        done: T = stop.value
        return done
    finally:
        plan.close()


async def arun(plan: Plan[T], perform: Callable[[Any], Awaitable[Any]]) -> T:
    """Like `run`, awaited; a cancelled task closes the plan."""
    try:
        effect = next(plan)
        while True:
            try:
                result = await perform(effect)
            except Exception as exc:  # noqa: BLE001 - the plan decides what an error means
                effect = plan.throw(exc)
            else:
                effect = plan.send(result)
    except StopIteration as stop:
        done: T = stop.value
        return done
    finally:
        plan.close()
