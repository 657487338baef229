"""Requests of AegisOllama wait for their turn, in one queue with everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import Document
from llama_index.core.extractors import KeywordExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter

from aegis_llm import QueueTimeoutError, queues, scheduling
from aegis_llm.testing import OllamaSimulator
from tests.llama_index.kit import MODEL, Kit, ask, outcome

CHAT = "/api/chat"


@pytest.fixture
def two() -> Iterator[OllamaSimulator]:
    """A server with two slots."""
    with OllamaSimulator(num_parallel=2) as sim:
        yield sim


def on(kit: Kit, sim: OllamaSimulator, **given: Any) -> Any:
    return kit.aegis(base_url=sim.base_url, embed_model=None, **given)


async def test_many_awaited_chats_keep_the_slots_busy_and_no_more(
    kit: Kit, two: OllamaSimulator
) -> None:
    llm = on(kit, two, num_parallel=2)
    answers = await asyncio.gather(*(llm.achat(ask(f"What is {n}?")) for n in range(40)))
    assert [f"{n}?" in answer.message.content for n, answer in enumerate(answers)] == [True] * 40
    assert two.count(CHAT) == 40
    assert two.peak_in_flight <= 2 + 1  # and a question for the digest
    (state,) = queues()
    assert state.models[MODEL].sent == 40


async def test_streams_that_nobody_reads_hold_no_slot(kit: Kit, two: OllamaSimulator) -> None:
    llm = on(kit, two, num_parallel=2)
    open_ = [await llm.astream_chat(ask(f"Stream {n}?")) for n in range(2)]
    first = [await anext(stream) for stream in open_]
    answers = await asyncio.gather(*(llm.achat(ask(f"What is {n}?")) for n in range(4)))
    assert all(answer.message.content for answer in answers)
    for stream, chunk in zip(open_, first, strict=True):
        rest = [part async for part in stream]
        assert len(rest[-1].message.content) > len(chunk.message.content)


def test_a_deadline_is_kept(kit: Kit, two: OllamaSimulator) -> None:
    llm = on(kit, two, num_parallel=2)
    two.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(llm.chat, ask(f"What is {n}?")) for n in range(2)]
        two.wait_for(2, CHAT)
        with scheduling(deadline_s=0.05), pytest.raises(QueueTimeoutError):
            llm.chat(ask("Too late?"))
        two.gate.set()
        assert [outcome(job.result()) for job in jobs] == ["miss"] * 2


def test_callers_with_other_runner_options_do_not_reload_the_model(
    kit: Kit, two: OllamaSimulator
) -> None:
    for size in (4096, 2048, 8192):
        llm = on(kit, two, context_window=size)
        assert outcome(llm.chat(ask(f"What is {size}?"))) == "miss"
    assert two.loads == 1
    assert {c.body["options"]["num_ctx"] for c in two.calls if c.path == CHAT} == {4096}
    assert outcome(on(kit, two, context_window=2048).chat(ask("What is 8192?"))) == "hit_local"


@pytest.mark.parametrize("workers", [None, 2])
async def test_ingestion_with_workers(kit: Kit, two: OllamaSimulator, workers: int | None) -> None:
    llm = on(kit, two, num_parallel=2)
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=64, chunk_overlap=0),
            KeywordExtractor(llm=llm, keywords=2, num_workers=4, show_progress=False),
        ]
    )
    documents = [Document(text=f"Fact {n}: pump {n} feeds tank {n}. " * 12) for n in range(4)]
    nodes = await pipeline.arun(documents=documents, num_workers=workers)
    assert len(nodes) >= 8
    assert all(node.metadata["excerpt_keywords"] for node in nodes)
