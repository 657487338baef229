"""Answers on their way out: replayed from an entry, or marked with where they came from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from langchain_core.outputs import ChatGenerationChunk, ChatResult

from aegis_llm.quiet import Quiet
from aegis_llm.service import Lookup
from langchain_aegis._convert import copy_chunk, spared, with_origin

log = logging.getLogger("aegis_llm")
_quiet = Quiet()
T = TypeVar("T")


def replay(make: Callable[..., T], lookup: Lookup, thinking: bool) -> T | None:
    """Return what `make` rebuilds of a hit; None when its value was not written by us."""
    try:
        return make(lookup.entry, lookup.origin, thinking=thinking)
    except Exception as exc:  # noqa: BLE001 - the model answers instead, and its answer is stored
        if _quiet.may_say(f"{type(exc)}"):
            log.warning("an entry could not be replayed; the model is asked: %s", type(exc))
        return None


def marked(result: ChatResult, lookup: Lookup) -> ChatResult:
    """Return the result with the origin in its metadata."""
    for generation in result.generations:
        generation.generation_info = with_origin(generation.generation_info, lookup.origin)
    return result


def marked_chunk(chunk: ChatGenerationChunk, lookup: Lookup) -> ChatGenerationChunk:
    """Return a copy of the last chunk with the origin in its metadata."""
    chunk = copy_chunk(chunk)
    if lookup.origin.outcome == "coalesced":
        chunk = spared(chunk)
    chunk.generation_info = with_origin(chunk.generation_info, lookup.origin)
    return chunk


def is_last(chunk: ChatGenerationChunk) -> bool:
    """Return whether it is the chunk that ends a stream."""
    return bool(chunk.generation_info and chunk.generation_info.get("done"))
