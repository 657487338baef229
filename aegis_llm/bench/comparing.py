"""Whether a second bench is better or worse than a first one, figure by figure. Pure.

The two are compared by the ratio of a figure after to before. How far it moves by chance is seen
when one round after the other is left out. Where both asked the same prompts (the same seed and
plan), a median is that of the ratios of each prompt with itself, however long it is.

A figure is better or worse only when its whole interval lies beyond the threshold. The interval is
one of 99.9 %, and not of 95 %, since some forty figures are compared at once; the threshold is
there since a server that is measured twice differs by a few percent for no reason
that anybody could act upon. Both files need four rounds.
"""

from __future__ import annotations

import msgspec

from aegis_llm.bench.caching import is_hit
from aegis_llm.bench.ratios import Both, over_all, ratios_of
from aegis_llm.bench.results import Results
from aegis_llm.bench.values import Sent
from aegis_llm.bench.verdicts import THRESHOLD, Compared, compared_shares, judged

_ERRORS = 0.01


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


def compare(
    before: Results,
    after: Results,
    names: tuple[str, str] = ("before", "after"),
    threshold: float = THRESHOLD,
) -> Comparison:
    """Compare two results files; `threshold` is the share by which a figure may differ."""
    mine = {one.name: n for n, one in enumerate(before.phases)}
    theirs = {one.name: n for n, one in enumerate(after.phases)}
    both: list[Both] = []
    for name, place in mine.items():
        if name in theirs:
            phase = before.phases[place]
            first = [one for one in before.requests if one.phase == place]
            second = [one for one in after.requests if one.phase == theirs[name]]
            alike = same_prompts(before, after) and phase == after.phases[theirs[name]]
            both.append((phase, first, second, alike))
    ratios = [made for one in both for made in ratios_of(one)]
    found = judged(over_all(both), threshold) + judged(ratios, threshold)
    found += [made for one in both for made in _counted(one, threshold)]
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


def _counted(both: Both, threshold: float) -> list[Compared]:
    phase, first, second, _ = both
    name, found = phase.name, list[Compared]()
    if phase.kind == "cache" and phase.way == "through":
        found += compared_shares("hits", name, first, second, threshold, _hit, more_is_better=True)
        found += compared_shares("wrong hits", name, first, second, 0.0, _wrong)
    return found + compared_shares("errors", name, first, second, _ERRORS, _failed)


def _hit(one: Sent) -> float | None:
    return float(is_hit(one)) if one.outcome else None


def _failed(one: Sent) -> float:
    # A model that says one token thirty times is ended without a last line: nothing failed.
    return float(bool(one.error) and not one.error.startswith("cut"))


def _wrong(one: Sent) -> float | None:
    return float(one.right is False) if one.outcome else None
