"""Hits are seen by what traces runs: LangSmith's tracer, OpenInference's, Langfuse's handler."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer
from langchain_core.tracers.langchain import LangChainTracer

from aegis_llm import cache_control
from aegis_llm.values import Origin
from langchain_aegis import cache_chain
from langchain_aegis._runs import tell_run
from tests.langchain.kit import Kit

QUESTION = "Why is the sky blue?"


class Tracer(BaseTracer):
    """Keeps every run that is over, as OpenInference's tracer sees it."""

    def __init__(self) -> None:
        super().__init__(_schema_format="original+chat")
        self.ended: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        pass

    def _on_llm_end(self, run: Any) -> None:
        self.ended.append(run)

    def _on_chain_end(self, run: Any) -> None:
        self.ended.append(run)


class AsyncTracer(AsyncBaseTracer):
    """Like `Tracer`, awaited."""

    def __init__(self) -> None:
        super().__init__(_schema_format="original+chat")
        self.ended: list[Any] = []

    async def _persist_run(self, run: Any) -> None:
        pass

    async def _on_llm_end(self, run: Any) -> None:
        self.ended.append(run)


class Client:
    """Stands for LangSmith's client: keeps what would be sent."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []

    def create_run(self, **run: Any) -> None:
        pass

    def update_run(self, **run: Any) -> None:
        self.updates.append(run)


def seen(run: Any) -> tuple[bool, str]:
    """Return whether a run has the tag of a hit, and the outcome in its metadata."""
    metadata = run.extra["metadata"]
    assert metadata["cache_hit"] is ("cache_hit" in (run.tags or []))
    return metadata["cache_hit"], metadata["aegis"]["outcome"]


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_the_run_of_a_hit_has_a_tag_and_metadata(kit: Kit, way: str) -> None:
    llm, tracer = kit.aegis(), Tracer()
    config: Any = {"callbacks": [tracer], "tags": ["mine"], "metadata": {"mine": 1}}
    for _ in range(2):
        if way == "invoke":
            llm.invoke(QUESTION, config)
        else:
            list(llm.stream(QUESTION, config))
    miss, hit = tracer.ended
    assert (seen(miss), seen(hit)) == ((False, "miss"), (True, "hit_local"))
    assert hit.tags == ["mine", "cache_hit"]
    assert hit.extra["metadata"]["mine"] == 1
    assert hit.extra["metadata"]["aegis"]["saved_tokens"] > 0
    assert config["metadata"] == {"mine": 1}
    assert config["tags"] == ["mine"]
    usage = hit.outputs["generations"][0][0]["message"]["kwargs"]["usage_metadata"]
    assert usage["total_tokens"] == 0  # so that nothing is priced


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
@pytest.mark.parametrize("kind", [Tracer, AsyncTracer])
async def test_the_run_of_an_awaited_hit_has_them_too(akit: Kit, way: str, kind: Any) -> None:
    llm, tracer = akit.aegis(), kind()
    for _ in range(2):
        if way == "ainvoke":
            await llm.ainvoke(QUESTION, {"callbacks": [tracer]})
        else:
            async for _chunk in llm.astream(QUESTION, {"callbacks": [tracer]}):
                pass
    assert [seen(run) for run in tracer.ended] == [(False, "miss"), (True, "hit_local")]


def test_langsmith_is_sent_the_tag_and_the_metadata(kit: Kit) -> None:
    client = Client()
    tracer = LangChainTracer(client=client)  # type: ignore[arg-type]
    llm = kit.aegis()
    for _ in range(2):
        llm.invoke(QUESTION, {"callbacks": [tracer]})
    miss, hit = client.updates
    assert "cache_hit" not in (miss["tags"] or [])
    assert hit["tags"] == ["cache_hit"]
    assert hit["extra"]["metadata"]["aegis"]["outcome"] == "hit_local"
    assert hit["extra"]["metadata"]["cache_hit"] is True


def test_the_runs_of_a_cached_chain_and_of_its_model_are_marked(kit: Kit) -> None:
    tracer = Tracer()
    inner = kit.aegis() | StrOutputParser()
    chain: Any = cache_chain(inner, redis_url=kit.redis_url, namespace=kit.namespace + "c")
    for _ in range(2):
        chain.invoke(QUESTION, {"callbacks": [tracer]})
    marked = [run for run in tracer.ended if "aegis" in run.extra.get("metadata", {})]
    assert [(run.run_type, seen(run)[0]) for run in marked] == [
        ("chat_model", False), ("chain", False), ("chain", True),
    ]  # fmt: skip


def test_no_question_of_another_is_told(kit: Kit) -> None:
    llm, tracer = kit.aegis(), Tracer()
    with cache_control(tenant="tenant-7"):
        llm.invoke("What is the capital of France?")
        llm.invoke("what is the capital of France", {"callbacks": [tracer]})
    told = tracer.ended[-1].extra["metadata"]["aegis"]
    assert told["outcome"] == "hit_semantic"
    assert "matched_question" not in told
    assert "tenant-7" not in str(told)


class Observation:
    """Stands for an observation of Langfuse."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}

    def update(self, *, metadata: dict[str, Any]) -> None:
        self.metadata.update(metadata)


class Manager:
    """Stands for the manager of a run."""

    def __init__(self, *handlers: Any) -> None:
        self.handlers = handlers
        self.run_id = UUID(int=1)


def test_an_observation_of_langfuse_is_updated() -> None:
    class CallbackHandler(BaseCallbackHandler):
        def __init__(self) -> None:
            self.runs = {UUID(int=1): Observation()}

    CallbackHandler.__module__ = "langfuse.langchain.CallbackHandler"
    handler = CallbackHandler()
    tell_run(Manager(handler), Origin("hit_exact", saved_tokens=5))
    told = handler.runs[UUID(int=1)].metadata
    assert told["cache_hit"] is True
    assert told["aegis"]["saved_tokens"] == 5


def test_a_tracer_that_fails_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Tracer):
        run_map = property(lambda self: 1 / 0, lambda self, value: None)  # type: ignore[assignment]

    tell_run(Manager(Broken()), Origin("hit_exact"))
    assert "a run could not be marked" in caplog.text
    tell_run(None, Origin("hit_exact"))
