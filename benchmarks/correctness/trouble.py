"""Redis breaks while it is in use: exceptions, wrong answers and the time that it costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langchain_ollama import ChatOllama

from aegis_llm.testing import OllamaSimulator
from benchmarks.common.parts import MODEL, Bench
from benchmarks.common.report import Table
from benchmarks.correctness.systems import Make, System
from tests.redis_server import RedisServer

REQUESTS = 30
SECONDS = 11.0  # after which a slow system is asked no more
KNOWN = [f"What is the purpose of valve {number}?" for number in (1, 2, 3)]


@dataclass
class Course:
    """What happened to the requests after the fault."""

    errors: list[str] = field(default_factory=list)
    wrong: int = 0
    added_ms: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        asked = len(self.added_ms)
        late = self.added_ms[2 * asked // 3 :]
        kinds = ", ".join(sorted(set(self.errors)))
        return (
            f"{len(self.errors)} of {asked}{f' ({kinds})' if kinds else ''}; wrong {self.wrong}; "
            f"{statistics.median(self.added_ms):,.1f} / {max(self.added_ms):,.1f} / "
            f"{statistics.median(late):,.1f}"
        )


def measure(bench: Bench, systems: list[System]) -> list[Table]:
    """Break a Redis of its own under every system."""
    table = Table(
        "Redis breaks in use: exceptions of all requests; wrong answers; added ms",
        ("", *(system.name for system in systems)),
        note=(
            "Added time: against the same model without a cache, median / most / median of the "
            f"last third (for ours the breaker is open by then). {REQUESTS} requests one after "
            "another, every other one known to the cache; a system that has used "
            f"{SECONDS:.0f} s is asked no more. Below zero: the copy in the process answers the "
            "known ones without the model, and an exception comes without an answer. The "
            "embedding of a question (about 5 ms) is part "
            "of the added time, and with it the peers' embedding of the whole prompt."
        ),
    )
    if not bench.private:
        table.note += " Not measured: it needs a Redis of its own."
        return [table]
    with OllamaSimulator() as ollama:
        given: dict[str, Any] = {"model": MODEL, "base_url": ollama.base_url}
        plain = ChatOllama(**given)
        for fault, breaks in FAULTS.items():
            row = []
            for system in systems:
                with RedisServer() as server:
                    make = system.open(server.url, "trouble")
                    row.append(str(_course(server, breaks, make, given, plain)))
            table.rows.append((fault, *row))
    return [table]


def _course(
    server: RedisServer,
    breaks: Callable[[RedisServer], None],
    make: Make,
    given: dict[str, Any],
    plain: ChatOllama,
) -> Course:
    model = make(**given)
    for _ in range(2):
        for question in KNOWN:
            model.invoke(question)
    questions = [
        KNOWN[number // 2 % 3] if number % 2 else f"Who may open the door of room {number}?"
        for number in range(REQUESTS)
    ]
    breaks(server)
    course = Course()
    took: list[float] = []
    floor: list[float] = []
    while len(took) < REQUESTS and sum(took) < SECONDS:
        question = questions[len(took)]
        start = time.perf_counter()
        truth = plain.invoke(question).content
        floor.append(time.perf_counter() - start)
        start = time.perf_counter()
        try:
            course.wrong += model.invoke(question).content != truth
        except Exception as exc:  # noqa: BLE001 - counted: a user would see it
            course.errors.append(type(exc).__name__)
        took.append(time.perf_counter() - start)
    course.added_ms = [(taken - statistics.median(floor)) * 1000 for taken in took]
    return course


def _full(server: RedisServer) -> None:
    server.config_set(maxmemory=1, maxmemory_policy="noeviction")


def _flush(server: RedisServer) -> None:
    with server.client() as client:
        client.flushall()


def _corrupt(server: RedisServer) -> None:
    with server.client() as client:
        for key in list(client.scan_iter(count=1000)):
            _spoil(client, key)


def _spoil(client: Any, key: bytes) -> None:
    kind = client.type(key)
    if kind == b"string":
        client.set(key, b'{"v":1,"garbage', keepttl=True)
    elif kind == b"hash":
        for name in client.hkeys(key):
            if b"vector" not in name and name not in (b"scope",):
                client.hset(key, name, b'{"v":1,"garbage')
    else:
        client.execute_command("JSON.SET", key, "$", '"garbage"')


FAULTS: dict[str, Callable[[RedisServer], None]] = {
    "killed": RedisServer.kill,
    "hung (accepts, never answers)": RedisServer.hang,
    "full (noeviction)": _full,
    "flushed (index gone)": _flush,
    "values corrupted": _corrupt,
}
