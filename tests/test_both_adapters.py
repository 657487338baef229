"""LangChain and LlamaIndex in one process: one store, and no mix-up of what is under way."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from llama_index.core.llms import ChatMessage

from aegis_llm.testing import OllamaSimulator
from langchain_aegis import ChatAegis
from llama_index.llms.aegis import AegisOllama

GIVEN: dict[str, Any] = {"model": "llama3.1:8b", "redis_url": "memory://both"}
QUESTION = "What is the relay valve for?"


def _models(ollama: OllamaSimulator) -> tuple[ChatAegis, AegisOllama]:
    chain = ChatAegis(**GIVEN, base_url=ollama.base_url, temperature=0, num_ctx=4096)
    index = AegisOllama(**GIVEN, base_url=ollama.base_url, temperature=0, context_window=4096)
    return chain, index


def test_streams_of_one_request_under_way_in_both(ollama: OllamaSimulator) -> None:
    chain, index = _models(ollama)
    texts: dict[str, str] = {}

    def langchain() -> None:
        texts["langchain"] = "".join(str(chunk.content) for chunk in chain.stream(QUESTION))

    def llama_index() -> None:
        reply = index.stream_chat([ChatMessage(content=QUESTION)])
        texts["llama_index"] = "".join(part.delta or "" for part in reply)

    ollama.gate.clear()
    threads = [threading.Thread(target=work) for work in (langchain, llama_index) * 3]
    for thread in threads:
        thread.start()
    ollama.wait_for(2, "/api/chat")
    ollama.gate.set()
    for thread in threads:
        thread.join(30)
    assert texts["langchain"] == texts["llama_index"] != ""
    assert ollama.count("/api/chat") == 2


def test_awaited_streams_of_one_request_under_way_in_both(ollama: OllamaSimulator) -> None:
    chain, index = _models(ollama)

    async def langchain() -> str:
        return "".join([str(chunk.content) async for chunk in chain.astream(QUESTION)])

    async def llama_index() -> str:
        reply = await index.astream_chat([ChatMessage(content=QUESTION)])
        return "".join([part.delta or "" async for part in reply])

    async def both() -> list[str]:
        return list(await asyncio.gather(langchain(), llama_index(), langchain(), llama_index()))

    assert len(set(asyncio.run(both()))) == 1
    assert ollama.count("/api/chat") == 2
