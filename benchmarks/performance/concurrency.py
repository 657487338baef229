"""64 look-ups at a time on one event loop, and how long one turn of the loop takes."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio
from langchain_core.outputs import ChatGeneration
from langchain_redis import RedisCache

from aegis_llm.values import Answer
from aegis_llm.wiring import build
from benchmarks.common.measuring import Effort, Ratio
from benchmarks.common.parts import (
    ANSWER,
    Bench,
    KnownModels,
    answer_message,
    cache_strings,
    request,
)
from benchmarks.common.report import Table
from benchmarks.performance.result import Line, Result, at_least
from langchain_aegis import AegisCache

AT_ONCE = 64
EACH = 20
GET = "floor: redis.asyncio GET"
CORE = "core: Service.aopen"
CACHE = "AegisCache.alookup"
PEER = "langchain-redis RedisCache.alookup (in threads)"

Call = Callable[[], Awaitable[object]]


class Turns:
    """Notes how long the loop runs callbacks between two looks for events."""

    def __init__(self) -> None:
        selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        self._select = selector.select
        self._began = time.perf_counter()
        self.longest = 0.0
        selector.select = self._timed

    def reset(self) -> None:
        """Forget the longest turn."""
        self.longest = 0.0
        self._began = time.perf_counter()

    def _timed(self, timeout: float | None = None) -> Any:
        self.longest = max(self.longest, time.perf_counter() - self._began)
        events = self._select(timeout)
        self._began = time.perf_counter()
        return events


def measure(bench: Bench, effort: Effort) -> Result:
    """Measure look-ups a second with 64 at a time."""
    return asyncio.run(_measure(bench, effort))


async def _measure(bench: Bench, effort: Effort) -> Result:
    service = build(bench.config())
    service.digests.register(KnownModels())
    wanted = request()
    service.open(wanted).store(Answer(text=ANSWER, done_reason="stop", completion_tokens=200))
    prompt, llm_string = cache_strings()
    generations = [ChatGeneration(message=answer_message())]
    aegis = AegisCache(config=bench.config(namespace=bench.namespace + "lc"))
    aegis.update(prompt, llm_string, generations)
    peer = RedisCache(bench.url, prefix=bench.namespace + "peer")
    peer.update(prompt, llm_string, generations)
    assert (await service.aopen(wanted)).origin.outcome == "hit_exact"
    assert await aegis.alookup(prompt, llm_string)
    with bench.client() as client:
        key = next(iter(client.scan_iter(match=f"aegis:v1:{bench.namespace}:x:*")))
    plain = redis.asyncio.Redis.from_url(bench.url)
    calls: dict[str, Call] = {
        GET: lambda: plain.get(key),
        CORE: lambda: service.aopen(wanted),
        CACHE: lambda: aegis.alookup(prompt, llm_string),
        PEER: lambda: peer.alookup(prompt, llm_string),
    }
    turns = Turns()
    rates: dict[str, list[list[float]]] = {name: [] for name in calls}
    longest: dict[str, list[list[float]]] = {name: [] for name in calls}
    for call in calls.values():
        await _rate(call)
    gc.freeze()
    for _ in range(effort.repetitions):
        for name in calls:
            rates[name].append([])
            longest[name].append([])
        for _ in range(effort.rounds):
            for name, call in calls.items():
                gc.collect()
                turns.reset()
                rates[name][-1].append(await _rate(call))
                longest[name][-1].append(turns.longest * 1000)
    gc.unfreeze()
    await plain.aclose()
    return _result(rates, longest, effort)


async def _rate(call: Call) -> float:
    async def worker() -> None:
        for _ in range(EACH):
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return AT_ONCE * EACH / (time.perf_counter() - start)


def _result(
    rates: dict[str, list[list[float]]], longest: dict[str, list[list[float]]], effort: Effort
) -> Result:
    result = Result()
    for name in (CACHE, CORE):
        result.lines.append(
            at_least(
                f"64 concurrent look-ups a second: {name} / raw redis.asyncio GET",
                f"{_middle(rates[name]):,.0f} a second",
                f"{_middle(rates[GET]):,.0f} a second",
                _ratio(rates[name], rates[GET]),
                0.6,
            )
        )
        ratio = _ratio(longest[name], longest[GET])
        result.lines.append(
            Line(
                f"longest turn of the loop: {name} / that of raw GET",
                f"{_middle(longest[name]):.1f} ms",
                f"{_middle(longest[GET]):.1f} ms",
                str(ratio),
                "<= 2",
                ratio.value <= 2,
            )
        )
    table = Table(
        "64 look-ups at a time on one event loop",
        ("", "look-ups a second", "x floor", "longest turn, ms", "x floor"),
        note=(
            f"Median over {effort.repetitions * effort.rounds} runs of {AT_ONCE} tasks with "
            f"{EACH} look-ups each; a turn is the time between two looks of the loop for events, "
            "the longest of a run counts. Every look-up runs on the loop, but for the peer's."
        ),
    )
    for name, measured in rates.items():
        against = (_ratio(measured, rates[GET]), _ratio(longest[name], longest[GET]))
        table.rows.append(
            (
                name,
                f"{_middle(measured):,.0f}",
                "1" if name == GET else str(against[0]),
                f"{_middle(longest[name]):.1f}",
                "1" if name == GET else str(against[1]),
            )
        )
    result.tables.append(table)
    return result


def _middle(values: list[list[float]]) -> float:
    return statistics.median(value for one in values for value in one)


def _ratio(above: list[list[float]], below: list[list[float]]) -> Ratio:
    single = [
        statistics.median(a) / statistics.median(b) for a, b in zip(above, below, strict=True)
    ]
    return Ratio(_middle(above) / _middle(below), min(single), max(single))
