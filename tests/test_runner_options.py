"""Callers with other runner options than their model is loaded with, in both frameworks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from aegis_llm import AegisConfig
from aegis_llm.testing import OllamaSimulator
from langchain_aegis import ChatAegis
from llama_index.llms.aegis import AegisOllama

CONFIG = AegisConfig().with_options(redis_url="memory://")
ASKED = [ChatMessage(role="user", content="Is it open on Sunday?")]


async def _read(chunks: Any) -> None:
    async for _ in chunks:
        pass


async def _aread(chunks: Any) -> None:
    await _read(await chunks)


WAYS: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda llm: llm.invoke("Is it open on Sunday?"),
    "stream": lambda llm: list(llm.stream("Is it open on Sunday?")),
    "ainvoke": lambda llm: asyncio.run(llm.ainvoke("Is it open on Sunday?")),
    "astream": lambda llm: asyncio.run(_read(llm.astream("Is it open on Sunday?"))),
    "chat": lambda llm: llm.chat(ASKED),
    "stream_chat": lambda llm: list(llm.stream_chat(ASKED)),
    "achat": lambda llm: asyncio.run(llm.achat(ASKED)),
    "astream_chat": lambda llm: asyncio.run(_aread(llm.astream_chat(ASKED))),
}
LANGCHAIN = ("invoke", "stream", "ainvoke", "astream")


class Models:
    """Makes models on one server and closes their blocking connections."""

    def __init__(self, ollama: OllamaSimulator) -> None:
        self.ollama = ollama
        self.open = ExitStack()

    def langchain(self, num_ctx: int, config: AegisConfig = CONFIG) -> ChatAegis:
        """Return a ChatAegis."""
        made = ChatAegis(
            model="llama3.1:8b",
            base_url=self.ollama.base_url,
            num_ctx=num_ctx,
            aegis=config,
            client_kwargs={"verify": False},
        )
        self.open.callback(lambda: made._client._client.close())
        return made

    def llama_index(self, num_ctx: int) -> AegisOllama:
        """Return an AegisOllama."""
        made = AegisOllama(
            model="llama3.1:8b",
            base_url=self.ollama.base_url,
            context_window=num_ctx,
            aegis=CONFIG,
        )
        self.open.callback(lambda: made.client.close())
        return made

    @property
    def contexts(self) -> list[int]:
        """The `num_ctx` of each request so far."""
        calls = [call for call in self.ollama.calls if call.path == "/api/chat"]
        return [call.body["options"]["num_ctx"] for call in calls]


@pytest.fixture
def models(ollama: OllamaSimulator) -> Iterator[Models]:
    """Makes models."""
    made = Models(ollama)
    with made.open:
        yield made


@pytest.mark.parametrize("way", WAYS)
def test_what_is_sent_is_what_the_model_is_loaded_with(models: Models, way: str) -> None:
    """In every way of asking: the answer is kept under the options that it was made with."""
    make: Any = models.langchain if way in LANGCHAIN else models.llama_index
    models.langchain(4096).invoke("Hello?")
    WAYS[way](make(2048))
    assert models.contexts == [4096, 4096]


def test_a_copy_that_keeps_its_options_leaves_the_original_as_it_was(models: Models) -> None:
    first, second = models.langchain(4096), models.langchain(2048)
    first.invoke("Hello?")
    own = CONFIG.with_options(schedule=False)
    second.model_copy(update={"aegis": own}).invoke("Is it open?")
    assert models.contexts == [4096, 2048]
    second.invoke("Is it open on Sunday?")
    assert models.contexts == [4096, 2048, 4096]
