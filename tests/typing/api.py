"""The public names used as a user would; mypy reads this file and nobody runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, assert_type

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_ollama import ChatOllama, OllamaEmbeddings
from llama_index.core import Settings
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms.llm import LLM
from llama_index.llms.ollama import Ollama

import aegis_llm
from aegis_llm import (
    AegisConfig,
    AegisError,
    Answer,
    CacheConfig,
    ConfigError,
    Counts,
    EmbeddingError,
    Entry,
    Explanation,
    Labels,
    MissingExtraError,
    NotCachedError,
    Observation,
    Origin,
    SchedulerConfig,
    StoreTrouble,
    TextTooLongError,
    Weighed,
    areject,
    cache_control,
    observe,
    reject,
)
from aegis_llm.bootstrap.learned import learned_workload
from aegis_llm.bootstrap.warming import Warmed, abootstrap, bootstrap
from aegis_llm.matching import route
from aegis_llm.testing import ManualClock, OllamaSimulator, best_embedder
from aegis_llm.values import Control, Outcome
from langchain_aegis import (
    AegisCache,
    AegisEmbeddings,
    BatchingRunnable,
    ChatAegis,
    cache_chain,
)
from langchain_aegis.agents import AegisMiddleware
from llama_index.llms.aegis import AegisEmbedding, AegisOllama, AegisQueryEngine


def question_of(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Find the question as a user's own extractor does."""
    return str(messages[-1]["content"]) if messages else None


def settings() -> AegisConfig:
    """Settings, by sections, by options and from the environment."""
    cache = CacheConfig(redis_url="memory://", ttl=600, similarity=0.9, extractor=question_of)
    assert CacheConfig(router=route).router is route
    config = AegisConfig(cache=cache, scheduler=SchedulerConfig(single_flight=True))
    assert_type(config.with_options(ttl_jitter=0.1), AegisConfig)
    assert_type(AegisConfig.from_env(), AegisConfig)
    assert_type(AegisConfig.from_env({"AEGIS_TTL": "60"}), AegisConfig)
    assert_type(config.cache.ttl, float)
    assert_type(config.scheduler.single_flight, bool)
    CacheConfig(ttl="600")  # type: ignore[arg-type]
    CacheConfig(time_to_live=600)  # type: ignore[call-arg]
    CacheConfig("memory://")  # type: ignore[call-arg]
    config.cache.ttl = 5  # type: ignore[misc]
    return config


def steering() -> Origin:
    """Blocks around calls, and what they tell."""
    with cache_control(
        ttl=600,
        tenant="acme",
        user="u1",
        tags=["doc:42"],
        documents=("a",),
        corpus_version="2024-05",
    ) as asked:
        assert_type(asked, Control)
    with cache_control(bypass="yes"):  # type: ignore[arg-type]
        pass
    with observe() as seen:
        assert_type(seen, Observation)
    assert_type(seen.outcomes, list[str])
    assert_type(seen.hits, int)
    assert_type(seen.saved_tokens, int)
    origin = seen[-1]
    assert_type(origin, Origin)
    assert_type(origin.outcome, Outcome)
    assert_type(origin.reason, str)
    assert_type(origin.similarity, float | None)
    assert_type(origin.as_dict(), dict[str, Any])
    assert_type(aegis_llm.__version__, str)
    return origin


def errors() -> tuple[type[AegisError], ...]:
    """What may be caught."""
    wrong: type[ValueError] = ConfigError
    absent: type[ImportError] = MissingExtraError
    unknown: type[LookupError] = NotCachedError
    assert_type(StoreTrouble("redis_down").reason, str)
    assert issubclass(wrong, AegisError)
    assert issubclass(absent, AegisError)
    assert issubclass(unknown, AegisError)
    return ConfigError, MissingExtraError, NotCachedError, StoreTrouble


def entries(entry: Entry) -> str:
    """What is kept."""
    assert_type(entry.answers, tuple[Answer, ...])
    assert_type(entry.answer, Answer)
    entry.key = "other"  # type: ignore[misc]
    return entry.answer.text


