"""What the requests of each phase say. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from aegis_llm.bench.statistics import Estimate, estimate, estimates, mean_of_rounds
from aegis_llm.bench.values import Kind, Phase, Sent, Way
from aegis_llm.bootstrap.verifying.overlap import Span, at_once

_LEAST_READ = 96
"""Tokens of a prompt: some of each are those of the template, which are read once and kept."""
Value = Callable[[Sent], float | None]


class Quantiles(msgspec.Struct, frozen=True):
    """Half, 95 % and 99 % of the requests took at most so long."""

    p50: Estimate
    p95: Estimate
    p99: Estimate


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One phase; seconds, and tokens a second.

    Attributes:
        errors: How many requests failed, by the word that says how.
        ttft: Until the first piece of the answer, by the client's clock.
        stream: Tokens a second of one answer while it was written, by the server's times.
        aggregate: Tokens a second of all answers of a round together, from the first request to
            the last answer.
        rate: Answers a second, likewise.
        wait: Time of the server that was neither load nor prompt nor answer.
        load: `load_duration`.
        prefill: Prompt tokens a second, where prompts were new and read alone.
        at_once: Most answers that were written at the same time.
        read: Tokens of a prompt, `written` of an answer, in the mean.
    """

    name: str
    kind: Kind
    way: Way
    callers: int
    requests: int
    errors: dict[str, int] = {}
    ttft: Quantiles | None = None
    latency: Quantiles | None = None
    stream: Estimate | None = None
    aggregate: Estimate | None = None
    rate: Estimate | None = None
    wait: Quantiles | None = None
    load: Quantiles | None = None
    prefill: Estimate | None = None
    at_once: int | None = None
    read: float = 0.0
    written: float = 0.0


def figures(place: int, phase: Phase, sent: Sequence[Sent], seed: int) -> Figures:
    """Return the figures of one phase; `sent` may hold requests of others."""
    own = [one for one in sent if one.phase == place]
    good = [one for one in own if not one.error]
    rounds = by_round(good)
    alone = phase.kind == "load" and phase.callers == 1
    written = [one for one in good if one.written]
    return Figures(
        name=phase.name,
        kind=phase.kind,
        way=phase.way,
        callers=phase.callers,
        requests=len(own),
        errors=dict(Counter(one.error.partition(":")[0] for one in own if one.error)),
        ttft=quantiles(rounds, lambda one: one.ttft, seed),
        latency=quantiles(rounds, lambda one: one.latency, seed),
        stream=_middle(rounds, stream_speed, seed),
        aggregate=mean_of_rounds(_over_wall(rounds, lambda one: one.written)),
        rate=mean_of_rounds(_over_wall(rounds, lambda _: 1)),
        wait=quantiles(rounds, lambda one: one.wait, seed),
        load=quantiles(rounds, lambda one: one.load, seed),
        prefill=_middle(rounds, prefill_speed, seed) if alone else None,
        at_once=max((at_once(_spans(one)) for one in rounds), default=0) or None,
        read=_mean([one.read for one in good if one.read]),
        written=_mean([one.written for one in written]),
    )


def by_round(sent: Sequence[Sent]) -> list[list[Sent]]:
    """Return the requests of each round, in their order."""
    found: dict[int, list[Sent]] = {}
    for one in sent:
        found.setdefault(one.round, []).append(one)
    return [found[key] for key in sorted(found)]


def values(rounds: Sequence[Sequence[Sent]], of: Value) -> list[list[float]]:
    """Return a value of each request that has one, by round."""
    return [[value for one in sent if (value := of(one)) is not None] for sent in rounds]


def quantiles(rounds: Sequence[Sequence[Sent]], of: Value, seed: int) -> Quantiles | None:
    """Return how a value is spread; None: no request has it."""
    found = estimates(values(rounds, of), (0.5, 0.95, 0.99), seed)
    return Quantiles(*found) if found else None


def p50(found: Quantiles | None) -> Estimate | None:
    """Return the median of a spread, where there is one."""
    return None if found is None else found.p50


def p95(found: Quantiles | None) -> Estimate | None:
    """Return the 95 % quantile of a spread, where there is one."""
    return None if found is None else found.p95


def p99(found: Quantiles | None) -> Estimate | None:
    """Return the 99 % quantile of a spread, where there is one."""
    return None if found is None else found.p99


def stream_speed(one: Sent) -> float | None:
    """Return the tokens a second of an answer, once the first of them was there."""
    if one.outcome.startswith("hit") or one.outcome == "coalesced" or one.written < 2:
        return None
    if one.decode:
        return one.written / one.decode
    if one.ttft is None or one.wrote_until is None or one.wrote_until <= one.ttft:
        return None
    return (one.written - 1) / (one.wrote_until - one.ttft)


def prefill_speed(one: Sent) -> float | None:
    """Return the prompt tokens a second of a prompt that was new to the server, and alone.

    `prompt_eval_count` holds cached tokens, too, and next to others `prompt_eval_duration` holds
    their prompts: only of such a prompt do the two belong together.
    """
    if not one.prefill or one.read < _LEAST_READ or one.label == "warm":
        return None
    return one.read / one.prefill


def _middle(rounds: Sequence[Sequence[Sent]], of: Value, seed: int) -> Estimate | None:
    return estimate(values(rounds, of), 0.5, seed)


def _over_wall(rounds: Sequence[Sequence[Sent]], of: Callable[[Sent], int]) -> list[float]:
    found = []
    for sent in rounds:
        wall = max(one.at + one.latency for one in sent) - min(one.at for one in sent)
        if wall > 0 and (amount := sum(map(of, sent))):
            found.append(amount / wall)
    return found


def _spans(sent: Sequence[Sent]) -> list[Span]:
    return [
        Span(one.at + one.ttft, one.at + one.wrote_until)
        for one in sent
        if one.ttft is not None and one.wrote_until is not None and one.wrote_until > one.ttft
    ]


def _mean(numbers: Sequence[int]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
