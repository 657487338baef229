"""Answers on their way out: replayed from an entry, or marked with where they came from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from langchain_core.outputs import ChatGenerationChunk, ChatResult

from aegis_llm.lookup import Lookup
from aegis_llm.quiet import Quiet
from langchain_aegis._convert import copy_chunk, spared, with_origin
from langchain_aegis._runs import tell_run

log = logging.getLogger("aegis_llm")
_quiet = Quiet()
T = TypeVar("T")


def replay(make: Callable[..., T], lookup: Lookup, thinking: bool, run: Any = None) -> T | None:
    """Return what `make` rebuilds of a hit, and mark its run; None: it was not written by us."""
    try:
        made = make(lookup.entry, lookup.origin, thinking=thinking)
    except Exception as exc:  # noqa: BLE001 - the model answers instead, and its answer is stored
        if _quiet.may_say(f"{type(exc)}"):
            log.warning("an entry could not be replayed; the model is asked: %s", type(exc))
        return None
    tell_run(run, lookup.origin)
    return made


def marked(result: ChatResult, lookup: Lookup, run: Any = None) -> ChatResult:
    """Return the result with the origin in its metadata, and in that of its run."""
    tell_run(run, lookup.origin)
    for generation in result.generations:
        generation.generation_info = with_origin(generation.generation_info, lookup.origin)
    return result


def marked_chunk(
    chunk: ChatGenerationChunk, lookup: Lookup, run: Any = None
) -> ChatGenerationChunk:
    """Return a copy of the last chunk with the origin in its metadata, and in that of its run."""
    tell_run(run, lookup.origin)
    chunk = copy_chunk(chunk)
    if lookup.origin.outcome == "coalesced":
        chunk = spared(chunk)
    chunk.generation_info = with_origin(chunk.generation_info, lookup.origin)
    return chunk


def is_last(chunk: ChatGenerationChunk) -> bool:
    """Return whether it is the chunk that ends a stream."""
    return bool(chunk.generation_info and chunk.generation_info.get("done"))
