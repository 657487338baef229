"""The live view over many entries: `python -m benchmarks.browsing` (100,000 unless told).

Fills a private Redis, starts `aegis-llm ui` as a process of its own, and measures over HTTP: the
first page after the start, each kind of page, and the memory of the process before and after.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import redis

from aegis_llm import codec
from aegis_llm.plan import SemanticRecord
from aegis_llm.stores.index_redisvl import SemanticIndex
from aegis_llm.stores.redis_commands import semantic_fields, set_exact
from aegis_llm.values import Answer, Entry
from benchmarks.common.machine import describe
from benchmarks.common.report import Table, write
from tests.redis_server import RedisServer

NAMESPACE = "many"
WORDS = ("password", "invoice", "refund", "order", "parcel", "email", "plan", "quota", "export")
DIMENSIONS = 8  # the size of a vector does not matter here, and small ones are indexed fast
WEEK_MS = 7 * 86_400_000
REACH_MS = 300.0


def fill(url: str, count: int) -> None:
    """Store entries in both tiers, with a use of every tenth."""
    drawn, now = random.Random(1), time.time_ns() // 1_000_000
    with redis.Redis.from_url(url, protocol=2) as client:
        index = SemanticIndex(NAMESPACE, "bench", DIMENSIONS)
        index.create(client)
        pipe = client.pipeline(transaction=False)
        for number in range(count):
            entry = entry_of(number, now, drawn)
            data, key = codec.encode(entry), f"aegis:v1:{NAMESPACE}:x:{entry.key}:llama3.1:8b:0"
            vector = struct.pack(f"<{DIMENSIONS}f", *(drawn.random() for _ in range(DIMENSIONS)))
            record = SemanticRecord(
                entry.key, entry.scope, entry.question or "", vector, "b" * 32, entry.model,
                entry.tags, entry.documents, entry.created_ms,
            )  # fmt: skip
            pipe.execute_command(*set_exact(key, data, WEEK_MS))
            pipe.execute_command(
                "HSET", index.prefix + entry.key, *semantic_fields(record, key, data)
            )
            pipe.execute_command("PEXPIRE", index.prefix + entry.key, WEEK_MS)
            if number % 10 == 0:
                pipe.execute_command("HINCRBY", f"aegis:v1:{NAMESPACE}:n:hits", entry.key, 3)
            if number % 500 == 499:
                pipe.execute()
        pipe.execute()


def entry_of(number: int, now: int, drawn: random.Random) -> Entry:
    """Return an entry like those of a support desk, one every 700 ms backwards from now."""
    asked = " ".join(drawn.sample(WORDS, 3))
    answer = Answer(
        "You can do it in the settings of your account. " * 6,
        done_reason="stop", prompt_tokens=500, completion_tokens=80, duration_ms=900.0,
    )  # fmt: skip
    return Entry(
        key=hashlib.sha256(str(number).encode()).hexdigest(),
        answers=(answer,),
        created_ms=now - 700 * number,
        expires_ms=now + WEEK_MS,
        model="llama3.1:8b",
        scope="a" * 64,
        question=f"How do I {asked} number {number}?",
        documents=(f"doc-{number % 500}",),
        tags=(f"team {number % 5}",),
    )


@contextmanager
def served(url: str) -> Iterator[tuple[int, str]]:
    """Run the command; yields its process id and its link."""
    code = "from aegis_llm.cli import main; main()"
    given = ["ui", "--port", "0", "--redis-url", url, "--namespace", NAMESPACE]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *given],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = iter(process.stdout)
        yield process.pid, next(line.strip() for line in lines if line.startswith("http"))
    finally:
        process.terminate()
        process.wait()


def resident_mib(pid: int) -> float:
    """Return the memory that a process has now."""
    told = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()
    return int(told[0]) / 1024


def timed(get: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    """Return milliseconds and the reply."""
    started = time.perf_counter()
    reply = get()
    return (time.perf_counter() - started) * 1000, reply.raise_for_status()


def following(source: str) -> str:
    """Return the address of the next page."""
    told = source.partition('rel="next"')[2].partition('href="')[2].partition('"')[0]
    return told.replace("&amp;", "&")


def measure(url: str, rounds: int) -> tuple[list[tuple[str, ...]], bool]:
    """Return the rows of the table, and whether the first page is fast enough."""
    rows: list[tuple[str, ...]] = []
    with served(url) as (pid, link), httpx.Client(follow_redirects=True) as client:
        base = link.partition("/enter")[0]
        origin = base.rpartition("/")[0]
        before = resident_mib(pid)
        first, _ = timed(lambda: client.get(link))
        rows.append(("overview, first after the start", "1", f"{first:.0f}", f"{first:.0f}"))
        entries, reply = timed(lambda: client.get(f"{base}/entries"))
        rows.append(("entries, first after the start", "1", f"{entries:.0f}", f"{entries:.0f}"))
        place = following(reply.text)
        first_following = place.removeprefix(base.removeprefix(origin))
        kinds = {
            "overview": "/", "entries": "/entries", "next page": first_following,
            "search for words": "/entries?q=password+refund",
            "search for a document": "/entries?q=doc:doc-77",
            "every entry, no index": "/entries?everywhere=1",
        }  # fmt: skip
        for name, path in kinds.items():
            took = sorted(timed(lambda p=path: client.get(base + p))[0] for _ in range(rounds))
            middle, slowest = statistics.median(took), took[-1]
            rows.append((name, str(rounds), f"{middle:.0f}", f"{slowest:.0f}"))
        settled = resident_mib(pid)
        for _ in range(10 * rounds):
            place = following(client.get(origin + place).text)
        after = resident_mib(pid)
    rows.append((f"memory: start {before:.0f} MiB", "", f"{settled:.0f} MiB", f"{after:.0f} MiB"))
    return rows, max(first, entries) < REACH_MS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browsing")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20, help="calls of each page")
    parser.add_argument("--markdown", type=Path, help="document to put the table into")
    options = parser.parse_args()
    with RedisServer() as server:
        with server.client() as client:
            about = describe(client)
        fill(server.url, options.entries)
        rows, met = measure(server.url, options.rounds)
    head = ("page", "calls", "median ms", "slowest ms")
    table = Table(f"The live view over {options.entries:,} entries", head, rows)
    text = "".join(f"- {fact}.\n" for fact in about) + "\n" + table.markdown()
    print(text)
    print(f"first page under {REACH_MS:.0f} ms: {'met' if met else 'NOT met'}")
    if options.markdown:
        write(options.markdown, "browsing", text)
    sys.exit(not met)


if __name__ == "__main__":
    main()
