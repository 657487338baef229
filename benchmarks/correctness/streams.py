"""Whether a streamed repeat is served from the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from aegis_llm.testing import OllamaSimulator
from benchmarks.common.parts import MODEL, Bench
from benchmarks.common.report import Table
from benchmarks.correctness.systems import System

CHAT = "/api/chat"
Ask = Callable[[asyncio.Runner, Any, str], str]


def measure(bench: Bench, systems: list[System]) -> list[Table]:
    """Ask twice; the second time must be the same text without a call of the model."""
    table = Table(
        "Repeats served from the cache, with the same text",
        ("first ask, then repeat", *(system.name for system in systems)),
    )
    # One event loop for all: the peers' semantic cache fails on a second one.
    with OllamaSimulator() as ollama, asyncio.Runner() as loop:
        for first, ask in WAYS.items():
            for second, repeat in WAYS.items():
                row = []
                for system in systems:
                    bench.clear()
                    name = f"{bench.namespace}{first}{second}"
                    make = system.open(bench.url, name)
                    question = f"What is the relay valve for, {first} and {second}?"
                    given = {"model": MODEL, "base_url": ollama.base_url}
                    text = ask(loop, make(**given), question)
                    before = ollama.count(CHAT)
                    again = repeat(loop, make(**given), question)
                    served = ollama.count(CHAT) == before
                    assert again == text, (system.name, first, second)
                    row.append("yes" if served else "no")
                table.rows.append((f"{first}, {second}", *row))
    return [table]


def _invoke(_: asyncio.Runner, model: Any, question: str) -> str:
    return _text(model.invoke(question))


def _ainvoke(loop: asyncio.Runner, model: Any, question: str) -> str:
    return _text(loop.run(model.ainvoke(question)))


def _stream(_: asyncio.Runner, model: Any, question: str) -> str:
    return "".join(_text(chunk) for chunk in model.stream(question))


def _astream(loop: asyncio.Runner, model: Any, question: str) -> str:
    async def read() -> str:
        return "".join([_text(chunk) async for chunk in model.astream(question)])

    return loop.run(read())


def _text(message: AIMessage | AIMessageChunk) -> str:
    return str(message.text)


WAYS: dict[str, Ask] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
}
