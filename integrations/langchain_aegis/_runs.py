"""Marks the run of a call in whatever traces it, so that hits can be seen and filtered there."""

from __future__ import annotations

import logging
import sys
from typing import Any

from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer

from aegis_llm.quiet import Quiet
from aegis_llm.values import Origin

log = logging.getLogger("aegis_llm")
_quiet = Quiet()
TAG = "cache_hit"


def tell_run(run_manager: Any, origin: Origin) -> None:
    """Add the tag `cache_hit` to the run of a hit, and `aegis` and `cache_hit` to its metadata.

    Tracers of LangChain (LangSmith's, OpenInference's for Arize and Phoenix) send a run when it is
    over; Langfuse's handler holds an observation that is updated. Others read the same from
    `response_metadata["aegis"]`. Whatever goes wrong is logged and costs nothing.
    """
    for handler in () if run_manager is None else run_manager.handlers:
        try:
            if isinstance(handler, BaseTracer | AsyncBaseTracer):
                run = handler.run_map.get(str(run_manager.run_id))
                if run is not None:
                    _mark(run, origin)
            elif type(handler).__module__.startswith("langfuse."):
                observation = getattr(handler, "runs", {}).get(run_manager.run_id)
                if observation is not None:
                    observation.update(metadata=_metadata(origin))
        except Exception as exc:
            if _quiet.may_say(f"{type(handler)} {type(exc)}"):
                log.warning("a run could not be marked for %s", type(handler), exc_info=exc)


def run_of_stream() -> Any:
    """Return the run manager of the stream that the calling generator is read for, or None.

    LangChain makes one for each stream and does not hand it to `_stream` and `_astream`; it is
    found where their chunks are asked for.
    """
    asking = sys._getframe(1).f_back
    found = None if asking is None else asking.f_locals.get("run_manager")
    return found if isinstance(found, BaseRunManager) else None


def _mark(run: Any, origin: Origin) -> None:
    if origin.hit and TAG not in (run.tags or ()):
        run.tags = [*(run.tags or ()), TAG]
    run.extra = {**(run.extra or {})}
    run.extra["metadata"] = {**(run.extra.get("metadata") or {}), **_metadata(origin)}


def _metadata(origin: Origin) -> dict[str, Any]:
    """Return what is told: all but the entry's question, which another user may have asked."""
    told = {
        name: value
        for name, value in origin.as_dict().items()
        if name != "matched_question" and value not in (None, "")
    }
    return {"aegis": told, TAG: origin.hit}