def chat(config: AegisConfig) -> str:
    """ChatAegis goes wherever ChatOllama goes."""
    embeddings = OllamaEmbeddings(model="all-minilm")
    llm = ChatAegis(
        model="llama3.1:8b",
        temperature=0,
        redis_url="redis://localhost:6379",
        embeddings=embeddings,
        namespace="app",
        ttl=600,
        similarity=0.92,
        extractor=question_of,
        aegis=config,
    )
    stock: ChatOllama = llm
    model: BaseChatModel = llm
    assert_type(llm.invoke("Why?"), AIMessage)
    assert_type(stock.invoke("Why?"), AIMessage)
    chunks: Iterator[AIMessageChunk] = llm.stream("Why?")
    llm.connect_now(timeout=1.0)
    chain: Runnable[Any, str] = RunnableLambda(texts_of) | model | StrOutputParser()
    return chain.invoke([Document(page_content="Because.")]) + "".join(
        str(chunk.content) for chunk in chunks
    )


def texts_of(documents: list[Document]) -> str:
    """Join the texts of documents."""
    return "\n".join(document.page_content for document in documents)


async def chat_awaited(llm: ChatAegis) -> list[AIMessageChunk]:
    """The same, awaited."""
    assert_type(await llm.ainvoke("Why?"), AIMessage)
    chunks: AsyncIterator[AIMessageChunk] = llm.astream("Why?")
    return [chunk async for chunk in chunks]


async def explained(llm: ChatAegis, other: AegisOllama, cache: AegisCache) -> Explanation:
    """What would become of a request."""
    assert_type(await other.aexplain("Why?", elsewhere=3), Explanation)
    assert_type(other.explain([ChatMessage(content="Why?")]), Explanation)
    assert_type(cache.explain("Why?", llm), Explanation)
    assert_type(await cache.aexplain("Why?", "an llm string"), Explanation)
    assert_type(await llm.aexplain("Why?", all_tenants=True), Explanation)
    told = llm.explain([("human", "Why?")], stop=["."], elsewhere=3)
    assert_type(told.outcome, Outcome)
    assert_type(told.candidates, tuple[Weighed, ...])
    assert_type(told.candidates[0].vetoes, tuple[str, ...])
    assert_type(told.as_dict(), dict[str, Any])
    return told


def any_model() -> Any:
    """AegisCache for LangChain's own models."""
    from langchain_core.caches import BaseCache
    from langchain_core.globals import set_llm_cache

    cache = AegisCache(redis_url="memory://", embeddings=OllamaEmbeddings(model="all-minilm"))
    base: BaseCache = cache
    set_llm_cache(base)
    assert_type(cache.invalidate(document="a", tag=["b", "c"]), int)
    cache.invalidate(everything="yes")  # type: ignore[arg-type]
    return cache.bind(ChatOllama(model="llama3.1:8b"))


def llama_index(config: AegisConfig) -> ChatResponse:
    """AegisOllama goes wherever LlamaIndex's Ollama goes."""
    llm = AegisOllama(
        model="llama3.1:8b",
        redis_url="redis://localhost:6379",
        embed_model=Settings.embed_model,
        namespace="app",
        ttl=600,
        similarity=0.92,
        aegis=config,
    )
    stock: Ollama = llm
    base: LLM = llm
    Settings.llm = base
    completion: CompletionResponse = stock.complete("Why?")
    assert completion.text
    for chunk in llm.stream_chat([ChatMessage(content="Why?")]):
        assert_type(chunk, ChatResponse)
    assert_type(llm.chat([ChatMessage(content="Why?")]), ChatResponse)
    llm.connect_now(timeout=1.0)
    return llm.chat([ChatMessage(content="Why?")])


def whole_chain(chain: Runnable[dict[str, str], str], config: AegisConfig) -> str:
    """cache_chain keeps the types of the chain."""
    embeddings = OllamaEmbeddings(model="all-minilm")
    cached = cache_chain(
        chain,
        question="question",
        name="handbook-1",
        redis_url="redis://localhost:6379",
        embeddings=embeddings,
        namespace="app",
        ttl=600,
        aegis=config,
    )
    assert_type(cached, Runnable[dict[str, str], str])
    assert_type(cached.invoke({"question": "Why?"}), str)
    cache_chain(chain, question=lambda given: str(given["question"]))
    cache_chain(chain, question=7)  # type: ignore[arg-type]
    return (cached | StrOutputParser()).invoke({"question": "Why?"})


