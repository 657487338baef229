"""Which phases there are, and in which order their rounds are measured. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec

from aegis_llm.bench.prompts import QUESTION_TOKENS, document_tokens
from aegis_llm.bench.values import Kind, Phase, Settings, Way
from aegis_llm.config.checks import check_range, check_whole, require

_COUNT = "a whole number, 1 or more"
_QUICK_S = 45.0
_LONGER = 4
_BOTH: tuple[Way, ...] = ("around", "through")
_FITS = 0.8
THROUGH = ", through"
"""Ends the name of a load phase that goes through the package."""


class Step(NamedTuple):
    """One round of one phase; `phase` is its place in the phases."""

    phase: int
    round: int


class Speed(NamedTuple):
    """What a server is thought to do: tokens a second, slots, and seconds of a load."""

    prefill: float = 1000.0
    decode: float = 40.0
    slots: int = 1
    load_s: float = 5.0


class Cost(NamedTuple):
    """What a plan asks for."""

    requests: int
    read: int
    written: int
    seconds: float


def quick(settings: Settings) -> Settings:
    """Return the same in less than a minute: fewer, shorter, and nothing begun after 45 s."""
    return msgspec.structs.replace(
        settings,
        levels=tuple(n for n in settings.levels if n in (1, 2, 4)) or settings.levels[:3],
        rounds=min(settings.rounds, 2),
        each=1,
        baseline=min(settings.baseline, 3),
        prompt_tokens=min(settings.prompt_tokens, 128),
        output_tokens=min(settings.output_tokens, 24),
        pause_s=min(settings.pause_s, 2.0),
        prefix=min(settings.prefix, 3),
        documents=min(settings.documents, 2),
        cache=min(settings.cache, 20),
        budget_s=_QUICK_S,
    )


def check(settings: Settings) -> None:
    """Refuse what cannot be measured.

    Raises:
        ConfigError: A value is out of its range; the message says which.
    """
    require(bool(settings.levels), "no levels", "give numbers of callers, 1,2,4")
    for level in (*settings.levels, settings.stress):
        check_whole("callers", level, 1, 1024, "a whole number from 1 to 1024")
    for name in ("rounds", "each", "baseline", "prompt_tokens", "output_tokens"):
        check_whole(name, getattr(settings, name), 1, 1_000_000, _COUNT)
    check_range("pause_s", settings.pause_s, 0, 86_400, "seconds, 0 or more")
    for name in ("prefix", "cache", "seed"):
        check_whole(name, getattr(settings, name), 0, 1_000_000, "a whole number, 0 or more")
    check_whole("documents", settings.documents, 1, 6, "a whole number from 1 to 6")
    total = sum(settings.shares)
    fine = min(settings.shares) >= 0 and abs(total - 1) < 1e-6
    require(fine, f"shares {settings.shares}", "give three of them that add up to 1: 0.5,0.3,0.2")
    require(settings.shares[2] > 0 or not settings.cache, "no new questions",
            "give them a share: what was never asked cannot be repeated")  # fmt: skip


def phases_of(settings: Settings) -> tuple[Phase, ...]:
    """Return the phases, those of the same kind side by side."""
    tokens, long = settings.prompt_tokens, document_tokens(settings.documents)
    made = [phase for way in settings.ways for phase in _load_phases(settings, way)]

    def other(name: str, kind: Kind, requests: int, length: int, way: Way = "around") -> Phase:
        return Phase(
            name=name,
            kind=kind,
            way=way,
            requests=requests,
            prompt_tokens=length,
            output_tokens=settings.output_tokens,
        )

    if settings.prefix:
        made.append(other("same documents", "prefix", settings.prefix, long))
    if settings.cold:
        made.append(other("cold start", "cold", 2, tokens))
    if settings.cache:
        made += [other(f"repeats, {way}", "cache", settings.cache, long, way) for way in _BOTH]
    if settings.pause_s:
        made.append(other("keep-alive", "keep_alive", 2, tokens))
    return tuple(made)


def _load_phases(settings: Settings, way: Way) -> list[Phase]:
    mark = "" if way == "around" else THROUGH

    def load(name: str, callers: int, requests: int, *, mixed: bool = False) -> Phase:
        return Phase(
            name=f"{name}{mark}",
            kind="load",
            way=way,
            callers=callers,
            requests=requests,
            prompt_tokens=settings.prompt_tokens,
            output_tokens=settings.output_tokens,
            mixed=mixed,
        )

    most = settings.stress
    return [
        load("baseline", 1, settings.baseline),
        *(load(f"{n} at once", n, n * settings.each) for n in sorted(set(settings.levels))),
        load(f"stress with {most}", most, most * settings.each, mixed=True),
    ]


def order(phases: Sequence[Phase], settings: Settings) -> list[Step]:
    """Return the steps: each round has every phase once, each in another order.

    So a machine that gets hotter, or is shared, disturbs all phases alike and not the last ones.
    The two ways of the same traffic come one after the other, each first in turn. What unloads
    the model or waits comes at the end of a round, the keep-alive once.
    """
    steps: list[Step] = []
    for turn in range(settings.rounds):
        random = Random(f"{settings.seed} order {turn}")  # noqa: S311 - the same ones are the point
        twins: dict[str, list[int]] = {}
        for n, one in enumerate(phases):
            if one.kind in ("load", "prefix"):
                twins.setdefault(one.name.removesuffix(THROUGH), []).append(n)
        mixed = list(twins.values())
        random.shuffle(mixed)
        cache = [n for n, one in enumerate(phases) if one.kind == "cache"]
        cold = [n for n, one in enumerate(phases) if one.kind == "cold"]
        turned = cache[::-1] if turn % 2 else cache
        near = [n for at, pair in enumerate(mixed) for n in pair[:: -1 if (at + turn) % 2 else 1]]
        steps += [Step(n, turn) for n in [*near, *turned, *cold]]
    steps += [Step(n, 0) for n, one in enumerate(phases) if one.kind == "keep_alive"]
    if settings.budget_s is not None:  # what takes little first: the end may come early
        steps.sort(key=lambda one: (one.round, _urgency(phases[one.phase])))
    return steps


def _urgency(phase: Phase) -> tuple[int, int, bool]:
    """Return what of a round comes first where time is short.

    What takes little does; the cache traffic says little without its half that goes through the
    package, and how long a load takes nobody knows beforehand.
    """
    kinds = {"cache": 1, "cold": 2}
    return kinds.get(phase.kind, 0), phase.requests, phase.way != "through"


def rounds_of(phase: Phase, settings: Settings) -> int:
    """Return how often a phase is measured."""
    return 1 if phase.kind == "keep_alive" else settings.rounds


def prompt_length(phase: Phase, place: int) -> int:
    """Return the tokens of a prompt; in a mixed phase each fifth is four times as long."""
    longer = phase.mixed and place % 5 == 4
    return phase.prompt_tokens * (_LONGER if longer else 1)


def cost(phases: Sequence[Phase], settings: Settings, speed: Speed) -> Cost:
    """Return what a plan asks for, and how long it takes a server of this speed.

    One prompt is read after the other, and answers are written side by side in the slots; what the
    cache answers is counted as if it did not.
    """
    requests = read = written = 0
    seconds = 0.0
    for phase in phases:
        times = rounds_of(phase, settings)
        tokens = phase.requests * phase.output_tokens
        lengths = sum(prompt_length(phase, n) for n in range(phase.requests))
        if phase.kind in ("prefix", "cache"):  # documents are read once, then they are there
            lengths = phase.prompt_tokens + (phase.requests - 1) * QUESTION_TOKENS
        side = min(phase.callers, speed.slots)
        seconds += times * (lengths / speed.prefill + tokens / speed.decode / side)
        seconds += times * speed.load_s * (phase.kind == "cold")
        seconds += settings.pause_s * (phase.kind == "keep_alive")
        requests += times * phase.requests
        read += times * lengths
        written += times * tokens
    return Cost(requests, read, written, seconds)


def fitted(settings: Settings, speed: Speed) -> Settings:
    """Return settings that fit into their budget on a server of this speed, as far as can be.

    What is given up first is what says least: rounds, then lengths, then callers.
    """
    least: tuple[dict[str, Any], ...] = (
        {"rounds": 1},
        {"output_tokens": 16, "prompt_tokens": 96},
        {"cache": 12, "prefix": 2, "baseline": 2, "documents": 1},
        {"output_tokens": 8, "prompt_tokens": 64},
        {"levels": (2, 4)},
        {"cache": 8, "stress": 5},
    )
    for less in least:
        if cost(phases_of(settings), settings, speed).seconds <= _FITS * (
            settings.budget_s or 0.0
        ):
            break
        now = {
            name: min(getattr(settings, name), value) if isinstance(value, int) else value
            for name, value in less.items()
        }
        settings = msgspec.structs.replace(settings, **now)
    return settings
