"""The rows of the table: each measures one promise and says what it reaches."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from langchain_ollama import OllamaEmbeddings

from aegis_llm import SchedulerConfig, cache_control, queues
from aegis_llm.batching.jobs import Reply
from aegis_llm.batching.queue import Queue
from aegis_llm.scheduled_client import job_of
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.testing import OllamaSimulator, Timing
from benchmarks.common.measuring import Effort, Target, interleave, percentile
from benchmarks.scheduling.prompts import over_contexts, short, text
from benchmarks.scheduling.stage import (
    IDEAL,
    SLOTS,
    Run,
    Stage,
    batch,
    counted,
    in_turn,
    run_async,
    simulated,
    together,
)
from langchain_aegis import AegisEmbeddings

Line = tuple[str, str, str, str]
"""What, measured, to reach, met."""


def single(repeat: int) -> list[Line]:
    """A request on an idle server: what the queue adds, and what a fixed window would add."""
    with simulated(Timing()) as stage:
        ways: dict[str, Any] = {
            "unscheduled": stage.aegis(SchedulerConfig(schedule=False)),
            "scheduled": stage.aegis(SchedulerConfig(num_parallel=SLOTS)),
        }
        effort = Effort(repetitions=max(2, repeat), rounds=4, block=20)
        with cache_control(bypass=True):
            made = interleave(
                [Target(n, lambda m=m: m.invoke(short())) for n, m in ways.items()], effort
            )
            window = stage.aegis(SchedulerConfig(num_parallel=SLOTS, window="always"))
            waits = []
            for _ in range(5):
                begun = time.perf_counter()
                window.invoke(short())
                waits.append((time.perf_counter() - begun) * 1000)
    usual = made["unscheduled"].percentile_us(50)
    added = made["scheduled"].percentile_us(50) - usual
    always = statistics.median(waits) - usual / 1000
    return [
        ("single request on an idle server: added latency", f"{added / 1000:.2f} ms", "<= 1 ms",
         yes(added <= 1000)),
        ('the same with window="always", as the study has it', f"{always:.0f} ms", "", ""),
    ]  # fmt: skip


def burst(repeat: int) -> list[Line]:
    """32 short requests with nothing in common."""
    prompts = lambda: [short() for _ in range(32)]  # noqa: E731
    with simulated(IDEAL) as stage:
        stock, ours = stage.stock(), stage.aegis()
        ours.invoke(short())
        ratios, sequential, gathered, batched = [], [], [], []
        for _ in range(repeat):
            mine = together(ours, prompts()).seconds
            ratios.append(together(stage.stock(), prompts(), SLOTS).seconds / mine)
            gathered.append(together(stage.stock(), prompts()).seconds / mine)
            batched.append(batch(stock, prompts()).seconds / mine)
            sequential.append(in_turn(stock, prompts()).seconds / mine)
    ratio, turns = statistics.median(ratios), statistics.median(sequential)
    return [
        ("burst of 32 short, P=4: throughput / semaphore of P", f"{ratio:.2f}", ">= 1.0",
         yes(ratio >= 0.995)),
        ("/ sequential, ideal slots", f"{turns:.2f}", ">= 3.5", yes(turns >= 3.5)),
        ("/ asyncio.gather", f"{statistics.median(gathered):.2f}", "", ""),
        ("/ batch()", f"{statistics.median(batched):.2f}", "", ""),
    ]  # fmt: skip


def contexts(repeat: int) -> list[Line]:
    """64 requests over 8 RAG contexts of 2,000 tokens, shuffled."""
    given, usual = SchedulerConfig(num_parallel=SLOTS), SchedulerConfig()
    lines = []
    for cache, config, name in (
        (0, given, "prompt cache off"),
        (1 << 20, given, "prompt cache on"),
        (0, usual, "prompt cache off, P not given, first burst"),
        (0, usual, "the same, second burst"),
    ):
        with simulated(prompt_cache_tokens=cache) as stage:
            work, times, semaphores = [], [], []
            for _ in range(repeat):
                prompts, ours = over_contexts(8, 8, 2000), stage.aegis(config)
                if "second" in name:
                    together(ours, over_contexts(8, 8, 2000))
                mine = _fresh(stage, partial(together, ours, prompts))
                peer = _fresh(stage, partial(together, stage.stock(), prompts))
                limited = _fresh(stage, partial(together, stage.stock(), prompts, SLOTS))
                work.append(mine.prefilled / peer.prefilled)
                times.append(mine.seconds / peer.seconds)
                semaphores.append(mine.seconds / limited.seconds)
        shared, total = statistics.median(work), statistics.median(times)
        promised = config is given and not cache
        lines += [
            (f"64 over 8 contexts, P=4, {name}: prefill work / gather", f"{shared:.2f}",
             "<= 0.5" if promised else "", yes(shared <= 0.5) if promised else ""),
            ("total time / gather", f"{total:.2f}", "<= 0.65" if promised else "",
             yes(total <= 0.65) if promised else ""),
            ("total time / semaphore of P", f"{statistics.median(semaphores):.2f}", "", ""),
        ]  # fmt: skip
    return lines


def _fresh(stage: Stage, run: Callable[[], Run]) -> Run:
    """Run on a server whose model is loaded and whose slots are empty."""

    def warmed() -> Run:
        stage.stock().invoke("warm up")
        return run()

    return counted(stage, warmed)


def swaps(repeat: int) -> list[Line]:
    """Two models alternating, room for one."""
    lines = []
    for name, config in (
        ("P and room given", SchedulerConfig(num_parallel=SLOTS, max_loaded_models=1)),
        ("P given, room learned", SchedulerConfig(num_parallel=SLOTS)),
    ):
        with simulated(max_loaded_models=1) as stage:
            loads, times = [], []
            for _ in range(repeat):
                asked = [(stage.models[number % 2], short()) for number in range(64)]
                mine = counted(stage, partial(alternating, stage, asked, config))
                peer = counted(stage, partial(alternating, stage, asked, None))
                loads.append(mine.loads / peer.loads)
                times.append(mine.seconds / peer.seconds)
        share = statistics.median(loads)
        lines += [
            (f"two models alternating, room for one, {name}: loads / gather", f"{share:.2f}",
             "<= 0.1", yes(share <= 0.1)),
            ("total time / gather", f"{statistics.median(times):.2f}", "", ""),
        ]  # fmt: skip
    return lines


def alternating(stage: Stage, asked: list[tuple[str, str]], config: SchedulerConfig | None) -> Run:
    def model(name: str) -> Any:
        return stage.stock(model=name) if config is None else stage.aegis(config, model=name)

    models = {name: model(name) for name in stage.models}
    if config is not None:  # they share the queue of the server
        QUEUES.forget()
        models = {n: m.model_copy(update={"aegis": m.aegis}) for n, m in models.items()}

    return together(_Each(models), asked)


class _Each:
    """Asks the model that each request names."""

    def __init__(self, models: Any) -> None:
        self._models = models
        self._async_client = next(iter(models.values()))._async_client

    async def ainvoke(self, asked: tuple[Any, str]) -> Any:
        return await self._models[asked[0]].ainvoke(asked[1])


def tenants(repeat: int) -> list[Line]:
    """One tenant with 100 queued, and one with a request now and then."""
    ratios: dict[str, list[float]] = {"ours": [], "gather": [], "semaphore": []}
    with simulated(IDEAL) as stage:
        for _ in range(repeat):
            alone = percentile(_light(stage, stage.aegis(), heavy=0), 95)
            ratios["ours"].append(percentile(_light(stage, stage.aegis()), 95) / alone)
            ratios["gather"].append(percentile(_light(stage, stage.stock()), 95) / alone)
            limited = percentile(_light(stage, stage.stock(), most=SLOTS), 95)
            ratios["semaphore"].append(limited / alone)
    found = {name: statistics.median(values) for name, values in ratios.items()}
    return [
        ("a heavy tenant (100 queued) and a light one: the light one's p95 / alone",
         f"{found['ours']:.2f}", "<= 2", yes(found["ours"] <= 2)),
        ("the same with asyncio.gather", f"{found['gather']:.1f}", "", ""),
        ("the same with a semaphore of P", f"{found['semaphore']:.1f}", "", ""),
    ]  # fmt: skip


def _light(stage: Stage, model: Any, heavy: int = 100, most: int | None = None) -> list[float]:
    async def work() -> list[float]:
        gate = asyncio.Semaphore(most or 1000)

        async def one(tenant: str) -> float:
            with cache_control(tenant=tenant):
                begun = time.perf_counter()
                async with gate:
                    await model.ainvoke(short())
                return time.perf_counter() - begun

        assert stage.sim is not None
        before = stage.sim.count("/api/chat")
        crowd = [asyncio.create_task(one("heavy")) for _ in range(heavy)]
        if crowd:  # they are all begun when the first one is there
            await asyncio.to_thread(stage.sim.wait_for, before + 1, "/api/chat")
        taken = [await one("light") for _ in range(8)]
        await asyncio.gather(*crowd)
        client = model._async_client
        if type(client).__module__.startswith("ollama"):
            await client.close()
        return taken

    found: list[float] = run_async(work)
    return found


def options(repeat: int) -> list[Line]:
    """Callers with different `num_ctx` for one model."""
    with simulated() as stage:
        config = SchedulerConfig(num_parallel=SLOTS)
        again = counted(stage, partial(with_options, stage, config)).loads - 1
        peer = counted(stage, partial(with_options, stage, None)).loads - 1
    return [
        ("callers with four different num_ctx: loads after the first", str(again), "0",
         yes(again == 0)),
        ("the same with asyncio.gather", str(peer), "", ""),
    ]  # fmt: skip


def with_options(stage: Stage, config: SchedulerConfig | None) -> Run:
    """Send 32 requests of callers that differ in `num_ctx`."""
    sizes = (4096, None, 2048, 8192)
    ours = None if config is None else stage.aegis(config)
    models = {
        size: stage.stock(num_ctx=size)
        if ours is None
        else ours.model_copy(update={"num_ctx": size})
        for size in sizes
    }
    return together(_Each(models), [(sizes[number % 4], short()) for number in range(32)])


def vectors(repeat: int) -> list[Line]:
    """64 concurrent `embed_query` of as many texts."""
    models = ("all-minilm",)
    saved, times = [], []
    with OllamaSimulator(models, timing=Timing(embed=0.002)) as sim:
        given = {"model": models[0], "base_url": sim.base_url}
        for _ in range(repeat):
            texts = [short() for _ in range(64)]
            ours = AegisEmbeddings(**given, redis_url="memory://vectors")
            counts, seconds = [], []
            for model in (ours, OllamaEmbeddings(**given)):
                model.embed_query(short())
                before, begun = sim.count("/api/embed"), time.perf_counter()
                with ThreadPoolExecutor(64) as pool:
                    list(pool.map(model.embed_query, texts))
                seconds.append(time.perf_counter() - begun)
                counts.append(sim.count("/api/embed") - before)
            saved.append(counts[1] / counts[0])
            times.append(seconds[0] / seconds[1])
    fewer = min(saved)
    return [
        ("64 concurrent embed_query: requests saved / one by one", f"{fewer:.0f} times fewer",
         ">= 5", yes(fewer >= 5)),
        ("total time / OllamaEmbeddings", f"{statistics.median(times):.2f}", "", ""),
    ]  # fmt: skip


def cost(repeat: int) -> list[Line]:
    """The scheduler's own cost with 1,000 waiting."""
    bodies = [
        {"model": "m", "messages": [{"role": "system", "content": text(1500, number % 20)},
                                    {"role": "user", "content": f"{text(20, number)}?"}]}
        for number in range(1500)
    ]  # fmt: skip
    taken = []
    for _ in range(max(3, repeat)):
        queue, now = Queue(SchedulerConfig(num_parallel=4)), 0.0
        flying = []
        for body in bodies[:1000]:
            queue.submit(job_of(body), now)
        begun = time.perf_counter()
        for number in range(2000):
            body = bodies[number % 1500]
            queue.submit(job_of(body), now)
            now += 0.01
            while (job := queue.next(now)) is not None:
                flying.append(job)
            queue.done(flying.pop(0), now, Reply(0.0, 0.1, 0.4, 0.0, 2000, 40))
        taken.append((time.perf_counter() - begun) / 2000 * 1e6)
    least = min(taken)
    return [
        ("the scheduler's own cost at 1,000 waiting, prompts of 9,000 characters",
         f"{least:.0f} us a request", "<= 50 us", yes(least <= 50)),
    ]  # fmt: skip


def slots(repeat: int) -> list[Line]:
    """P found out from replies."""
    lines = []
    for real in (1, 2, 4, 8):
        with simulated(slots=real) as stage:
            found, peaks = [], []
            for _ in range(repeat):
                model = stage.aegis(SchedulerConfig())
                model.invoke("warm up")
                together(model, [short() for _ in range(20)])
                state = queues()[0].models[stage.models[0]]
                found.append(state.slots)
                assert stage.sim is not None
                stage.sim.reset()
                together(model, [short() for _ in range(60)])
                peaks.append(stage.sim.peak_in_flight)
        ok = all(one == real for one in found) and max(peaks) <= real + 1
        shown = ", ".join(str(one) for one in found)
        lines.append(
            (f"P after 20 requests where the server has {real}",
             f"{shown}; then at most {max(peaks)} in flight", f"{real}; {real + 1}", yes(ok))
        )  # fmt: skip
    return lines


def yes(met: bool) -> str:
    """Return how the table says whether a promise is kept."""
    return "yes" if met else "no"


ROWS = {
    "single": single,
    "burst": burst,
    "contexts": contexts,
    "models": swaps,
    "tenants": tenants,
    "options": options,
    "embeddings": vectors,
    "cost": cost,
    "slots": slots,
}
