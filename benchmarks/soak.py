"""Mixed traffic with faults, for as long as you like: `python -m benchmarks.soak --seconds 3600`.

Threads and tasks ask questions over changing contexts, streamed and not, while Redis is hung,
killed, flushed and filled with rubbish, and Ollama fails now and then. Every answer is compared
with what the model says without a cache. Ends with a table, and with exit status 1 when an answer
was wrong, an exception came from the cache, or something was left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import ollama
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings
from rich.console import Console
from rich.table import Table

from aegis_llm import AegisConfig
from aegis_llm.testing import OllamaSimulator
from langchain_aegis import ChatAegis
from tests.redis_server import RedisServer

NAMES = ("Redis", "Ollama", "the gateway", "the scheduler", "the billing service")
CONTEXTS = tuple(
    f"{name.capitalize()} starts in {n} seconds. When {name} is down, request {n} is queued. "
    f"The owner of {name} is team {chr(65 + n)}."
    for n, name in enumerate(NAMES, 2)
)
QUESTIONS = (
    "How long does {0} take to start?",
    "How long does it take {0} to start?",
    "What happens when {0} is down?",
    "What happens if {0} is down?",
    "What happens when {0} is not down?",
    "Who is the owner of {0}?",
)


class Soak:
    """One run: the servers, the traffic and what was seen."""

    def __init__(self, seconds: float, seed: int) -> None:
        self.until = time.monotonic() + seconds
        self.random = random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.errors: Counter[str] = Counter()
        self.expected: dict[tuple[str, str], str] = {}

    def run(self) -> None:
        """Make traffic and faults until the time is up."""
        with OllamaSimulator(num_parallel=4) as simulator, RedisServer(persist=True) as server:
            stock = ChatOllama(model="llama3.1:8b", base_url=simulator.base_url, temperature=0)
            for context in CONTEXTS:
                for name in NAMES:
                    for question in QUESTIONS:
                        asked = question.format(name)
                        reply = stock.invoke(_messages(context, asked))
                        self.expected[context, asked] = str(reply.content)
            embeddings = OllamaEmbeddings(model="all-minilm", base_url=simulator.base_url)
            llm = ChatAegis(
                model="llama3.1:8b", base_url=simulator.base_url, temperature=0, ttl=5,
                redis_url=server.url, embeddings=embeddings,
                aegis=AegisConfig().with_options(local_max_age_s=0.05),
            )  # fmt: skip
            workers = [
                threading.Thread(target=self._guarded, args=(work, llm))
                for work in (self._thread, self._thread, self._thread, self._tasks)
            ]
            for worker in workers:
                worker.start()
            while time.monotonic() < self.until:
                self._fault(server, simulator)
            for worker in workers:
                worker.join()
            if flights := len(llm._answering.service.flights):
                self.errors[f"{flights} flights left behind"] += 1

    def _thread(self, llm: ChatAegis) -> None:
        while time.monotonic() < self.until:
            context, asked = self._ask()
            if self.random.random() < 0.5:
                self._check(context, asked, llm.invoke(_messages(context, asked)))
            else:
                parts = list(llm.stream(_messages(context, asked)))
                self._check(context, asked, sum(parts[1:], parts[0]))  # type: ignore[arg-type]

    def _tasks(self, llm: ChatAegis) -> None:
        async def one() -> None:
            context, asked = self._ask()
            if self.random.random() < 0.5:
                self._check(context, asked, await llm.ainvoke(_messages(context, asked)))
            else:
                parts = [part async for part in llm.astream(_messages(context, asked))]
                self._check(context, asked, sum(parts[1:], parts[0]))  # type: ignore[arg-type]

        async def many() -> None:
            for result in await asyncio.gather(
                *(one() for _ in range(16)), return_exceptions=True
            ):
                if isinstance(result, BaseException):
                    self._excuse(result)

        while time.monotonic() < self.until:
            asyncio.run(many())

    def _guarded(self, work: Callable[[ChatAegis], None], llm: ChatAegis) -> None:
        while time.monotonic() < self.until:
            try:
                work(llm)
            except Exception as exc:  # noqa: BLE001 - counted and told at the end
                self._excuse(exc)

    def _excuse(self, error: BaseException) -> None:
        """Count an error; the model's own are what the caller would get without a cache."""
        expected = isinstance(error, ollama.ResponseError)
        self.errors["from the model" if expected else f"FROM THE CACHE: {error!r}"] += 1

    def _ask(self) -> tuple[str, str]:
        return self.random.choice(tuple(self.expected))

    def _check(self, context: str, asked: str, message: Any) -> None:
        said = message.response_metadata["aegis"]
        self.outcomes[f"{said['outcome']} {said['reason'].partition(';')[0]}"] += 1
        if message.response_metadata["aegis"]["outcome"] == "hit_semantic":
            matched = message.response_metadata["aegis"]["matched_question"]
            right = {self.expected[context, asked], self.expected[context, matched]}
            same = sorted((asked, matched)) in _REWORDED
            ok = str(message.content) in right and (same or asked == matched)
        else:
            ok = any(
                str(message.content) == self.expected[context, other]
                for other in (asked, *_rewordings(asked))
            )
        if not ok:
            self.wrong.append(f"{asked!r} over {context[:30]!r}: {message.content!r}")

    def _fault(self, server: RedisServer, simulator: OllamaSimulator) -> None:
        time.sleep(self.random.uniform(0.1, 0.6))
        kind = self.random.choice(("none", "hang", "kill", "flush", "rubbish", "ollama"))
        self.faults[kind] += 1
        if kind == "hang":
            server.hang()
            time.sleep(0.3)
            server.resume()
        elif kind == "kill":
            server.kill()
            time.sleep(0.2)
            server.restart()
        elif kind == "flush":
            with server.client() as client:
                client.flushall()
        elif kind == "rubbish":
            with server.client() as client:
                for key in client.scan_iter("aegis:v1:*:x:*", count=100):
                    client.set(key, self.random.randbytes(20), keepttl=True)
        elif kind == "ollama":
            simulator.faults.status(500, n=3, path="/api/chat")

    def report(self) -> bool:
        """Print what was seen; return whether all was well."""
        table = Table("what", "count")
        for title, counts in (("answer", self.outcomes), ("fault", self.faults)):
            for name, count in sorted(counts.items()):
                table.add_row(f"{title}: {name}", str(count))
        for name, count in sorted(self.errors.items()):
            table.add_row(f"error {name}", str(count))
        table.add_row("wrong answers", str(len(self.wrong)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        table.add_row("peak memory", f"{peak} MiB")
        Console().print(table)
        for line in self.wrong[:10]:
            Console().print(line, style="red")
        return not self.wrong and set(self.errors) <= {"from the model"}


def _messages(context: str, question: str) -> list[BaseMessage]:
    return [SystemMessage(f"Answer from this context.\n\n{context}"), HumanMessage(question)]


_REWORDED = [
    sorted(pair)
    for name in NAMES
    for pair in (
        (QUESTIONS[0].format(name), QUESTIONS[1].format(name)),
        (QUESTIONS[2].format(name), QUESTIONS[3].format(name)),
    )
]


def _rewordings(asked: str) -> list[str]:
    return [other for pair in _REWORDED if asked in pair for other in pair]


def main() -> None:
    """Run the soak that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    soak = Soak(given.seconds, given.seed)
    soak.run()
    sys.exit(0 if soak.report() else 1)


if __name__ == "__main__":
    main()
