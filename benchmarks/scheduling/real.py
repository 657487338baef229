"""The rows that a real Ollama can be measured by: times, and loads where its log can be read."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ollama import Client

from aegis_llm import SchedulerConfig, queues
from benchmarks.scheduling.prompts import over_contexts, short
from benchmarks.scheduling.rows import Line, alternating, with_options, yes
from benchmarks.scheduling.stage import Run, Stage, together

_LOADED = "starting llama-server"


class Real:
    """An Ollama that is up, with two chat models; `log` is what it writes, if that can be read."""

    def __init__(self, url: str, models: list[str], slots: int, log: Path | None) -> None:
        self.stage = Stage(url, models)
        self.slots = slots
        self._log = log
        self._client = Client(url)

    def fresh(self, run: Callable[[], Run]) -> Run:
        """Run with nothing loaded; count the loads."""
        for model in self.stage.models:
            self._client.generate(model, keep_alive=0)
        before = self._loads()
        done = run()
        done.loads = self._loads() - before
        return done

    def warmed(self, run: Callable[[], Run]) -> Run:
        """Run with the first model loaded, whose slots hold nothing of use."""

        def warm() -> Run:
            self.stage.stock().invoke("warm up")
            return run()

        return self.fresh(warm)

    def _loads(self) -> int:
        return self._log.read_text(errors="replace").count(_LOADED) if self._log else 0


def rows(real: Real, repeat: int) -> list[Line]:
    """Return the lines of the table."""
    config = SchedulerConfig(num_parallel=real.slots)
    return [
        *_found(real, repeat),
        *_burst(real, repeat, config),
        *_contexts(real, repeat, config),
        *_models(real, repeat, config),
        *_options(real, repeat, config),
    ]


def _found(real: Real, repeat: int) -> list[Line]:
    found = []
    for _ in range(repeat):
        model = real.stage.aegis(SchedulerConfig())
        real.warmed(partial(together, model, [short() for _ in range(20)]))
        (state,) = queues()
        found += [one.slots for one in state.models.values()]
    shown = ", ".join(str(one) for one in found)
    return [
        (f"P after 20 requests where the server has {real.slots}", shown, str(real.slots),
         yes(all(one == real.slots for one in found)))
    ]  # fmt: skip


def _burst(real: Real, repeat: int, config: SchedulerConfig) -> list[Line]:
    stage = real.stage
    limited, gathered = [], []
    for _ in range(repeat):
        prompts = lambda: [short() for _ in range(32)]  # noqa: E731
        mine = real.warmed(partial(together, stage.aegis(config), prompts())).seconds
        peer = real.warmed(partial(together, stage.stock(), prompts(), real.slots)).seconds
        limited.append(peer / mine)
        gathered.append(real.warmed(partial(together, stage.stock(), prompts())).seconds / mine)
    ratio = statistics.median(limited)
    return [
        ("burst of 32 short: throughput / semaphore of P", f"{ratio:.2f}", ">= 1.0",
         yes(ratio >= 0.995)),
        ("/ asyncio.gather", f"{statistics.median(gathered):.2f}", "", ""),
    ]  # fmt: skip


def _contexts(real: Real, repeat: int, config: SchedulerConfig) -> list[Line]:
    stage = real.stage
    gathered, limited = [], []
    for _ in range(repeat):
        prompts = over_contexts(8, 8, 1500)
        mine = real.warmed(partial(together, stage.aegis(config), prompts)).seconds
        gathered.append(mine / real.warmed(partial(together, stage.stock(), prompts)).seconds)
        peer = real.warmed(partial(together, stage.stock(), prompts, real.slots)).seconds
        limited.append(mine / peer)
    total = statistics.median(gathered)
    return [
        ("64 over 8 contexts of some 2,000 tokens: total time / gather", f"{total:.2f}",
         "<= 0.65", yes(total <= 0.65)),
        ("total time / semaphore of P", f"{statistics.median(limited):.2f}", "", ""),
    ]  # fmt: skip


def _models(real: Real, repeat: int, config: SchedulerConfig) -> list[Line]:
    stage = real.stage
    loads, times = [], []
    for _ in range(repeat):
        asked = [(stage.models[number % 2], short()) for number in range(32)]
        mine = real.fresh(partial(alternating, stage, asked, config))
        peer = real.fresh(partial(alternating, stage, asked, None))
        loads.append((mine.loads, peer.loads))
        times.append(mine.seconds / peer.seconds)
    shown = ", ".join(f"{ours} of {theirs}" for ours, theirs in loads)
    return [
        ("two models alternating, 32 requests: loads, ours of gather's", shown, "", ""),
        ("total time / gather", f"{statistics.median(times):.2f}", "", ""),
    ]  # fmt: skip


def _options(real: Real, repeat: int, config: SchedulerConfig) -> list[Line]:
    mine = real.fresh(partial(with_options, real.stage, config))
    peer = real.fresh(partial(with_options, real.stage, None))
    return [
        ("callers with four different num_ctx: loads after the first", f"{mine.loads - 1}", "0",
         yes(mine.loads == 1)),
        ("the same with asyncio.gather", f"{peer.loads - 1}", "", ""),
        ("total time / gather", f"{mine.seconds / peer.seconds:.2f}", "", ""),
    ]  # fmt: skip
