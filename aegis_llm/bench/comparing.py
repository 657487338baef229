"""Whether a second bench is better or worse than a first one, figure by figure. Pure.

The two are compared by the ratio of a figure after to before. Its interval comes from resamples:
rounds are drawn first, then requests in them. Where both asked the same prompts (the same seed and
plan), the same requests are drawn of both, and a median is that of the ratios of each prompt with
itself, however long it is.

A figure is better or worse only when the whole interval of 99 % lies beyond the threshold. 99 and
not 95, since some forty figures are compared at once; the threshold, since a server that is
measured twice differs by a few percent for no reason that anybody could act upon. And only where
both have four rounds: by chance alone all three rounds of one lie above those of the other once in
twenty times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from aegis_llm.bench.caching import is_hit
from aegis_llm.bench.figures import prefill_speed, stream_speed
from aegis_llm.bench.results import Results
from aegis_llm.bench.statistics import enough, resamples
from aegis_llm.bench.values import Phase, Sent

Verdict = Literal["better", "worse", "within noise", "too few"]
Array = NDArray[np.float64]
THRESHOLD = 0.05
_DRAWS = 1000
_SURE = (0.005, 0.995)
_LEAST = 5
_ROUNDS = 4
_ERRORS = 0.01


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one phase.

    Attributes:
        before: Its value in the first file, `after` in the second.
        ratio: After over before, with the `low` and `high` end of its interval of 99 %; None: too
            few values for one.
        paired: Whether the same prompts were compared.
    """

    phase: str
    figure: str
    unit: str
    before: float
    after: float
    ratio: float
    low: float | None
    high: float | None
    verdict: Verdict
    paired: bool = False


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two results files side by side.

    Attributes:
        regressed: Whether something is worse.
        differences: What else differs: machine, versions, settings; they may be the reason.
        missing: Phases that only one of them has.
    """

    v: int = 1
    before: str
    after: str
    threshold: float
    regressed: bool
    figures: tuple[Compared, ...]
    differences: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class _Figure(msgspec.Struct, frozen=True):
    name: str
    unit: str
    of: Callable[[Sent], float | None]
    share: float
    more_is_better: bool = False
    kinds: tuple[str, ...] = ("load", "prefix", "cold", "cache")


def _hit(one: Sent) -> float | None:
    return float(is_hit(one)) if one.outcome else None


def _alone(of: Callable[[Sent], float | None], label: str) -> Callable[[Sent], float | None]:
    return lambda one: of(one) if one.label == label else None


_FIGURES = (
    _Figure("first token, p50", "s", lambda one: one.ttft, 0.5, kinds=("load", "prefix")),
    _Figure("first token, p95", "s", lambda one: one.ttft, 0.95, kinds=("load",)),
    _Figure("answer, p50", "s", lambda one: one.latency, 0.5, kinds=("load", "cache")),
    _Figure("answer, p95", "s", lambda one: one.latency, 0.95, kinds=("load", "cache")),
    _Figure("answer, p99", "s", lambda one: one.latency, 0.99, kinds=("load", "cache")),
    _Figure("one answer", "tokens/s", stream_speed, 0.5, more_is_better=True, kinds=("load",)),
    _Figure("load", "s", _alone(lambda one: one.load, "cold"), 0.5, kinds=("cold",)),
)
_PREFILL = _Figure("prompt", "tokens/s", prefill_speed, 0.5, more_is_better=True)


def compare(
    before: Results,
    after: Results,
    names: tuple[str, str] = ("before", "after"),
    threshold: float = THRESHOLD,
) -> Comparison:
    """Compare two results files; `threshold` is the share by which a figure may differ."""
    mine = {one.name: n for n, one in enumerate(before.phases)}
    theirs = {one.name: n for n, one in enumerate(after.phases)}
    found: list[Compared] = []
    for name, place in mine.items():
        if name in theirs:
            phase = before.phases[place]
            first = [one for one in before.requests if one.phase == place]
            second = [one for one in after.requests if one.phase == theirs[name]]
            alike = same_prompts(before, after) and phase == after.phases[theirs[name]]
            found += _of_phase(phase, first, second, threshold, paired=alike)
    return Comparison(
        before=names[0],
        after=names[1],
        threshold=threshold,
        regressed=any(one.verdict == "worse" for one in found),
        figures=tuple(found),
        differences=tuple(differences(before, after)),
        missing=tuple(sorted(mine.keys() ^ theirs.keys())),
    )


def same_prompts(before: Results, after: Results) -> bool:
    """Return whether both asked the same prompts, so that they can be compared one by one."""
    one, other = before.settings, after.settings
    fields = ("seed", "prompt_tokens", "output_tokens", "cache", "shares")
    alike = all(getattr(one, name) == getattr(other, name) for name in fields)
    return alike and normal(before.model.name) == normal(after.model.name)


def normal(name: str) -> str:
    """Return a model's name with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def differences(before: Results, after: Results) -> list[str]:
    """Return what else differs between two files, as sentences."""
    said = []
    for what, one, other in (
        ("Ollama", before.machine.ollama, after.machine.ollama),
        ("aegis-llm", before.machine.package, after.machine.package),
        ("the processor", before.machine.cpu, after.machine.cpu),
        ("the GPUs", before.machine.gpus, after.machine.gpus),
        ("the main memory", before.machine.memory, after.machine.memory),
        ("the operating system", before.machine.os, after.machine.os),
        ("the model", before.model.name, after.model.name),
        ("the model's digest", before.model.digest[:12], after.model.digest[:12]),
        ("the context", before.model.context, after.model.context),
        ("the seed", before.settings.seed, after.settings.seed),
        ("the length of prompts", before.settings.prompt_tokens, after.settings.prompt_tokens),
        ("the length of answers", before.settings.output_tokens, after.settings.output_tokens),
    ):
        if one != other:
            said.append(f"{what}: {_shown(one)} before, {_shown(other)} after")
    said += _environment(before.machine.environment or {}, after.machine.environment or {})
    for name, document in (("before", before), ("after", after)):
        if document.partial:
            said.append(f"the file {name} is partial: {document.partial}")
    return said


