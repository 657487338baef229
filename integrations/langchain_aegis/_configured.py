"""What a call's config can change in an answer: all that is configured, and the metadata. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_THE_THREAD = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"})
"""Where a graph keeps its state: a cached chain has none."""
_OF_THE_TRACE = frozenset({"revision_id", "lc_versions"})
_BY_PREFIX = ("__pregel_", "langgraph_", "ls_")
"""What LangGraph hands from node to node, and LangSmith's own."""


def configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a step inside can read in the config and answer by."""
    chosen = config.get("configurable") or {}
    told = {
        "configurable": _without(chosen, _OF_THE_THREAD),
        "metadata": _without(config.get("metadata") or {}, _OF_THE_THREAD | _OF_THE_TRACE),
    }
    context = getattr(chosen.get("__pregel_runtime"), "context", None)
    return told if context is None else {**told, "context": context}


def _without(given: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {
        name: value
        for name, value in given.items()
        if name not in names and not str(name).startswith(_BY_PREFIX)
    }
