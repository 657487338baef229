"""The document that a bench leaves: what was measured, and every figure made of it. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from aegis_llm.bench.caching import Cached, cached
from aegis_llm.bench.claims import Claim, claims
from aegis_llm.bench.figures import Figures, figures
from aegis_llm.bench.insights import Cold, Prefix, cold_start, prefix
from aegis_llm.bench.slots import Knee, knee
from aegis_llm.bench.values import (
    VERSION,
    KeepAlive,
    Machine,
    Model,
    Phase,
    Recorded,
    Sample,
    Sent,
    Settings,
)
from aegis_llm.bench.verdicts import Compared
from aegis_llm.bench.ways import ways
from aegis_llm.errors import ConfigError

COLUMNS = Sent.__struct_fields__


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A results file; fields are added, never renamed, while `v` stays the same.

    Attributes:
        begun: When, UTC, RFC 3339.
        partial: Why it ended early; empty: all was measured.
        ways: What the package costs, where the load phases went both ways.
        requests: One row for each, in the order of `columns`.
    """

    v: int = VERSION
    kind: Literal["aegis-llm bench"] = "aegis-llm bench"
    begun: str = ""
    seconds: float = 0.0
    partial: str = ""
    settings: Settings
    machine: Machine
    model: Model
    run: str = ""
    phases: tuple[Phase, ...]
    figures: tuple[Figures, ...]
    knee: Knee
    cold: Cold | None = None
    keep_alive: KeepAlive | None = None
    prefix: Prefix | None = None
    cache: Cached | None = None
    ways: tuple[Compared, ...] = ()
    memory: tuple[Sample, ...] = ()
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = COLUMNS
    requests: tuple[Sent, ...] = ()


class _Head(msgspec.Struct):
    v: int = 0
    kind: str = ""


def results(recorded: Recorded) -> Results:
    """Return the document of what was recorded, however much that is."""
    sent, phases, seed = recorded.sent, recorded.phases, recorded.settings.seed
    found = tuple(figures(place, one, sent, seed) for place, one in enumerate(phases))
    places = {one.kind: place for place, one in enumerate(phases)}
    cold = cold_start(places["cold"], sent) if "cold" in places else None
    shared = prefix(places["prefix"], sent, seed) if "prefix" in places else None
    semantic = recorded.model.embedder is not None
    cache = cached(phases, sent, seed, semantic=semantic)
    bend = knee(phases, found)
    return Results(
        begun=recorded.begun,
        seconds=recorded.seconds,
        partial=recorded.partial,
        settings=recorded.settings,
        machine=recorded.machine,
        model=recorded.model,
        run=recorded.run,
        phases=recorded.phases,
        figures=found,
        knee=bend,
        cold=cold,
        keep_alive=recorded.keep_alive,
        prefix=shared,
        cache=cache,
        ways=ways(phases, sent),
        memory=tuple(recorded.samples),
        claims=claims(found, bend, cold, cache),
        notes=tuple(recorded.notes),
        requests=tuple(sent),
    )


def encode(document: Results) -> bytes:
    """Return the results file: one line for each request, so that it can be read and compared."""
    whole = msgspec.json.format(msgspec.json.encode(_without(document)), indent=1)
    rows = b",\n  ".join(msgspec.json.encode(one) for one in document.requests)
    empty = b'"requests": []'
    before, found, after = whole.rpartition(empty)
    if not found or not rows:
        return whole + b"\n"
    return before + b'"requests": [\n  ' + rows + b"\n ]" + after + b"\n"


def decode(data: bytes, name: str) -> Results:
    """Read a results file.

    Raises:
        ConfigError: It is none, or one of another version; the message says which.
    """
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        msg = f"{name} is no results file of `aegis-llm bench`: {exc}"
        raise ConfigError(msg) from None
    if head.kind != "aegis-llm bench":
        msg = f"{name} is no results file of `aegis-llm bench`; give the JSON file that it wrote"
        raise ConfigError(msg)
    if head.v != VERSION:
        newer = "a newer aegis-llm is needed" if head.v > VERSION else "measure again"
        msg = f"{name} has version {head.v} of the results file, this aegis-llm reads {VERSION}"
        msg += f"; {newer}"
        raise ConfigError(msg)
    try:
        return msgspec.json.decode(data, type=Results)
    except (msgspec.DecodeError, RecursionError) as exc:
        msg = f"{name} is damaged: {exc}; measure again"
        raise ConfigError(msg) from None


def _without(document: Results) -> Results:
    return msgspec.structs.replace(document, requests=())