async def batching(chain: Runnable[dict[str, str], str], llm: ChatAegis) -> str:
    """BatchingRunnable keeps the types of what it calls."""
    runnable = BatchingRunnable(chain, window_ms=20, max_batch=8, max_in_flight=2, window="always")
    assert_type(runnable.invoke({"question": "Why?"}), str)
    assert_type(await runnable.ainvoke({"question": "Why?"}), str)
    assert_type(llm.batch(["Why?"]), list[AIMessage])
    BatchingRunnable(chain, window="never")  # type: ignore[arg-type]
    return (runnable | StrOutputParser()).invoke({"question": "Why?"})


def whole_engine(engine: BaseQueryEngine, config: AegisConfig) -> int:
    """AegisQueryEngine goes wherever query engines go."""
    made = AegisQueryEngine(
        engine, name="facts-1", embed_model=Settings.embed_model, ttl=600, aegis=config
    )
    base: BaseQueryEngine = made
    assert str(base.query("Why?"))
    made.connect_now(timeout=1.0)
    return made.invalidate(document="handbook")


async def llama_index_awaited(llm: AegisOllama) -> list[ChatResponse]:
    """The same, awaited."""
    assert_type(await llm.achat([ChatMessage(content="Why?")]), ChatResponse)
    assert_type(await llm.ainvalidate("a", everything=False), int)
    return [chunk async for chunk in await llm.astream_chat([ChatMessage(content="Why?")])]


def doubles() -> str:
    """What the package offers to tests."""
    with OllamaSimulator() as simulator:
        assert_type(simulator, OllamaSimulator)
        assert_type(simulator.base_url, str)
    assert_type(best_embedder().name, str)
    assert_type(ManualClock(), ManualClock)
    return simulator.base_url


async def feedback(model: ChatAegis, llm: AegisOllama, cache: AegisCache, origin: Origin) -> None:
    """Taking back an answer, and what the labels say."""
    assert_type(reject(origin), bool)
    assert_type(reject(origin.as_dict(), asked="Why?"), bool)
    assert_type(await areject("0" * 64), bool)
    assert_type(origin.reject(), bool)
    for adapter in (model, llm, cache):
        assert_type(adapter.reject(origin), bool)
        assert_type(await adapter.areject(origin), bool)
        told = adapter.labels()
        assert_type(told, Labels)
        assert_type(told.window, Counts)
        assert_type(told.drift, bool)


def agents(model: BaseChatModel, cache: AegisCache) -> None:
    """An agent whose model calls are cached, each tenant for itself."""
    middleware = AegisMiddleware(redis_url="memory://", ttl=600, tenant=lambda run: str(run))
    create_agent(model, [], middleware=[middleware])
    create_agent(model, [], middleware=[AegisMiddleware(cache)])
    assert_type(middleware.cache, AegisCache)
    AegisMiddleware(tenant="acme")  # type: ignore[arg-type]


async def embeddings(config: AegisConfig) -> list[list[float]]:
    """AegisEmbeddings and AegisEmbedding go wherever the stock classes go."""
    made = AegisEmbeddings(
        model="all-minilm", dimensions=128, redis_url="memory://", ttl=600, aegis=config
    )
    stock: OllamaEmbeddings = made
    assert_type(made.embed_query("a"), list[float])
    assert_type(await made.aembed_documents(["a"]), list[list[float]])
    made.connect_now(timeout=1.0)
    twin: BaseEmbedding = AegisEmbedding("all-minilm", namespace="app", truncate=True)
    Settings.embed_model = twin
    try:
        return [stock.embed_query("a"), await twin.aget_query_embedding("a")]
    except TextTooLongError as exc:
        wrong: ValueError = exc
        assert_type(exc.index, int)
        assert_type(exc.characters, int)
        assert issubclass(EmbeddingError, AegisError)
        raise wrong from None


async def warm(llm: ChatAegis, twin: AegisOllama, vectors: AegisEmbeddings) -> None:
    """Models of both frameworks, or names, are made ready."""
    turn = {"role": "user", "content": "Context: ..."}
    assert_type(
        bootstrap(llm, twin, vectors, prefixes=["You are brief.", [turn]], keep_alive="1h"), Warmed
    )
    warmed = await abootstrap(url=["http://a:11434"], models=["llama3.1:8b"], strict=True)
    assert_type(warmed.problems, tuple[str, ...])
    bootstrap(models="llama3.1:8b", redis_url=False, timeout_s=60)
    bootstrap("llama3.1:8b")  # type: ignore[arg-type]
    bootstrap(llm, prefix="x")  # type: ignore[call-arg]
    assert_type(learned_workload("redis://localhost:6379").prompt_tokens, int)
