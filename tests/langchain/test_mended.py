"""What AegisCache and ChatAegis promise at the edges: tools, streams read late, edited chunks."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import Embeddings
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel

from aegis_llm import ConfigError, cache_control, naming, observe
from aegis_llm.values import Answer
from langchain_aegis import caches
from langchain_aegis._embedder import LangChainEmbedder
from tests.langchain.fakes import Named
from tests.langchain.kit import Kit, outcome, reason
from tests.langchain.ways import WAYS

ASKED = "What is the capital of France?"
NEAR = "What's the capital of France?"
TOOLS = [{"type": "function", "function": {"name": "book", "parameters": {}}}]


class Serial(Named):
    """As `Named`, and serialised into its llm string."""

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True


@pytest.mark.parametrize("make", [Named, Serial])
@pytest.mark.parametrize("bound", [{"tools": TOOLS}, {"functions": TOOLS}, {"tools": [object]}])
def test_with_tools_bound_a_reworded_question_is_a_miss(
    kit: Kit, make: type[Named], bound: dict[str, Any]
) -> None:
    set_llm_cache(kit.cache())
    model = make().bind(**bound)
    with observe() as seen:
        for text in (ASKED, NEAR, ASKED):
            model.invoke(text)
    assert seen.outcomes == ["miss", "miss", "hit_local"]
    assert seen[1].reason == "tools_bound"


@pytest.mark.parametrize("make", [Named, Serial])
def test_with_no_tools_in_the_list_it_hits(kit: Kit, make: type[Named]) -> None:
    set_llm_cache(kit.cache())
    with observe() as seen:
        make().bind(tools=[]).invoke(ASKED)
        make().bind(tools=[]).invoke(NEAR)
    assert seen.outcomes == ["miss", "hit_semantic"]


def test_what_a_text_block_says_beside_its_text_counts(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    with observe() as seen:
        for extra in ({}, {"cache_control": {"type": "x"}}, {"annotations": [{"a": 1}]}, {}):
            block = {"type": "text", "text": "Be brief.", **extra}
            Named().invoke([SystemMessage([block]), HumanMessage(ASKED)])
    assert seen.outcomes == ["miss", "miss", "miss", "hit_local"]


def test_misses_that_no_update_follows_are_bounded(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = kit.cache(embeddings=None)
    monkeypatch.setattr(caches, "_PENDING_BYTES", 1_000_000)
    llm = str([("model", "m-1")])
    for number in range(20):
        cache.lookup(f"{number}" + "x" * 100_000, llm)
        assert cache._pending_bytes <= 1_000_000
    assert 0 < len(cache._pending) < 10
    for number in range(20):
        cache._asked(f"{number}" + "x" * 100_000, llm)
    assert cache._pending_bytes == 0
    assert not cache._pending


@pytest.mark.parametrize("given", [{"tenant": "other"}, {"bypass": True}])
async def test_a_stream_read_outside_the_block_that_asked(kit: Kit, given: dict[str, Any]) -> None:
    model = kit.aegis()
    model.invoke(ASKED)
    for awaited in (False, True):
        before = kit.calls
        with cache_control(**given), observe() as seen:
            chunks: Any = model.astream(ASKED) if awaited else model.stream(ASKED)
        with observe() as outside:
            parts = [c async for c in chunks] if awaited else list(chunks)
        assert parts
        assert [one.hit for one in seen] == [awaited and "tenant" in given]
        assert not outside
        assert kit.calls == before + (not seen[0].hit)


async def test_a_stream_that_is_closed_or_thrown_into_tells_langchain(kit: Kit) -> None:
    class Ended(BaseCallbackHandler):
        def __init__(self) -> None:
            self.errors: list[type] = []

        def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
            self.errors.append(type(error))

    model, ended = kit.aegis(), Ended()
    for number, call in enumerate(("close", "throw")):
        chunks: Any = model.stream(f"Number {number}?", {"callbacks": [ended]})
        next(chunks)
        if call == "close":
            chunks.close()
        else:
            with pytest.raises(KeyError):
                chunks.throw(KeyError("x"))
        chunks = model.astream(f"Awaited {number}?", {"callbacks": [ended]})
        await anext(chunks)
        if call == "close":
            await chunks.aclose()
        else:
            with pytest.raises(KeyError):
                await chunks.athrow(KeyError("x"))
    assert ended.errors == [GeneratorExit, GeneratorExit, KeyError, KeyError]


@pytest.mark.parametrize("name", ["invoke", "ainvoke", "stream", "astream"])
async def test_an_entry_that_cannot_be_replayed_costs_no_answer(kit: Kit, name: str) -> None:
    model, way = kit.aegis(), WAYS[name]
    request = model._request([HumanMessage(ASKED)], None, {})
    assert request is not None
    wrong = Answer(text="No.", done_reason="stop", logprobs=[{}])
    model._answering.service.open(request).store(wrong)
    with observe() as seen:
        answers = [await way(model, ASKED) for _ in range(2)]
    assert [outcome(one) for one in answers] == seen.outcomes == ["miss", "hit_local"]
    assert reason(answers[0]) == "unreadable_entry"
    assert answers[0].text == answers[1].text != "No."
    assert kit.calls == 1


async def test_what_was_thought_is_shown_where_the_stock_model_shows_it(akit: Kit) -> None:
    given: dict[str, Any]
    for stored in ({"reasoning": True}, {"think": True}):
        for name in ("invoke", "stream"):
            model = akit.aegis(model="qwen3:8b", namespace=akit.namespace + name + "".join(stored))
            await WAYS[name](model, ASKED, **stored)
            for given in ({"reasoning": True}, {"think": True}):
                stock = await WAYS[name](akit.stock(model="qwen3:8b"), ASKED, **given)
                mine = await WAYS[name](model, ASKED, **given)
                shown = "reasoning_content" in stock.additional_kwargs
                assert ("reasoning_content" in mine.additional_kwargs) == shown


def test_settings_changed_afterwards_hold(kit: Kit) -> None:
    model = kit.aegis()
    model.invoke(ASKED)
    copy = model.model_copy(update={"namespace": f"{kit.namespace}2"})
    assert outcome(copy.invoke(ASKED)) == "miss"
    assert outcome(model.invoke(ASKED)) == "hit_local"
    model.namespace = f"{kit.namespace}3"
    assert outcome(model.invoke(ASKED)) == "miss"
    with pytest.raises(ConfigError):
        model.ttl = -1
    assert model.ttl is None
    for one in (copy, model):
        one._answering.service.store.close()


def test_an_edited_chunk_does_not_reach_the_entry(kit: Kit) -> None:
    model = kit.aegis()
    for chunk in model.stream(ASKED):
        chunk.additional_kwargs["reasoning_content"] = "poison"
        chunk.response_metadata["poison"] = True
        chunk.tool_call_chunks.append({"name": "x", "args": "{}", "id": "1", "index": 0})
        chunk.tool_calls.append({"name": "x", "args": {}, "id": "1"})
    again = model.invoke(ASKED, reasoning=None)
    assert outcome(again) == "hit_local"
    assert not again.additional_kwargs
    assert not again.tool_calls


def test_an_embedder_is_named_after_its_changed_settings() -> None:
    class Fake(Embeddings, BaseModel):
        model_name: str = "m"
        query_encode_kwargs: dict[str, Any] = {}
        api_key: str = ""

        def embed_query(self, text: str) -> list[float]:
            return [1.0]

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0] for _ in texts]

    def named(**given: Any) -> str:
        return LangChainEmbedder(Fake(**given)).embedding_id

    assert named() == named(api_key="x") == "Fake model_name=m"
    one, two = (named(query_encode_kwargs={"prompt": text}) for text in ("a", "b"))
    assert len({named(), one, two}) == 3
    assert one == named(query_encode_kwargs={"prompt": "a"})


def test_names_of_objects_that_are_gone_are_forgotten() -> None:
    class Thing:
        pass

    kept = Thing()
    name = naming.name_of(kept)
    before = len(naming._named)
    for _ in range(500):
        naming.name_of(Thing())
        naming.name_of(bytearray(1))  # no weak references
    gc.collect()
    assert len(naming._named) <= before + naming._KEPT
    assert naming.name_of(kept) == name
