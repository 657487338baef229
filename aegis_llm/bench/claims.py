"""What a study of 2025 promises for such a server, beside what was measured here. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aegis_llm.bench.caching import Cached
from aegis_llm.bench.figures import Figures
from aegis_llm.bench.insights import Cold
from aegis_llm.bench.shown import percent, seconds
from aegis_llm.bench.slots import Knee
from aegis_llm.simulate.words import per_s

_NOTHING = "not measured"


class Claim(msgspec.Struct, frozen=True):
    """One promise, what was measured in its place, and why the two differ."""

    claim: str
    claimed: str
    measured: str
    why: str


def claims(
    found: Sequence[Figures], bend: Knee, cold: Cold | None, cache: Cached | None
) -> tuple[Claim, ...]:
    """Return a row for each promise."""
    return (
        _throughput(bend),
        _first_token(found),
        _load(cold),
        _answer(cache),
        _cached(cache),
        _hits(cache),
    )


def _throughput(bend: Knee) -> Claim:
    measured = _NOTHING
    if len(bend.levels) > 1:
        first, best = bend.levels[0], max(bend.levels, key=lambda one: one.together.value)
        alone, most = first.together.value, best.together.value
        few = f"{first.callers} caller{'' if first.callers == 1 else 's'}"
        measured = f"{per_s(alone)} tokens/s with {few}, "
        measured += (
            "no more with others"
            if best is first
            else (f"at most {per_s(most)} with {best.callers} ({most / alone - 1:+.0%})")
        )
    slots = "" if bend.slots is None else f" This server has {bend.slots}."
    return Claim(
        "Throughput by NUM_PARALLEL=4 and other settings",
        "+30 % (40 to 52 tokens/s)",
        measured,
        "One answer is written as fast as memory is read, whatever NUM_PARALLEL is; only answers "
        "side by side share the reading. What that gives depends on the model and the machine "
        "(dense models nearly double with each doubling of slots, mixtures of experts and "
        f"processors without a GPU far less), and needs callers at the same time.{slots} The "
        "setting itself is compared by two runs and `aegis-llm bench compare`.",
    )


def _first_token(found: Sequence[Figures]) -> Claim:
    one = next(
        (one for one in found if one.kind == "load" and one.callers == 1 and one.ttft), None
    )
    measured = _NOTHING
    if one is not None and one.ttft is not None:
        measured = f"{seconds(one.ttft.p50.value)} with {one.read:,.0f} tokens of prompt"
    return Claim(
        "First token of a single request",
        "50 ms, tuned 45 ms",
        measured,
        "It is the time to read the prompt: a figure without a length of the prompt says "
        "nothing. Prompts here are new to the server; repeated ones would be read from its "
        "prompt cache.",
    )


def _load(cold: Cold | None) -> Claim:
    measured = _NOTHING
    if cold is not None and cold.load is not None:
        measured = f"{seconds(cold.load.value)} for a load"
    return Claim(
        "Reload that KEEP_ALIVE=30m spares",
        "3 to 5 s",
        measured,
        "It is the size of the model over the speed of disk or page cache. A model that was "
        "loaded shortly before, as here, is still in the page cache; after a restart it takes "
        "longer.",
    )


def _answer(cache: Cached | None) -> Claim:
    measured = _NOTHING
    if cache is not None and cache.around is not None and cache.through is not None:
        measured = (
            f"median {seconds(cache.around.p50.value)} to {seconds(cache.through.p50.value)}"
        )
        if cache.faster is not None:
            measured += f", mean {1 / cache.faster:.2g} times as long"
    return Claim(
        "Response time with the cache",
        "500 ms to 50 ms (10 times)",
        measured,
        "A hit costs a look-up, whatever the answer's length; a miss costs the answer and the "
        "look-up. The mean can only fall by the share that misses: at 85 % hits 6.7 times at "
        "most, "
        "at 74 % 3.8 times. Ten times needs 90 % hits that cost nothing.",
    )


def _cached(cache: Cached | None) -> Claim:
    measured = _NOTHING
    if cache is not None and cache.hit is not None:
        p50, p95 = cache.hit.p50.value, cache.hit.p95.value
        measured = f"p50 {seconds(p50)}, p95 {seconds(p95)}"
    return Claim(
        "Answer from the cache",
        "under 5 ms",
        measured,
        "Exact repeats need a round trip to Redis, or none (a copy in the process); rewordings "
        "need the embedding of the question as well, by the embedding model's own server: that is "
        "most of their time.",
    )


def _hits(cache: Cached | None) -> Claim:
    measured = _NOTHING
    if cache is not None and cache.hit_rate is not None:
        measured = (
            f"{percent(cache.hit_rate.value)} of traffic that repeats {percent(cache.repeats)}; "
            f"{cache.wrong} wrong"
        )
    return Claim(
        "Hit rate",
        "85 to 90 %",
        measured,
        "It is a property of the traffic, not of a cache: nothing above the share of repeats can "
        "be reached. The study's own table (50 % repeats at 95 %, 30 % rewordings at 85 %, 20 % "
        "new at 5 %) adds up to 74 %. Here a rewording hits only where it is sure to mean the "
        "same: look-alikes are part of the traffic, and a wrong hit counts for more than a "
        "missed one.",
    )
