"""What the notebooks share: the servers they run against, single questions and bursts."""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from aegis_llm import Origin, observe
from aegis_llm.demo import Stage


def servers(**simulated: Any) -> Stage:
    """Return the Ollama and the Redis to use until the kernel ends; print which they are.

    The variable `MODEL` names a model of a real Ollama. `simulated` are settings of the simulated
    one, for when no real one answers.
    """
    stage = Stage(model=os.environ.get("MODEL", ""), **simulated)
    stage.__enter__()
    atexit.register(stage.__exit__, None, None, None)
    print("\n".join(stage.notes))
    return stage


@dataclass(frozen=True)
class Asked:
    """What came of one question; times in seconds. `first` is set for streams: the first token."""

    label: str
    question: str
    answer: str
    origin: Origin
    seconds: float
    first: float | None = None


def ask(label: str, question: str, call: Callable[[str], Any]) -> Asked:
    """Ask, print what came, and return it. `call` returns an answer or a stream of pieces."""
    first = None
    began = time.perf_counter()
    with observe() as seen:
        said = call(question)
        pieces = getattr(said, "response_gen", said)
        if isinstance(pieces, Iterator):
            said = ""
            for piece in pieces:
                first = first or time.perf_counter() - began
                said += piece
    seconds = time.perf_counter() - began
    origin, answer = seen[-1], " ".join(str(said).split())
    why = f" ({origin.reason})" if origin.reason else ""
    print(f"{label}: {question}\n  {origin.outcome}{why}, {1000 * seconds:,.1f} ms: {answer}\n")
    return Asked(label, question, answer, origin, seconds, first)


@dataclass(frozen=True)
class Sent:
    """One request of a burst; times in seconds since the burst began, by the server's clock.

    Attributes:
        group: What the request belongs to, for colours.
        began: When the server began to read the prompt.
        wrote: When it began to write the answer.
        ended: When the answer was complete.
    """

    group: int
    began: float
    wrote: float
    ended: float


async def burst(model: Any, prompts: Sequence[Any], groups: Sequence[int]) -> list[Sent]:
    """Send all prompts at once with `asyncio.gather`; `model` is any chat model on Ollama."""
    begun = time.time()

    async def one(prompt: Any, group: int) -> Sent:
        told = (await model.ainvoke(prompt)).response_metadata
        ended = _seconds(told["created_at"]) - begun
        wrote = ended - told["eval_duration"] / 1e9
        return Sent(group, wrote - told["prompt_eval_duration"] / 1e9, wrote, ended)

    return await asyncio.gather(*map(one, prompts, groups))


def slots_of(sent: Sequence[Sent]) -> list[int]:
    """Return the slot that each request had: the server does not tell it, the times do."""
    free: list[float] = []
    slots = {}
    for one in sorted(sent, key=lambda one: one.began):
        slot = next((at for at, ended in enumerate(free) if ended <= one.began + 0.005), len(free))
        free[slot : slot + 1] = [one.ended]
        slots[id(one)] = slot
    return [slots[id(one)] for one in sent]


def prose(tokens: int, seed: int) -> str:
    """Return a text of about that many tokens, in sentences of some 100; another for each seed."""
    source = np.random.default_rng(seed)
    nouns = ["valve", "pump", "relay", "boiler", "filter", "sensor"]
    verbs = ["opens", "feeds", "cools", "blocks", "heats", "drains"]
    sides = ["upper", "lower", "spare", "main", "north", "old"]
    clauses = [
        f"the {source.choice(sides)} {source.choice(nouns)} {number} {source.choice(verbs)} it"
        for number in range(tokens // 91 * 13)
    ]
    sentences = (clauses[start : start + 13] for start in range(0, len(clauses), 13))
    return " ".join(f"{', '.join(sentence)}." for sentence in sentences)


@contextmanager
def serving(environment: Mapping[str, str], timing: str) -> Iterator[tuple[str, Path]]:
    """Run a simulated Ollama as a process with these settings; give its URL and its log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OLLAMA_")}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        command = [sys.executable, "-m", "aegis_llm.testing.serving", "--timing", timing]
        process = subprocess.Popen(
            [*command, "--log", str(log)],
            env={**kept, **environment, "OLLAMA_HOST": "127.0.0.1:0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            said = ""
            for line in process.stderr or ():
                said += line
                if found := re.search(r"Listening on (\S+)", line):
                    yield f"http://{found[1]}", log
                    return
            raise RuntimeError(said)
        finally:
            process.terminate()
            process.communicate()


def _seconds(stamp: str) -> float:
    """Return the seconds since 1970 of a time as Ollama writes it, with nanoseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", stamp)).timestamp()
