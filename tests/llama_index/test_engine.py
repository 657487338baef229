"""AegisQueryEngine: a question asked again is answered without retrieval and without a model."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from llama_index.core import PromptTemplate, Settings
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.query_engine import CustomQueryEngine, TransformQueryEngine
from llama_index.core.tools import QueryEngineTool

from aegis_llm import ConfigError, NotCachedError, cache_control, observe, wiring
from aegis_llm.values import Answer
from llama_index.llms.aegis import AegisQueryEngine
from tests.llama_index.engine_kit import (
    EVERY_WAY,
    STREAMING,
    WAYS,
    Counting,
    Given,
    Way,
    aquery,
    cached,
    close,
    plain,
    text,
)
from tests.llama_index.kit import FACTS, Kit
from tests.llama_index.test_documents import entries
from tests.llama_index.test_query_engines import LOOK_ALIKE, QUESTION, REWORDED


@EVERY_WAY
@STREAMING
async def test_a_hit_skips_retrieval_and_model(kit: Kit, way: Way, streaming: bool) -> None:
    inner = plain(kit, streaming=streaming)
    inner._retriever = found = Counting(inner._retriever)
    engine = cached(kit, inner)
    expected = await text(await way(plain(kit, streaming=streaming), QUESTION))
    calls = kit.calls
    with observe() as seen:
        responses, texts = [], []
        for question in (QUESTION, QUESTION, REWORDED, LOOK_ALIKE):
            responses.append(await way(engine, question))
            texts.append(await text(responses[-1]))
    await close(kit)
    assert texts[:3] == [expected] * 3
    assert seen.outcomes == ["miss", "hit_local", "hit_semantic", "miss"]
    assert seen[2].matched_question == QUESTION
    assert seen[1].saved_tokens > 0
    assert found._asked == [QUESTION, LOOK_ALIKE]
    assert kit.calls == calls + 2
    kinds = {False: Response, True: AsyncStreamingResponse if way is aquery else StreamingResponse}
    assert {type(response) for response in responses} == {kinds[streaming]}


@EVERY_WAY
@STREAMING
async def test_the_sources_come_back(kit: Kit, way: Way, streaming: bool) -> None:
    engine = cached(kit, plain(kit, streaming=streaming))
    first = await way(engine, QUESTION)
    await text(first)
    again = await way(engine, REWORDED)
    await text(again)
    await close(kit)
    assert [one.node.node_id for one in again.source_nodes] == [
        one.node.node_id for one in first.source_nodes
    ]
    for one, other in zip(first.source_nodes, again.source_nodes, strict=True):
        assert (one.node.text, one.node.metadata) == (other.node.text, other.node.metadata)
        assert one.node.ref_doc_id == other.node.ref_doc_id
        assert one.score == pytest.approx(other.score)
    assert again.metadata == first.metadata
    assert again.get_formatted_sources() == first.get_formatted_sources()


async def test_every_way_serves_what_another_stored(kit: Kit) -> None:
    index, llm = kit.index(), kit.stock(context_window=4096)
    Settings.embed_model = kit.embed_model
    engines = [
        cached(kit, index.as_query_engine(llm=llm, streaming=streaming))
        for streaming in (False, True)
    ]
    with observe() as seen:
        found = {await text(await way(one, QUESTION)) for one in engines for way in WAYS.values()}
    await close(kit)
    assert len(found) == 1
    assert seen.outcomes == ["miss", *["hit_local"] * 3]
    streamed = engines[1].query(QUESTION)
    assert len(list(streamed.response_gen)) > 1
    assert kit.calls == 1


@EVERY_WAY
@STREAMING
async def test_it_dies_with_its_documents(kit: Kit, way: Way, streaming: bool) -> None:
    engine = cached(kit, plain(kit, streaming=streaming))
    await text(await way(engine, QUESTION))
    (entry,) = entries(kit).values()
    assert "fact-3" in entry.documents
    with observe() as seen:
        assert engine.invalidate(document="fact-9") == 0
        await text(await way(engine, QUESTION))
        assert engine.invalidate(document="fact-3") == 1
        await text(await way(engine, QUESTION))
    await close(kit)
    assert seen.outcomes == ["hit_local", "miss"]


def test_the_cache_of_the_model_goes_on_working_beneath(kit: Kit) -> None:
    engine = cached(kit, plain(kit, llm=kit.aegis(context_window=4096)))
    with observe() as seen:
        first = str(engine.query(QUESTION))
        assert str(engine.query(QUESTION)) == first
    assert seen.outcomes == ["miss", "miss", "hit_local"]


def test_another_process_finds_a_named_engine(kit: Kit) -> None:
    first = str(cached(kit, plain(kit), name="facts-1").query(QUESTION))
    wiring.forget_all()
    with observe() as seen:
        assert str(cached(kit, plain(kit), name="facts-1").query(REWORDED)) == first
        cached(kit, plain(kit), name="facts-2").query(REWORDED)
    assert seen.outcomes == ["hit_semantic", "miss"]


def test_different_engines_never_share(kit: Kit) -> None:
    Settings.embed_model = kit.embed_model
    index, other = kit.index(), kit.index(FACTS[::-1])
    llm = kit.stock(context_window=4096)
    prompt = PromptTemplate("Context: {context_str}\nLike a pirate, answer: {query_str}")
    engines = [
        index.as_query_engine(llm=llm),
        other.as_query_engine(llm=llm),
        index.as_query_engine(llm=llm, similarity_top_k=1),
        index.as_query_engine(llm=llm, text_qa_template=prompt),
        index.as_query_engine(llm=llm, response_mode="tree_summarize"),
        index.as_query_engine(llm=kit.stock(context_window=4096, temperature=0.7)),
        index.as_query_engine(llm=kit.stock(context_window=4096, model="mistral:7b")),
        TransformQueryEngine(index.as_query_engine(llm=llm), _Shout()),  # type: ignore[arg-type]
    ]
    with observe() as seen:
        for engine in [cached(kit, one) for one in engines]:
            engine.query(QUESTION)
            engine.query(REWORDED)
    assert seen.outcomes == ["miss", "hit_semantic"] * len(engines)
    with observe() as seen:
        cached(kit, index.as_query_engine(llm=kit.stock(context_window=4096))).query(QUESTION)
    assert seen.outcomes == ["hit_local"]


class _Shout:
    """Changes a question before it is retrieved for."""

    def run(self, query_bundle: Any, metadata: Any = None) -> Any:
        return query_bundle


def test_other_prompts_answer_anew(kit: Kit) -> None:
    engine = cached(kit, plain(kit))
    with observe() as seen:
        engine.query(QUESTION)
        engine.update_prompts(
            {
                "response_synthesizer:text_qa_template": PromptTemplate(
                    "{context_str}\nQuestion: {query_str}"
                )
            }
        )
        engine.query(QUESTION)
    assert seen.outcomes == ["miss", "miss"]
    assert "response_synthesizer:text_qa_template" in engine.get_prompts()


@STREAMING
def test_a_cut_answer_is_not_stored(kit: Kit, streaming: bool) -> None:
    short = kit.stock(context_window=4096, additional_kwargs={"num_predict": 2})
    engine = cached(kit, plain(kit, llm=short, streaming=streaming))
    with observe() as seen:
        for _ in range(2):
            response = engine.query(QUESTION)
            if streaming:
                list(response.response_gen)
    assert seen.outcomes == ["miss", "miss"]
    assert seen[0].reason == "no_candidate; not stored: done_reason_length"


def test_a_stream_given_up_is_not_stored(kit: Kit) -> None:
    engine = cached(kit, plain(kit, streaming=True))
    response = engine.query(QUESTION)
    next(response.response_gen)
    response.response_gen.close()
    del response
    assert entries(kit) == {}
    with observe() as seen:
        str(engine.query(QUESTION))
    assert seen.outcomes == ["miss"]


@EVERY_WAY
@STREAMING
async def test_without_redis_the_engine_answers(kit: Kit, way: Way, streaming: bool) -> None:
    engine = cached(
        kit, plain(kit, streaming=streaming), redis_url="redis://127.0.0.1:1", local_max_bytes=0
    )
    expected = await text(await way(plain(kit, streaming=streaming), QUESTION))
    with observe() as seen:
        for _ in range(2):
            assert await text(await way(engine, QUESTION)) == expected
    await close(kit)
    assert all(one.outcome == "miss" and one.reason.startswith("redis") for one in seen)


@EVERY_WAY
@STREAMING
async def test_an_entry_of_another_shape_asks_the_engine(
    kit: Kit, way: Way, streaming: bool
) -> None:
    engine = cached(kit, plain(kit, streaming=streaming))
    from llama_index.core.schema import QueryBundle

    request = engine._request(QueryBundle(QUESTION))
    engine._answering.service.open(request).store(Answer(text="x", info={"nodes": [[1]]}))
    expected = await text(await way(engine, QUESTION))
    with observe() as seen:
        assert await text(await way(engine, QUESTION)) == expected != "x"
    await close(kit)
    assert seen.outcomes == ["hit_local"]


def test_control(kit: Kit) -> None:
    engine = cached(kit, plain(kit, streaming=True))
    with cache_control(only_if_cached=True), pytest.raises(NotCachedError):
        engine.query(QUESTION)
    with observe() as seen:
        with cache_control(bypass=True):
            str(engine.query(QUESTION))
        str(engine.query(QUESTION))
        with cache_control(only_if_cached=True):
            str(engine.query(REWORDED))
        with cache_control(refresh=True):
            str(engine.query(QUESTION))
        with cache_control(tenant="a"):
            response = engine.query(QUESTION)
        list(response.response_gen)
    assert seen.outcomes == ["bypass", "miss", "hit_semantic", "miss", "miss"]


async def test_an_answer_is_rejected(kit: Kit) -> None:
    engine = cached(kit, plain(kit))
    with observe() as seen:
        engine.query(QUESTION)
        engine.query(REWORDED)
        assert engine.reject(seen[-1])
        engine.query(REWORDED)
        engine.query(REWORDED)
        assert await engine.areject(seen[-1])
        engine.query(REWORDED)
    assert seen.outcomes == ["miss", "hit_semantic", "miss", "hit_local", "miss"]
    assert engine.labels().wrong == 1


def test_a_judge_that_cannot_be_asked_is_said(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    cached(kit, plain(kit))
    assert "could judge" not in caplog.text
    cached(kit, plain(kit), judge="serve")
    assert "AegisQueryEngine knows no server that could judge: judge does" in caplog.text


def test_it_goes_where_engines_go(kit: Kit) -> None:
    engine = cached(kit, plain(kit))
    tool = QueryEngineTool.from_defaults(engine, name="facts", description="Facts.")
    with observe() as seen:
        first = tool.call(QUESTION).content
        assert tool.call(REWORDED).content == first
        assert str(cached(kit, engine).query(QUESTION)) == first
    assert seen.outcomes == ["miss", "hit_semantic", "hit_local", "miss"]  # the inner one first
    assert len(engine.retrieve(_bundle())) == 2
    assert str(engine.synthesize(_bundle(), engine.retrieve(_bundle())))


def _bundle() -> Any:
    from llama_index.core.schema import QueryBundle

    return QueryBundle(QUESTION)


async def test_at_the_same_time_the_engine_is_asked_once(kit: Kit) -> None:
    inner = plain(kit)
    inner._retriever = found = Counting(inner._retriever)
    engine = cached(kit, inner)
    answers = await asyncio.gather(*(engine.aquery(QUESTION) for _ in range(8)))
    await close(kit)
    assert len({str(answer) for answer in answers}) == 1
    assert len(found._asked) == kit.calls == 1


def test_what_cannot_be_told_apart_needs_a_name(kit: Kit) -> None:
    inner = Given(answer=asyncio.Lock())
    with pytest.raises(ConfigError, match=r"answer: a asyncio\.locks\.Lock.*name=\"handbook"):
        AegisQueryEngine(inner)
    assert cached(kit, inner, name="locks").cached_engine is inner


def test_engines_of_a_user_with_other_numbers_never_share(kit: Kit) -> None:
    def made(number: int, module: str) -> Any:
        class Numbered(CustomQueryEngine):
            by: ClassVar[dict[str, int]] = {"number": number}

            def custom_query(self, query_str: str) -> Any:
                return f"{self.by['number']}"

        Numbered.__module__ = module
        return Numbered()

    with observe() as seen:
        answers = [
            str(cached(kit, made(number, module)).query(QUESTION))
            for module in ("mine", "llama_index_app", "llama_index.mine")
            for number in (1, 2)
        ]
    assert answers == ["1", "2"] * 3
    assert seen.outcomes == ["miss"] * 6


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tll": 5}, "did you mean 'ttl'"),
        ({"extractor": len}, "extractor"),
        ({"name": ""}, "name=''"),
        ({"ttl": -1}, "ttl"),
    ],
)
def test_a_wrong_setting_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        AegisQueryEngine(Given(), **given)


def test_engines_over_engines(kit: Kit) -> None:
    inner = plain(kit, streaming=True)
    outer = cached(kit, TransformQueryEngine(inner, _Shout()))  # type: ignore[arg-type]
    first = outer.query(QUESTION)
    assert isinstance(first, StreamingResponse)
    assert str(first) == str(outer.query(REWORDED))
    assert kit.calls == 1
