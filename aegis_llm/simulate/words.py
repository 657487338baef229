"""What a plan means, in sentences, and what it assumes."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from aegis_llm.simulate.load import Load
from aegis_llm.simulate.plan import Row, Targets
from aegis_llm.simulate.setup import Setup

_DAY = 86_400
_WORTHWHILE = 1.1
_FEW = 200

LANGCHAIN = """\
set_llm_cache(AegisCache(redis_url="redis://localhost:6379"))        # once, at the start
- llm = ChatAegis(model="llama3.1:8b")
+ llm = ChatOpenAI(base_url="http://vllm:8000/v1", api_key="none", model="llama-3.1-8b")"""
LLAMA_INDEX = """\
engine = AegisQueryEngine(index.as_query_engine(), name="facts-1")   # stays
- Settings.llm = AegisOllama(model="llama3.1:8b")
+ Settings.llm = OpenAILike(api_base="http://vllm:8000/v1", api_key="none", is_chat_model=True,
+                           model="llama-3.1-8b")"""
"""The one line that changes when the chain asks a server such as vLLM."""


def seconds(value: float) -> str:
    """Return a time for reading: `35 ms`, `1.2 s`, `150 s`, `12 min`."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 600:
        return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"
    return f"{value / 60:,.0f} min"


def per_s(rate: float) -> str:
    """Return a rate for reading, with three digits: `0.052`, `2.51`, `1,310`."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def promised(targets: Targets) -> str:
    """Return what is promised: `p95 of the first token under 2 s`."""
    parts = []
    if targets.ttft is not None:
        parts.append(f"p95 of the first token under {targets.ttft:g} s")
    if targets.latency is not None:
        parts.append(f"p95 of the whole answer under {targets.latency:g} s")
    return " and ".join(parts)


def answers(rows: Sequence[Row], setup: Setup, load: Load, targets: Targets) -> list[str]:
    """Return the answers to what a plan is made for."""
    best = max(rows, key=lambda row: row.sustained or 0.0)
    said = [*_slots(rows, load), _outgrown(best, setup, load, targets)]
    fewer = [row for row in rows if row.parallel < best.parallel]
    most = best.sustained and fewer and best.parallel == max(row.parallel for row in rows)
    faster = setup.speed.all_slots(2 * best.parallel) / setup.speed.all_slots(best.parallel)
    gained = best.capacity / max((row.capacity for row in fewer), default=best.capacity)
    if most and min(faster, gained) > _WORTHWHILE:
        more = f"--num-parallel {2 * best.parallel},{4 * best.parallel}"
        said.append(f"More slots go further still, if they fit into memory: try {more}.")
    if beyond := _beyond(best, setup, load):
        said.append(beyond)
    return said


def _slots(rows: Sequence[Row], load: Load) -> list[str]:
    """Say what each number of slots gives beside the one before it."""
    said = []
    before: dict[bool, Row] = {}
    for row in rows:
        gives = f"at most {per_s(row.capacity)} requests/s"
        last, plain = before.get(row.scheduler), before.get(False)
        if row.scheduler and plain is not None:
            gives += f", {row.capacity / plain.capacity:.2f} times that without it"
        elif last is not None:
            times = row.capacity / last.capacity
            gives += f", {times:.2f} times that of {last.parallel}"
            if times < _WORTHWHILE:
                gives += " (hardly worth its memory)"
        said.append(f"{_name(row)} gives {gives}; {_now(row, load)}.")
        before[row.scheduler] = row
    return said


def _name(row: Row) -> str:
    return f"NUM_PARALLEL={row.parallel}" + (" with the scheduler" if row.scheduler else "")


def _now(row: Row, load: Load) -> str:
    first, whole = row.outcome.ttft.p95, row.outcome.latency.p95
    if row.overloaded:
        return "what you ask is more, and the queue grows without end"
    asked = f"for {load.concurrent} callers" if load.concurrent else "at your rate"
    return (
        f"{asked} the p95 of the first token is {seconds(first)}, of the answer {seconds(whole)}"
    )


def _outgrown(best: Row, setup: Setup, load: Load, targets: Targets) -> str:
    whose = "One server is" if setup.servers == 1 else f"{setup.servers} servers are"
    if load.trace is not None and load.arrival_rate is None:
        return "All requests of the trace come at once: there is no rate to look for."
    if best.sustained is None:
        return (
            f"No rate keeps the {promised(targets)}: a single request on an idle server takes "
            "longer. Shorter prompts, a faster machine or a smaller model would help."
        )
    if not best.sustained:
        return f"Only requests that come one by one keep the {promised(targets)}."
    said = (
        f"{whose} outgrown above {per_s(best.sustained)} requests/s sustained "
        f"({best.sustained * _DAY:,.0f} a day): up to there the {promised(targets)} holds, with "
        f"{_name(best)}"
    )
    if load.hit_rate and best.sustained_with_cache is not None:
        said += (
            f"; when {load.hit_rate:.0%} are answered by the cache, above "
            f"{per_s(best.sustained_with_cache)} ({best.sustained_with_cache * _DAY:,.0f} a day)"
        )
    return said + "."


def _beyond(best: Row, setup: Setup, load: Load) -> str:
    rate, most = load.arrival_rate, best.sustained_with_cache
    if rate is None or not most:
        return ""
    if rate <= most:
        return f"Your {per_s(rate)} requests/s are {rate / most:.0%} of that."
    servers = ceil(rate / most) * setup.servers
    return (
        f"Your {per_s(rate)} requests/s are {rate / most:.1f} times that: about {servers} such "
        f"servers (try --servers {servers}), or one that batches more."
    )


def assumptions(setup: Setup, load: Load, schedulers: Sequence[bool]) -> list[str]:
    """Return what was modelled and what was not."""
    said = [
        f"Speed: {setup.speed.source}.",
        "A model reads one prompt after the other and writes in all slots at the same speed. "
        + (f"While it reads, each answer gets one token per {setup.num_batch} prompt tokens."
           if setup.num_batch else "Reading does not slow writing."),
        "The first token comes one decode step after the prompt is read.",
        "Slots are chosen and prefixes reused as llama.cpp's server does, with a prompt cache of "
        f"{setup.host_cache_tokens:,} tokens in host memory.",
    ]  # fmt: skip
    if load.trace is None:
        said.append(_made(load))
    elif len(load.trace) < _FEW:
        said.append(
            f"The trace has {len(load.trace)} requests: too few for its rates to say much."
        )
    if load.hit_rate:
        said.append(
            f"{load.hit_rate:.1%} of the requests, whichever, are answered by the cache of this "
            f"package in {seconds(setup.hit_s)}; all times above are those of the others."
        )
    if load.models > 1 or load.trace is not None:
        said.append(
            "Models that work at the same time on one server share its speed evenly; "
            f"{setup.max_loaded_models} fit, and loading one takes {seconds(setup.load_s)}."
        )
    if any(schedulers):
        said.append("The scheduler is the package's own, told the number of slots.")
    if setup.servers > 1 and not all(schedulers):
        without = " without the scheduler" if any(schedulers) else ""
        said.append(f"A request goes to the server that has the fewest{without}.")
    said.append(
        "Not modelled: whether the slots fit into memory, models that Ollama forces to one slot, "
        "prompts longer than the context, embeddings, the network, errors, cancelled requests, "
        "other work on the machine."
    )
    return said


def _made(load: Load) -> str:
    said = "Lengths are "
    said += f"log-normal (deviation {load.vary:g} of the mean)" if load.vary else "all the same"
    if load.concurrent is None:
        said += ", arrivals independent of each other (Poisson): real traffic comes in bursts"
    if load.prefix_tokens:
        said += f", the {load.contexts} prefixes equally frequent"
    return said + "."
