"""A results file as titles, tables and sentences; Markdown and HTML are made of the same. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_llm.bench.caching import HITS, Cached
from aegis_llm.bench.changes import Section, Table, ways_section
from aegis_llm.bench.figures import Figures, Quantiles, p50, p95, p99
from aegis_llm.bench.insights import stays_loaded
from aegis_llm.bench.results import Results
from aegis_llm.bench.shown import percent, rates, seconds, size, times
from aegis_llm.bench.statistics import Estimate
from aegis_llm.bench.values import KeepAlive, Sample

_CENTURY_S = 3.2e9


def sections(found: Results) -> list[Section]:
    """Return the whole report, the most important first."""
    made = [_about(found), _speed(found), _waits(found)]
    made += [_slots(found), _loads(found)]
    if found.cache is not None:
        made.append(_cache(found.cache))
    if found.ways:
        made.append(ways_section(found.ways))
    if found.memory:
        made.append(_memory(found))
    made.append(_claims(found))
    if found.notes:
        made.append(Section("Notes", list(found.notes), []))
    return made


def how_to_read() -> list[str]:
    """Return what the figures mean, for those who see them for the first time."""
    return [
        "Brackets hold the interval in which a figure lies with a probability of 95 %, by drawing "
        "rounds and then requests anew (bootstrap). Where it is missing there were too few "
        "requests: a p95 needs 20, a p99 needs 100.",
        "The first token is timed by the client; one answer's tokens a second, load and prompt "
        "are the server's own times.",
        "Waited is what is left of the server's time after load, prompt and answer. With one slot "
        "it is the wait for that slot. With several, since Ollama 0.30, it also holds the wait "
        "while other prompts are read: a wait alone does not mean that slots are missing. Through "
        "the package it is all that was neither load nor prompt nor answer, its queue included.",
        "A prompt's tokens a second are told where prompts were new and alone only: cached tokens "
        "are counted and take no time, and next to others a prompt's time holds theirs.",
    ]


def _about(found: Results) -> Section:
    machine, model = found.machine, found.model
    rows = [
        ("model", " ".join(filter(None, [model.name, model.quantization, model.digest[:12]]))),
        ("context of a slot", f"{model.context:,} tokens" if model.context else "unknown"),
        ("server", f"{machine.url}, Ollama {machine.ollama or 'unknown'}"),
        ("machine", _joined([machine.os, machine.cpu, _cores(machine.cores)])),
        ("GPUs", "unknown" if machine.gpus is None else ", ".join(machine.gpus) or "none"),
        ("main memory", size(machine.memory)),
        ("cache", _joined([machine.redis, model.embedder and f"embeddings {model.embedder}"])),
        ("settings", _joined([f"{k}={v}" for k, v in (machine.environment or {}).items()])),
        ("measured with", f"aegis-llm {machine.package}, Python {machine.python}"),
        ("requests", f"{len(found.requests):,} in {seconds(found.seconds)}, "
                     f"{found.settings.rounds} rounds, seed {found.settings.seed}"),
    ]  # fmt: skip
    said = [f"Begun {found.begun}."]
    if found.partial:
        said.insert(0, f"PARTIAL: {found.partial}. Below is what was measured.")
    return Section("What was measured", said, [Table(("", ""), rows)])


def _speed(found: Results) -> Section:
    rows = [
        (
            one.name,
            str(one.requests - sum(one.errors.values())),
            _errors(one),
            times(p50(one.ttft)),
            times(p50(one.latency)),
            times(p95(one.latency)),
            times(p99(one.latency)),
            rates(one.stream),
            rates(one.aggregate),
            rates(one.prefill),
        )
        for one in _loads_of(found)
    ]
    head = ("phase", "answers", "errors", "first token p50", "answer p50", "p95", "p99",
            "tokens/s each", "tokens/s together", "prompt tokens/s")  # fmt: skip
    lengths = [one for one in found.figures if one.kind == "load" and one.read]
    said = []
    if lengths:
        read = sum(one.read for one in lengths) / len(lengths)
        written = sum(one.written for one in lengths) / len(lengths)
        said = [f"Prompts of {read:,.0f} tokens, answers of {written:,.0f}, in the mean."]
    return Section("Speed", said, [Table(head, rows)], "speed")


def _waits(found: Results) -> Section:
    rows = [
        (one.name, _three(one.ttft), _three(one.wait), _three(one.load), str(one.at_once or "-"))
        for one in _loads_of(found)
    ]
    head = ("phase", "first token p50 / p95 / p99", "waited", "load", "written at once")
    return Section("Waiting", [], [Table(head, rows)], "timeline")


def _slots(found: Results) -> Section:
    return Section("Slots", [found.knee.sentence], [])


def _loads(found: Results) -> Section:
    said = []
    if found.cold is not None:
        cold = found.cold
        said.append(
            f"Cold start: load {times(cold.load)}, first token {times(cold.ttft)}; "
            f"right behind it {times(cold.warm_ttft)}."
        )
    if found.keep_alive is not None:
        said.append(_stays(found.keep_alive))
    if found.prefix is not None:
        one = found.prefix
        part = f"Same documents: first token {times(one.first)} for the first question, "
        part += f"{times(one.later)} for the next"
        if one.reused is not None:
            part += f"; about {percent(one.reused)} of their prompts was not read again"
        said.append(part + ".")
    return Section("Loading and staying", said, []) if said else Section("Loading", ["-"], [])


def _stays(one: KeepAlive) -> str:
    said = "Keep-alive: how long the model stays is not told"
    if one.stays_s is not None:
        forever = one.stays_s > _CENTURY_S
        said = f"Keep-alive: the model stays {'for ever' if forever else seconds(one.stays_s)}"
    state = {True: "still loaded", False: "gone", None: "unknown"}[one.loaded]
    said += f" after a request; after a pause of {one.paused_s:g} s it was {state}"
    if (there := stays_loaded(one.load_s)) is not None:
        said += f", and the next request {'loaded nothing' if there else 'waited for a load'}"
    return said + "."


def _cache(cache: Cached) -> Section:
    total = sum(cache.asked.values())
    rows = [
        (label, f"{asked}", f"{cache.hits.get(label, 0)}",
         percent(cache.hits.get(label, 0) / asked) if asked else "-")
        for label, asked in sorted(cache.asked.items())
    ]  # fmt: skip
    ways = [
        (name, _three(found))
        for name, found in (
            ("straight to Ollama", cache.around),
            ("through the package", cache.through),
            ("of that hits", cache.hit),
            ("of that misses", cache.miss),
        )
    ]
    outcomes = sorted(cache.outcomes.items(), key=lambda one: -one[1])
    hits = sum(number for name, number in outcomes if name in HITS)
    said = [
        f"{hits} of {total} requests hit ({_share(cache.hit_rate)}); {percent(cache.repeats)} of "
        f"them repeat something, and more cannot hit. "
        f"{cache.wrong} {'hit was' if cache.wrong == 1 else 'hits were'} wrong.",
        "Outcomes: " + ", ".join(f"{name} {number}" for name, number in outcomes) + ".",
    ]
    if cache.faster is not None:
        said.append(f"The mean request takes {1 / cache.faster:.2f} times as long through the "
                    "package as around it.")  # fmt: skip
    if not cache.semantic:
        said.append("There was no embedding model, so rewordings could not hit.")
    if cache.unstored:
        listed = ", ".join(f"{name} {number}" for name, number in cache.unstored.items())
        said.append(f"Some answers were not stored, so their repeats could not hit: {listed}.")
    if cache.troubles:
        listed = ", ".join(f"{name} {number}" for name, number in cache.troubles.items())
        said.append(
            f"The cache failed at some requests, which were answered without it: {listed}."
        )
    tables = [
        Table(("asked", "requests", "hits", "share"), rows),
        Table(("whole answer", "p50 / p95 / p99"), ways),
    ]
    return Section("Cache", said, tables, "cache")


def _memory(found: Results) -> Section:
    rows, samples = [], found.memory
    for name, when in (
        ("before", "before"), ("at rest, loaded", "rest"), ("peak", ""), ("after", "after")
    ):  # fmt: skip
        own = [one for one in samples if not when or one.when == when]
        if own:
            rows.append((name, *(size(_most(own, field)) for field in _FIELDS)))
    head = ("", "model", "of that on GPUs", "all GPUs", "main memory", "Redis")
    said = ["GPUs, main memory and Redis are what is in use in all, whoever uses it."]
    if found.machine.gpus and _most(samples, "gpu") is None and _most(samples, "host") is not None:
        said.append("The GPU does not tell how much is in use: where it shares the main memory, "
                    "as a DGX Spark or a Jetson does, it is part of that.")  # fmt: skip
    return Section("Memory", said, [Table(head, rows)], "memory")


_FIELDS = ("model", "vram", "gpu", "host", "redis")


def _most(samples: Sequence[Sample], field: str) -> int | None:
    return max((v for one in samples if (v := getattr(one, field)) is not None), default=None)


def _claims(found: Results) -> Section:
    rows = [(one.claim, one.claimed, one.measured, one.why) for one in found.claims]
    head = ("what a study of 2025 promises", "promised", "measured here", "why it differs")
    return Section("Promised and measured", [], [Table(head, rows)], "")


def _loads_of(found: Results) -> list[Figures]:
    return [one for one in found.figures if one.kind == "load" and one.requests]


def _errors(one: Figures) -> str:
    return ", ".join(f"{name} {number}" for name, number in one.errors.items()) or "0"


def _three(one: Quantiles | None) -> str:
    if one is None:
        return "-"
    return " / ".join(seconds(each.value) for each in (one.p50, one.p95, one.p99))


def _share(one: Estimate | None) -> str:
    if one is None:
        return "-"
    if one.low is None or one.high is None:
        return percent(one.value)
    return f"{percent(one.value)}, {percent(one.low)} to {percent(one.high)}"


def _cores(cores: int | None) -> str | None:
    return None if cores is None else f"{cores} cores"


def _joined(parts: Sequence[str | None]) -> str:
    return ", ".join(part for part in parts if part) or "unknown"
