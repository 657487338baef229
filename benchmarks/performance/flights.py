"""How many calls reach the model when 64 identical requests come at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from langchain_ollama import ChatOllama
from langchain_redis import RedisCache

from aegis_llm.testing import OllamaSimulator, Timing
from benchmarks.common.measuring import Effort
from benchmarks.common.parts import MODEL, Bench
from benchmarks.common.report import Table
from benchmarks.performance.result import Line, Result
from langchain_aegis import ChatAegis

AT_ONCE = 64
CHAT = "/api/chat"


def measure(bench: Bench, effort: Effort) -> Result:
    """Count the model calls of 64 identical requests, in threads, tasks and streams."""
    timing = Timing(decode=100.0)
    with OllamaSimulator(num_parallel=AT_ONCE, timing=timing) as ollama:
        aegis = ChatAegis(model=MODEL, base_url=ollama.base_url, aegis=bench.config())
        aegis.invoke("warm up")
        cache = RedisCache(bench.url, prefix=bench.namespace + "peer")
        ways: dict[str, Callable[[Any, str], None]] = {
            "threads, invoke": _threads(lambda model, text: model.invoke(text)),
            "tasks, ainvoke": _tasks(lambda model, text: model.ainvoke(text)),
            "threads, stream": _threads(lambda model, text: list(model.stream(text))),
            "tasks, astream": _tasks(_astream),
        }
        table = Table(
            "Model calls for 64 identical requests at once",
            ("", "ChatAegis", "ChatOllama with langchain-redis RedisCache"),
            note="The simulated model takes some 100 ms for an answer and has 64 slots.",
        )
        most = 0
        for way, run in ways.items():
            counts = []
            # A new one each time: stock ChatOllama does not survive a second asyncio.run.
            peer = ChatOllama(model=MODEL, base_url=ollama.base_url, cache=cache)
            for name, model in (("aegis", aegis), ("peer", peer)):
                before = ollama.count(CHAT)
                run(model, f"What is the relay valve for, asked by {name} in {way}?")
                counts.append(ollama.count(CHAT) - before)
            table.rows.append((way, *counts))
            most = max(most, counts[0])
    line = Line(
        "model calls for 64 identical concurrent requests (threads, tasks, streams)",
        str(most),
        "1",
        "",
        "1",
        most == 1,
    )
    return Result([line], [table])


def _threads(ask: Callable[[Any, str], object]) -> Callable[[Any, str], None]:
    def run(model: Any, text: str) -> None:
        together = threading.Barrier(AT_ONCE)

        def work() -> None:
            together.wait()
            ask(model, text)

        threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


def _tasks(ask: Callable[[Any, str], Any]) -> Callable[[Any, str], None]:
    def run(model: Any, text: str) -> None:
        async def together() -> None:
            await asyncio.gather(*(ask(model, text) for _ in range(AT_ONCE)))

        asyncio.run(together())

    return run


async def _astream(model: Any, text: str) -> list[Any]:
    return [chunk async for chunk in model.astream(text)]
