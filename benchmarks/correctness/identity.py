"""Requests that differ in one thing only: never may one get the answer of the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
from langchain_core.messages import HumanMessage

from benchmarks.common.parts import MODEL, Bench
from benchmarks.common.report import Table
from benchmarks.correctness.asking import Asking, Question
from benchmarks.correctness.systems import System

TEXT = "Which valve closes first when the pressure falls?"
OTHER_MODEL = "qwen2.5:7b"
PICTURES = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYPgPAAEDAQAIicLsAAAAAElFTkSuQmCC",
)


class Telling(httpx.BaseTransport):
    """An Ollama whose answer is a hash of the whole request, as no two models answer alike."""

    def __init__(self) -> None:
        self.calls = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer `/api/chat` and `/api/tags`."""
        if request.url.path == "/api/tags":
            models = [_tag(name) for name in (MODEL, OTHER_MODEL)]
            return httpx.Response(200, json={"models": models})
        self.calls += 1
        body = msgspec.json.decode(request.read())
        told = {k: v for k, v in body.items() if k not in ("stream", "keep_alive")}
        data = msgspec.json.encode(told, order="sorted")
        text = f"My answer is number {int(hashlib.sha256(data).hexdigest()[:12], 16)}."
        return httpx.Response(200, content=b"".join(_lines(body["model"], text)))


def measure(bench: Bench, systems: list[System]) -> list[Table]:
    """Ask the same text with two settings of one thing; count answers of the other one."""
    table = Table(
        "Requests that differ in one thing",
        ("answers of another request, of all requests", *(system.name for system in systems)),
        note=(
            "The model's answer is a hash of the request's body. The variants take turns three "
            "times; an answer that differs from the uncached one is another request's."
        ),
    )
    for what, variants in _rows().items():
        row = []
        for system in systems:
            bench.clear()
            model = Telling()
            asking = Asking(
                lambda model=model: model.calls,  # type: ignore[misc]
                model=MODEL,
                base_url="http://127.0.0.1:1",
                sync_client_kwargs={"transport": model},
            )
            make = system.open(bench.url, f"{bench.namespace}i{len(table.rows)}")
            row.append(str(asking.ask(make, [*variants, *variants, *variants])))
        table.rows.append((what, *row))
    return [table]


def _rows() -> dict[str, list[Question]]:
    weather = _tool("weather", "Tells the weather of a town.")
    clock = _tool("clock", "Tells the time of a town.")

    def bound(*tools: dict[str, Any]) -> Question:
        return Question(TEXT, shape=lambda model: model.bind_tools(list(tools)))

    return {
        "two models": [Question(TEXT), Question(TEXT, {"model": OTHER_MODEL})],
        "two temperatures": [
            Question(TEXT, {"temperature": 0.0}),
            Question(TEXT, {"temperature": 0.9}),
        ],
        "two context windows": [
            Question(TEXT, {"num_ctx": 2048}),
            Question(TEXT, {"num_ctx": 8192}),
        ],
        "text and JSON format": [Question(TEXT), Question(TEXT, {"format": "json"})],
        "two tool sets, and none": [bound(weather), bound(clock), Question(TEXT)],
        "two pictures": [Question([_picture(picture)]) for picture in PICTURES],
        "two system texts": [
            Question([("system", "Answer briefly."), ("human", TEXT)]),
            Question([("system", "Answer at length."), ("human", TEXT)]),
        ],
    }


def _tool(name: str, description: str) -> dict[str, Any]:
    town = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
    function = {"name": name, "description": description, "parameters": town}
    return {"type": "function", "function": function}


def _picture(data: str) -> HumanMessage:
    url = {"url": f"data:image/png;base64,{data}"}
    return HumanMessage([{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": url}])


def _tag(name: str) -> dict[str, Any]:
    return {"name": name, "model": name, "digest": hashlib.sha256(name.encode()).hexdigest()}


def _lines(model: str, text: str) -> Iterator[bytes]:
    head = {"model": model, "created_at": "2026-01-01T00:00:00Z"}
    said = {"role": "assistant", "content": text}
    yield msgspec.json.encode({**head, "message": said, "done": False}) + b"\n"
    end = {"role": "assistant", "content": ""}
    last = {**head, "message": end, "done": True, "done_reason": "stop", "eval_count": 8}
    yield msgspec.json.encode(last) + b"\n"
