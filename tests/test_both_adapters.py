"""LangChain and LlamaIndex in one process: one store, and no mix-up of what is under way."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from llama_index.core.llms import ChatMessage

from aegis_llm import AegisConfig
from aegis_llm.testing import MiniLM, OllamaSimulator
from langchain_aegis import AegisEmbeddings, ChatAegis
from llama_index.llms.aegis import AegisEmbedding, AegisOllama
from tests.races.kit import until

GIVEN: dict[str, Any] = {"model": "llama3.1:8b", "redis_url": "memory://both"}
QUESTION = "What is the relay valve for?"


def _models(ollama: OllamaSimulator) -> tuple[ChatAegis, AegisOllama]:
    chain = ChatAegis(**GIVEN, base_url=ollama.base_url, temperature=0, num_ctx=4096)
    index = AegisOllama(**GIVEN, base_url=ollama.base_url, temperature=0, context_window=4096)
    return chain, index


def test_embeddings_of_both_are_one_request(ollama: OllamaSimulator) -> None:
    given: dict[str, Any] = {"base_url": ollama.base_url, "redis_url": "memory://both"}
    aegis = AegisConfig().with_options(window_ms=60_000)
    chain = AegisEmbeddings(model="all-minilm", aegis=aegis, **given)
    index = AegisEmbedding("all-minilm", aegis=aegis, namespace="index", **given)
    gathering: Any = chain._vectors.gathers
    assert index._links.vectors.gathers is gathering
    ollama.faults.hang(path="/api/embed")
    texts = ("first", "of a chain", "of an index", "awaited by a chain", "awaited by an index")
    calls = (
        lambda: chain.embed_query(texts[0]),
        lambda: chain.embed_query(texts[1]),
        lambda: index.get_query_embedding(texts[2]),
        lambda: asyncio.run(chain.aembed_query(texts[3])),
        lambda: asyncio.run(index.aget_query_embedding(texts[4])),
    )
    with ThreadPoolExecutor(5) as pool:
        vectors = [pool.submit(calls[0])]
        ollama.wait_for(1, "/api/embed")
        vectors += [pool.submit(call) for call in calls[1:]]
        until(lambda: gathering.waiting == 4)
        ollama.faults.release()
    assert np.allclose([one.result() for one in vectors], MiniLM().embed(texts), atol=1e-5)
    assert ollama.count("/api/embed") == 2


def test_vectors_of_one_are_those_of_the_other(ollama: OllamaSimulator) -> None:
    given: dict[str, Any] = {"base_url": ollama.base_url, "redis_url": "memory://both"}
    chain = AegisEmbeddings(model="all-minilm", num_thread=4, **given)
    index = AegisEmbedding("all-minilm", keep_alive="1h", **given)
    assert chain.embed_query("a") == index.get_query_embedding("a")
    assert ollama.count("/api/embed") == 1


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
