"""AegisEmbeddings inside ChatAegis, AegisCache and retrieval chains."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ollama import OllamaEmbeddings

from aegis_llm import wiring
from langchain_aegis import AegisEmbeddings
from tests.langchain.embeddings_kit import LONG, Makes, make
from tests.langchain.kit import NO_TLS, Kit, outcome, reason

__all__ = ["make"]
ASKED = "What is the capital of France?"
REWORDED = "What's the capital of France?"


def stock(kit: Kit) -> OllamaEmbeddings:
    return OllamaEmbeddings(model="all-minilm", base_url=kit.ollama.base_url, client_kwargs=NO_TLS)


def test_it_finds_what_the_stock_class_stored_and_the_other_way_round(
    kit: Kit, make: Makes
) -> None:
    questions = [(ASKED, REWORDED), (ASKED.replace("France", "Peru"),
                                     REWORDED.replace("France", "Peru"))]  # fmt: skip
    for (asked, reworded), embeddings in zip(
        questions, [(stock(kit), make()), (make(), stock(kit))], strict=True
    ):
        first, second = (kit.aegis(embeddings=one, local_max_bytes=0) for one in embeddings)
        assert outcome(first.invoke(asked)) == "miss"
        assert outcome(second.invoke(reworded)) == "hit_semantic"


def test_it_embeds_from_within_a_running_loop(kit: Kit, make: Makes) -> None:
    llm = kit.aegis(embeddings=make(), local_max_bytes=0)

    async def scenario() -> list[Any]:
        awaited = await llm.ainvoke(ASKED)
        blocking = llm.invoke(REWORDED)  # holds up the loop, as it does with every model
        return [awaited, blocking, *await asyncio.gather(*[llm.ainvoke(REWORDED)] * 1)]

    assert [outcome(message) for message in asyncio.run(scenario())] == [
        "miss", "hit_semantic", "hit_semantic",
    ]  # fmt: skip


def test_its_vectors_are_kept_for_the_next_process(kit: Kit, make: Makes) -> None:
    kit.aegis(embeddings=make()).invoke(ASKED)
    assert make.sent == [[ASKED]]
    wiring.forget_all()
    kit.aegis(embeddings=make(), temperature=0.5).invoke(ASKED)
    assert make.sent == [[ASKED]]
    assert kit.calls == 2


def test_a_cache_for_any_model_takes_it(kit: Kit, make: Makes) -> None:
    llm = kit.cache(embeddings=make()).bind(kit.stock())
    llm.invoke(ASKED)
    llm.invoke(REWORDED)
    assert kit.calls == 1


def test_a_question_that_is_too_long_is_said_and_turns_nobody_else_away(
    kit: Kit, make: Makes
) -> None:
    llm = kit.aegis(
        embeddings=make(),
        max_question_tokens=100_000,
        extractor=lambda messages: messages[-1]["content"],
    )
    for number in range(6):
        long = f"What is the capital of {LONG} number {number}?"
        assert reason(llm.invoke(long)) == "question_too_long"
    llm.invoke(ASKED)
    assert outcome(llm.invoke(REWORDED)) == "hit_semantic"


async def test_a_retriever_embeds_with_it(make: Makes) -> None:
    made: AegisEmbeddings = make()
    store = await InMemoryVectorStore.afrom_texts(["a cactus", "a kettle"], made)
    for _ in range(2):
        found = await store.as_retriever(search_kwargs={"k": 1}).ainvoke("watering a cactus")
        assert found[0].page_content == "a cactus"
    assert store.similarity_search("boiling water", k=1)[0].page_content == "a kettle"
    assert make.sent == [["a cactus", "a kettle"], ["watering a cactus"], ["boiling water"]]
