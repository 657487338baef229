"""The server that is measured, simulated or real, and the ways to send it many requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from langchain_ollama import ChatOllama

from aegis_llm import AegisConfig, CacheConfig, SchedulerConfig
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.testing import OllamaSimulator, Timing
from langchain_aegis import ChatAegis

SLOTS = 4
TIMING = Timing(load=0.5, prefill=15_000.0, decode=450.0, contention=0.04)
"""An 8B model on a good GPU, ten times as fast, so that a row takes seconds."""
IDEAL = Timing(prefill=6_000.0, decode=150.0)
"""Slots that do not slow each other down."""

Prompt = Any
"""What a model is asked."""


@dataclass
class Stage:
    """A server. `sim` is None where it is a real one, whose settings are not ours to make."""

    url: str
    models: Sequence[str]
    sim: OllamaSimulator | None = None
    most_tokens: int = 40
    made: list[Any] = field(default_factory=list)

    def stock(self, **given: Any) -> ChatOllama:
        """Return what people use."""
        return ChatOllama(base_url=self.url, **{**self._usual(), **given})

    def aegis(self, scheduler: SchedulerConfig | None = None, **given: Any) -> ChatAegis:
        """Return ours, with a queue of its own and without answers from the cache."""
        QUEUES.forget()
        config = AegisConfig(
            cache=CacheConfig(redis_url="memory://", judge="off"),
            scheduler=scheduler or SchedulerConfig(num_parallel=SLOTS),
        )
        return ChatAegis(base_url=self.url, aegis=config, **{**self._usual(), **given})

    def _usual(self) -> dict[str, Any]:
        return {
            "model": self.models[0],
            "num_predict": self.most_tokens,
            "client_kwargs": {"verify": False},
        }


@contextmanager
def simulated(timing: Timing = TIMING, slots: int = SLOTS, **given: Any) -> Iterator[Stage]:
    """Run a simulated server with two chat models."""
    models = ("llama3.1:8b", "mistral:7b")
    with OllamaSimulator(models, num_parallel=slots, timing=timing, **given) as sim:
        yield Stage(sim.base_url, models, sim)


@dataclass
class Run:
    """What became of one burst: seconds in all, and of each request from the start on."""

    seconds: float
    latencies: list[float]
    loads: int = 0
    prefilled: float = 0.0


def together(model: Any, prompts: Sequence[Prompt], most: int | None = None) -> Run:
    """Send all at once, at most `most` at a time: `asyncio.gather`, and with a semaphore."""

    async def burst() -> Run:
        gate = asyncio.Semaphore(most or len(prompts))
        begun = time.perf_counter()

        async def one(prompt: Prompt) -> float:
            async with gate:
                await model.ainvoke(prompt)
            return time.perf_counter() - begun

        latencies = await asyncio.gather(*(one(prompt) for prompt in prompts))
        seconds = time.perf_counter() - begun
        await close(model)
        return Run(seconds, list(latencies))

    return asyncio.run(burst())


def batch(model: Any, prompts: Sequence[Prompt]) -> Run:
    """Send all with `batch()`."""
    begun = time.perf_counter()
    model.batch(list(prompts))
    seconds = time.perf_counter() - begun
    return Run(seconds, [seconds])


def in_turn(model: Any, prompts: Sequence[Prompt]) -> Run:
    """Send one after the other."""
    begun, latencies = time.perf_counter(), []
    for prompt in prompts:
        model.invoke(prompt)
        latencies.append(time.perf_counter() - begun)
    return Run(time.perf_counter() - begun, latencies)


def counted(stage: Stage, run: Callable[[], Run]) -> Run:
    """Run on a server that has just started; count its loads and the tokens it read."""
    if stage.sim is None:
        return run()
    stage.sim.reset()
    loads, prefilled = stage.sim.loads, stage.sim.prefilled
    done = run()
    done.loads = stage.sim.loads - loads
    done.prefilled = stage.sim.prefilled - prefilled
    return done


async def close(model: Any) -> None:
    """Close a stock client: it does not survive its event loop."""
    client = model._async_client
    if type(client).__module__.startswith("ollama"):
        await client.close()


def run_async(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function to its end."""

    async def main() -> Any:
        return await work()

    return asyncio.run(main())