def _environment(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [
        f"{name}: {before.get(name, 'unset')} before, {after.get(name, 'unset')} after"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _shown(value: object) -> str:
    if value is None or value == "":
        return "unknown"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _of_phase(
    phase: Phase, first: Sequence[Sent], second: Sequence[Sent], threshold: float, *, paired: bool
) -> list[Compared]:
    asked = [one for one in _FIGURES if phase.kind in one.kinds]
    if phase.kind == "load" and phase.callers == 1:
        asked.append(_PREFILL)
    found = [
        made
        for one in asked
        if (made := _compared(phase.name, one, first, second, threshold, paired=paired))
    ]
    if phase.kind == "load":
        found += _together(phase.name, first, second, threshold)
    if phase.kind == "cache" and phase.way == "through":
        found += _shares("hits", phase.name, first, second, threshold, _hit, more_is_better=True)
        found += _shares("wrong hits", phase.name, first, second, 0.0, _wrong)
    found += _shares("errors", phase.name, first, second, _ERRORS, _failed)
    return found


def _failed(one: Sent) -> float:
    # A model that says one token thirty times is ended without a last line: nothing failed.
    return float(bool(one.error) and not one.error.startswith("cut"))


def _wrong(one: Sent) -> float | None:
    return float(one.right is False) if one.outcome else None


def _compared(
    phase: str,
    figure: _Figure,
    first: Sequence[Sent],
    second: Sequence[Sent],
    threshold: float,
    *,
    paired: bool,
) -> Compared | None:
    one, other = _keyed(first, figure), _keyed(second, figure)
    if paired:
        common = one.keys() & other.keys()
        one, other = ({k: v for k, v in each.items() if k in common} for each in (one, other))
    if not one or not other:
        return None
    share = figure.share
    before, after = (float(np.quantile(list(each.values()), share)) for each in (one, other))
    few = min(len(one), len(other))
    turns = min(len(_by_round(one)), len(_by_round(other)))
    if before <= 0 or few < _LEAST or turns < _ROUNDS or not enough(few, share):
        return Compared(
            phase=phase, figure=figure.name, unit=figure.unit, before=before, after=after,
            ratio=after / before if before else 1.0, low=None, high=None, verdict="too few",
            paired=paired,
        )  # fmt: skip
    ratios = _ratios(one, other, share, paired=paired)
    ratio = after / before
    if paired and share == 0.5:
        ratio = float(np.median([other[key] / one[key] for key in one]))
    low, high = (float(end) for end in np.quantile(ratios, _SURE))
    return Compared(
        phase=phase, figure=figure.name, unit=figure.unit, before=before, after=after,
        ratio=ratio, low=low, high=high, paired=paired,
        verdict=_verdict(low, high, threshold, more_is_better=figure.more_is_better),
    )  # fmt: skip


def _keyed(sent: Sequence[Sent], figure: _Figure) -> dict[tuple[int, int], float]:
    return {
        (one.round, one.place): value
        for one in sent
        if not one.error and (value := figure.of(one)) is not None
    }


def _ratios(
    one: dict[tuple[int, int], float],
    other: dict[tuple[int, int], float],
    share: float,
    *,
    paired: bool,
) -> Array:
    if paired and share == 0.5:  # each prompt with itself: no matter how long it is
        (drawn,) = resamples([_rounds({key: other[key] / one[key] for key in one})], 0, _DRAWS)
        return np.asarray(np.quantile(drawn, 0.5, axis=1))
    if paired:
        before, after = resamples([_rounds(one), _rounds(other)], 0, _DRAWS)
    else:
        (before,) = resamples([_rounds(one)], 0, _DRAWS)
        (after,) = resamples([_rounds(other)], 1, _DRAWS)
    ratios: Array = np.quantile(after, share, axis=1) / np.maximum(
        1e-12, np.quantile(before, share, axis=1)
    )
    return ratios


def _rounds(values: dict[tuple[int, int], float]) -> list[Array]:
    return [np.array([values[key] for key in keys]) for keys in _by_round(values).values()]


def _by_round(values: dict[tuple[int, int], float]) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for key in sorted(values):
        found.setdefault(key[0], []).append(key)
    return found


def _verdict(low: float, high: float, threshold: float, *, more_is_better: bool) -> Verdict:
    if low > 1 + threshold:
        return "better" if more_is_better else "worse"
    if high < 1 / (1 + threshold):
        return "worse" if more_is_better else "better"
    return "within noise"


def _together(
    phase: str, first: Sequence[Sent], second: Sequence[Sent], threshold: float
) -> list[Compared]:
    """Compare the tokens a second of all answers, of which each round has one."""
    one, other = (_sums(each) for each in (first, second))
    if not one or not other:
        return []
    before, after = sum(one) / len(one), sum(other) / len(other)
    low = high = None
    verdict: Verdict = "too few"
    if min(len(one), len(other)) >= _ROUNDS:
        # Of so few values each is told: all of one have to lie beyond all of the other.
        low, high = min(other) / max(one), max(other) / min(one)
        verdict = _verdict(low, high, 0.0, more_is_better=True)
        if abs(after / before - 1) <= threshold:
            verdict = "within noise"
    return [
        Compared(phase=phase, figure="all answers", unit="tokens/s", before=before, after=after,
                 ratio=after / before, low=low, high=high, verdict=verdict)
    ]  # fmt: skip


def _sums(sent: Sequence[Sent]) -> list[float]:
    rounds: dict[int, list[Sent]] = {}
    for one in sent:
        if not one.error:
            rounds.setdefault(one.round, []).append(one)
    found = []
    for part in rounds.values():
        wall = max(one.at + one.latency for one in part) - min(one.at for one in part)
        if wall > 0:
            found.append(sum(one.written for one in part) / wall)
    return [one for one in found if one > 0]


def _shares(
    name: str,
    phase: str,
    first: Sequence[Sent],
    second: Sequence[Sent],
    threshold: float,
    of: Callable[[Sent], float | None],
    *,
    more_is_better: bool = False,
) -> list[Compared]:
    """Compare how often something happened; by the normal interval of a difference of shares."""
    one = [value for sent in first if (value := of(sent)) is not None]
    other = [value for sent in second if (value := of(sent)) is not None]
    if not one or not other or not (sum(one) or sum(other)):
        return []
    before, after = sum(one) / len(one), sum(other) / len(other)
    spread = 2.576 * (_variance(one) + _variance(other)) ** 0.5
    change = after - before
    verdict: Verdict = "within noise"
    if abs(change) - spread > threshold:
        verdict = "better" if (change > 0) == more_is_better else "worse"
    return [
        Compared(phase=phase, figure=name, unit="share", before=before, after=after,
                 ratio=after / before if before else float(len(other)), low=None, high=None,
                 verdict=verdict)
    ]  # fmt: skip


def _variance(values: Sequence[float]) -> float:
    # Of none in n it could still have been one or two (Agresti and Coull): never zero.
    n = len(values) + 4
    share = (sum(values) + 2) / n
    return share * (1 - share) / n
