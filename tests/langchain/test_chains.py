"""cache_chain: a question asked again is answered without retrieval and without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough
from pydantic import BaseModel

from aegis_llm import AegisConfig, ConfigError, NotCachedError, cache_control, observe
from langchain_aegis import cache_chain
from tests.langchain.handbook import GARDEN, SHOP, TWO_MESSAGES
from tests.langchain.kit import PATIENT, Kit
from tests.langchain.test_documents import entries

QUESTION = "What is the refund period for bicycles?"
REWORDED = "What's the refund period for bicycles?"
LOOK_ALIKE = "What is the refund period for helmets?"


class Counting(BaseRetriever):
    """Always finds its documents, and counts how often it was asked."""

    documents: list[Document]
    asked: list[str]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.asked.append(query)
        return self.documents


def joined(docs: list[Document]) -> str:
    return "\n\n".join(doc.page_content for doc in docs)


def retriever(text: str = SHOP, own: str = "shop") -> Any:
    return Counting(documents=[Document(text, id=own)], asked=[])


def rag(model: Any, found: Any, *more: Any) -> Any:
    chain: Any = {"context": found | joined, "question": RunnablePassthrough()} | TWO_MESSAGES
    for step in (model, *(more or (StrOutputParser(),))):
        chain = chain | step
    return chain


def cached(kit: Kit, chain: Any, **given: Any) -> Any:
    """Return the cached chain, its models' digests known."""
    settings = {
        "redis_url": kit.redis_url,
        "namespace": kit.namespace,
        "embeddings": kit.embeddings,
        "aegis": AegisConfig().with_options(**PATIENT),
    } | given
    made: Any = cache_chain(chain, **settings)
    kit.stores.append(made._answering.service.store)
    digests = made._answering.service.digests
    for server, model in made._uses:
        _, fetching = digests.look(server, model)
        if fetching is not None:
            fetching.result(10)
    return made


async def invoke(chain: Any, given: Any) -> Any:
    return await asyncio.to_thread(chain.invoke, given)


async def ainvoke(chain: Any, given: Any) -> Any:
    return await chain.ainvoke(given)


async def batch(chain: Any, given: Any) -> Any:
    return (await asyncio.to_thread(chain.batch, [given]))[0]


async def abatch(chain: Any, given: Any) -> Any:
    return (await chain.abatch([given]))[0]


async def stream(chain: Any, given: Any) -> Any:
    return added(await asyncio.to_thread(lambda: list(chain.stream(given))))


async def astream(chain: Any, given: Any) -> Any:
    return added([chunk async for chunk in chain.astream(given)])


def added(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


Way = Callable[[Any, Any], Awaitable[Any]]
WAYS: dict[str, Way] = {
    way.__name__: way for way in (invoke, ainvoke, batch, abatch, stream, astream)
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@EVERY_WAY
async def test_a_hit_skips_retrieval_and_model(kit: Kit, way: Way) -> None:
    found = retriever()
    chain = cached(kit, rag(kit.stock(), found))
    with observe() as seen:
        first = await way(chain, QUESTION)
        assert await way(chain, QUESTION) == first
        assert await way(chain, REWORDED) == first
        await way(chain, LOOK_ALIKE)
    await kit.aclose()
    assert "30 days" in first
    assert seen.outcomes == ["miss", "hit_local", "hit_semantic", "miss"]
    assert seen[2].matched_question == QUESTION
    assert seen[1].saved_tokens > 0
    assert found.asked == [QUESTION, LOOK_ALIKE]
    assert kit.calls == 2


async def test_every_way_serves_what_another_stored(kit: Kit) -> None:
    found = retriever()
    chain = cached(kit, rag(kit.stock(), found))
    first = chain.invoke(QUESTION)
    for way in WAYS.values():
        assert await way(chain, QUESTION) == first
    assert len(found.asked) == kit.calls == 1
    streamed = "".join(chain.stream(LOOK_ALIKE))
    assert chain.invoke(LOOK_ALIKE) == streamed
    assert len(list(chain.stream(LOOK_ALIKE))) > 1


def test_the_entry_knows_its_documents(kit: Kit) -> None:
    cached(kit, rag(kit.stock(), retriever(own="shop"))).invoke(QUESTION)
    "".join(cached(kit, rag(kit.stock(), retriever(GARDEN, "garden"))).stream(QUESTION))
    assert {entry.documents for entry in entries(kit).values()} == {("shop",), ("garden",)}


def test_the_cache_of_the_model_goes_on_working_beneath(kit: Kit) -> None:
    chain = cached(kit, rag(kit.aegis(), retriever()))
    with observe() as seen:
        first = chain.invoke(QUESTION)
        with cache_control(tenant="other"):
            pass
        assert chain.invoke(QUESTION) == first
    assert seen.outcomes == ["miss", "miss", "hit_local"]  # the model's own, then the chain's
    plain = rag(kit.aegis(), retriever())
    with observe() as seen:
        assert plain.invoke(REWORDED) == first
    assert seen.outcomes == ["hit_semantic"]


def test_another_process_finds_a_named_chain(kit: Kit) -> None:
    from aegis_llm import wiring

    first = cached(kit, rag(kit.stock(), retriever()), name="handbook-1").invoke(QUESTION)
    wiring.forget_all()
    found = retriever()
    with observe() as seen:
        again = cached(kit, rag(kit.stock(), found), name="handbook-1").invoke(REWORDED)
        cached(kit, rag(kit.stock(), found), name="handbook-2").invoke(REWORDED)
    assert again == first
    assert seen.outcomes == ["hit_semantic", "miss"]


def test_the_same_chain_made_twice_shares(kit: Kit) -> None:
    with observe() as seen:
        for _ in range(2):
            cached(kit, rag(kit.stock(), retriever())).invoke(QUESTION)
    assert seen.outcomes == ["miss", "hit_local"]


OTHER_PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer like a pirate.\n\nContext:\n{context}"), ("human", "{question}")]
)


def shouted(text: str) -> str:
    return text.upper()


def whispered(text: str) -> str:
    return text.lower()


def test_different_chains_never_share(kit: Kit) -> None:
    stock = kit.stock()
    chains = [
        rag(stock, retriever()),
        rag(stock, retriever(GARDEN, "garden")),
        rag(kit.stock(temperature=0.5), retriever()),
        rag(kit.stock(model="mistral:7b"), retriever()),
        rag(stock.bind(stop=["x"]), retriever()),
        {"context": retriever() | joined, "question": RunnablePassthrough()}
        | OTHER_PROMPT | stock | StrOutputParser(),
        rag(stock, retriever(), StrOutputParser(), shouted),
        rag(stock, retriever(), StrOutputParser(), whispered),
        rag(stock, retriever(), StrOutputParser(), lambda text: text + "!"),
        rag(stock, retriever(), StrOutputParser(), lambda text: text + "?"),
    ]  # fmt: skip
    with observe() as seen:
        for chain in map(partial(cached, kit), chains):
            for question in (QUESTION, REWORDED):
                chain.invoke(question)
    assert seen.outcomes == ["miss", "hit_semantic"] * len(chains)


def test_two_vector_stores_never_share(kit: Kit) -> None:
    from langchain_core.vectorstores import InMemoryVectorStore

    with observe() as seen:
        for text in (SHOP, GARDEN, SHOP):
            store = InMemoryVectorStore(kit.embeddings)
            store.add_documents([Document(text)])
            for _ in range(2):
                cached(kit, rag(kit.stock(), store.as_retriever())).invoke(QUESTION)
    assert seen.outcomes == ["miss", "hit_local"] * 3


def test_a_model_pulled_anew_answers_anew(kit: Kit) -> None:
    chain = cached(kit, rag(kit.stock(), retriever()))
    assert [model for _, model in chain._uses] == ["llama3.1:8b"]
    chain.invoke(QUESTION)
    digests = chain._answering.service.digests
    (known,) = [one for one in digests._servers.values() if one.digests]
    known.digests = {**known.digests, "llama3.1:8b": "another"}
    with observe() as seen:
        chain.invoke(QUESTION)
        known.digests = {}
        chain.invoke(QUESTION)
    assert seen.outcomes == ["miss", "bypass"]
    assert seen[1].reason == "model_unknown"


def test_what_is_given_beside_the_question_belongs_to_the_key(kit: Kit) -> None:
    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "Answer in {language} from the context.\n\nContext:\n" + SHOP),
            MessagesPlaceholder("chat_history"),
            ("human", "{question}"),
        ]
    )
    chain = cached(kit, prompt | kit.stock() | StrOutputParser(), question="question")
    ann = [HumanMessage("I am Ann."), AIMessage("Hello!", id="1")]
    same = [HumanMessage("I am Ann."), AIMessage("Hello!", id="2", response_metadata={"a": 1})]
    bob = [HumanMessage("I am Bob."), AIMessage("Hello!")]
    asked = [
        {"question": QUESTION, "language": "English", "chat_history": ann},
        {"question": REWORDED, "language": "English", "chat_history": same},
        {"question": REWORDED, "language": "German", "chat_history": ann},
        {"question": REWORDED, "language": "English", "chat_history": bob},
        {"question": REWORDED, "language": "English", "chat_history": []},
    ]
    with observe() as seen:
        for given in asked:
            chain.invoke(given)
    assert seen.outcomes == ["miss", "hit_semantic", "miss", "miss", "miss"]


def test_a_function_finds_the_question(kit: Kit) -> None:
    chain = cached(
        kit,
        RunnableLambda(lambda given: f"{SHOP}\n\nQuestion: {given['ask']['text']}") | kit.stock(),
        question=lambda given: given["ask"]["text"],
    )
    with observe() as seen:
        for text, lang in ((QUESTION, "en"), (REWORDED, "en"), (REWORDED, "de")):
            chain.invoke({"ask": {"text": text, "lang": lang}})
    assert seen.outcomes == ["miss", "hit_semantic", "miss"]


def test_messages_are_asked_by_the_last(kit: Kit) -> None:
    chain = cached(kit, kit.stock() | StrOutputParser())
    start = [HumanMessage("I am Ann."), AIMessage("Hello!")]
    with observe() as seen:
        chain.invoke([*start, HumanMessage(QUESTION)])
        chain.invoke([*start, HumanMessage(REWORDED)])
        chain.invoke([start[0], AIMessage("Hi!"), HumanMessage(REWORDED)])
    assert seen.outcomes == ["miss", "hit_semantic", "miss"]


@pytest.mark.parametrize("given", [{"unknown": "x"}, 7, {"question": " "}, {"question": 1}])
def test_an_input_without_a_question_runs_the_chain(kit: Kit, given: Any) -> None:
    chain = cached(kit, RunnableLambda(lambda one: [one]))
    with observe() as seen:
        assert [chain.invoke(given) for _ in range(2)] == [[given]] * 2
        assert list(chain.stream(given)) == [[given]]
    assert seen == []


def test_a_failing_question_function_runs_the_chain(kit: Kit) -> None:
    chain = cached(kit, RunnableLambda(lambda one: [one]), question=lambda given: given["no"])
    assert chain.invoke({"a": 1}) == [{"a": 1}]


def dictionary(model: Any, found: Any) -> Any:
    """Return the chain that answers with its sources, as the tutorials build it."""
    answer = (
        RunnablePassthrough.assign(context=lambda given: joined(given["context"]))
        | TWO_MESSAGES | model | StrOutputParser()
    )  # fmt: skip
    return RunnablePassthrough.assign(
        context=(lambda given: given["question"]) | found
    ) | RunnablePassthrough.assign(answer=answer)


@EVERY_WAY
async def test_an_answer_with_its_sources(kit: Kit, way: Way) -> None:
    found = Counting(
        documents=[Document(SHOP, id="shop", metadata={"page": 3, "tags": ["a"]})], asked=[]
    )
    chain = cached(kit, dictionary(kit.stock(), found))
    first = await way(chain, {"question": QUESTION})
    again = await way(chain, {"question": QUESTION})
    await kit.aclose()
    assert again == first
    assert type(again) is type(first)
    assert list(again) == ["question", "context", "answer"]
    assert again["context"] == found.documents
    assert "30 days" in again["answer"]
    assert len(found.asked) == kit.calls == 1
    assert len(list(chain.stream({"question": QUESTION}))) > 3


@EVERY_WAY
async def test_a_chain_that_ends_with_a_message(kit: Kit, way: Way) -> None:
    chain = cached(kit, TWO_MESSAGES.partial(context=SHOP) | kit.stock())
    first = await way(chain, {"question": QUESTION})
    again = await way(chain, {"question": REWORDED})
    await kit.aclose()
    assert type(again) is type(first)
    assert again.content == first.content
    assert again.id != first.id
    assert again.response_metadata["aegis"]["outcome"] == "hit_semantic"
    assert again.response_metadata["done_reason"] == "stop"
    assert again.usage_metadata["total_tokens"] == 0
    assert kit.calls == 1


VALUES = {
    "list": ["a", 1, None, True, 2.5],
    "nested": {"a": [{"b": ("c", 1)}], "$d": 2, "$tuple": "x"},
    "messages": [HumanMessage("hi"), AIMessage("there", tool_calls=[])],
    "number": 42,
    "big": 1 << 70,
    "document": Document("text", metadata={"a": {"b": 1}}, id="x"),
    "unicode": {"é": "日本 🙂"},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_comes_back_is_equal(kit: Kit, value: Any) -> None:
    ran: list[str] = []

    def answer(question: str) -> Any:
        ran.append(question)
        return value

    chain = cached(kit, RunnableLambda(answer), name="values")
    chain.invoke(QUESTION)
    again = chain.invoke(QUESTION)
    if isinstance(value, list) and isinstance(value[-1], AIMessage):
        assert [(m.type, m.content) for m in again] == [(m.type, m.content) for m in value]
    else:
        assert again == value
    assert type(again) is type(value)
    assert len(ran) == 1


class Shape(BaseModel):
    sides: int


@pytest.mark.parametrize(
    "value",
    [Shape(sides=3), {1: "a"}, {"a": {1, 2}}, float("nan"), "\ud800", object(), b"x"],
    ids=["pydantic", "keys", "set", "nan", "surrogate", "object", "bytes"],
)
def test_what_is_not_stored_is_served(
    kit: Kit, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    chain = cached(kit, RunnableLambda(lambda _: value), name="unstorable")
    with observe() as seen:
        assert all(chain.invoke(QUESTION) is value for _ in range(2))
        assert [list(chain.stream(QUESTION)) for _ in range(2)]
    assert set(seen.outcomes) == {"miss"}
    assert caplog.text.count("served and not stored") <= 1


@pytest.mark.parametrize("value", ["", "  \n", None, [], {}, {"answer": "", "context": ["a"]}])
def test_an_empty_answer_is_not_stored(kit: Kit, value: Any) -> None:
    chain = cached(kit, RunnableLambda(lambda _: value), name="empty")
    with observe() as seen:
        assert [chain.invoke(QUESTION) for _ in range(2)] == [value] * 2
    assert seen.outcomes == ["miss", "miss"]


def test_parsed_json_is_streamed_as_it_was(kit: Kit) -> None:
    def told(_: Any) -> Any:
        return '{"a": [1, 2], "b": "text"}'

    def letters(parts: Any) -> Any:
        for part in parts:
            yield from part

    chain = cached(kit, RunnableLambda(told) | letters | JsonOutputParser())
    first = list(chain.stream(QUESTION))
    assert len(first) > 2
    assert list(chain.stream(QUESTION)) == [first[-1]] == [{"a": [1, 2], "b": "text"}]
    assert chain.invoke(QUESTION) == first[-1]


def test_a_cut_answer_is_not_stored(kit: Kit) -> None:
    chain = cached(kit, rag(kit.stock(num_predict=2), retriever()))
    with observe() as seen:
        for _ in range(2):
            chain.invoke(QUESTION)
            list(chain.stream(QUESTION))
    assert seen.outcomes == ["miss"] * 4
    assert seen[0].reason == "no_candidate; not stored: done_reason_length"


def test_what_a_fallback_said_is_not_stored(kit: Kit) -> None:
    def fails(_: Any) -> str:
        raise ConnectionError

    chain = cached(kit, RunnableLambda(fails).with_fallbacks([RunnableLambda(lambda _: "Sorry.")]))
    with observe() as seen:
        assert [chain.invoke(QUESTION) for _ in range(2)] == ["Sorry."] * 2
    assert seen.outcomes == ["miss"] * 2
    assert seen[0].reason.endswith("not stored: done_reason_error")


@EVERY_WAY
async def test_an_error_passes_through_and_nothing_is_stored(kit: Kit, way: Way) -> None:
    class Mine(Exception):  # noqa: N818
        pass

    error, ran = Mine("as it is"), []

    def fails(_: Any) -> str:
        ran.append(1)
        raise error

    chain = cached(kit, RunnableLambda(fails), name="failing")
    for _ in range(2):
        with pytest.raises(Mine) as told:
            await way(chain, QUESTION)
        assert told.value is error
    assert len(ran) == 2
    assert entries(kit) == {}


@EVERY_WAY
async def test_without_redis_the_chain_answers(kit: Kit, way: Way) -> None:
    found = retriever()
    chain = cached(
        kit, rag(kit.stock(), found), redis_url="redis://127.0.0.1:1", local_max_bytes=0
    )
    plain = await way(rag(kit.stock(), retriever()), QUESTION)
    with observe() as seen:
        assert [await way(chain, QUESTION) for _ in range(2)] == [plain] * 2
    await kit.aclose()
    assert len(found.asked) == 2
    assert all(one.outcome == "miss" and one.reason.startswith("redis") for one in seen)


@EVERY_WAY
async def test_an_entry_of_another_shape_runs_the_chain(kit: Kit, way: Way) -> None:
    chain = cached(kit, RunnableLambda(lambda _: {"a": "text"}), name="shape")
    request = chain._request(QUESTION, {}, {})
    from aegis_llm.values import Answer

    chain._answering.service.open(request).store(Answer(text="x", info={"value": {"$bad": 1}}))
    assert await way(chain, QUESTION) == {"a": "text"}
    with observe() as seen:
        assert await way(chain, QUESTION) == {"a": "text"}
    assert seen.outcomes == ["hit_local"]


def test_control(kit: Kit) -> None:
    found = retriever()
    chain = cached(kit, rag(kit.stock(), found))
    with cache_control(only_if_cached=True), pytest.raises(NotCachedError):
        chain.invoke(QUESTION)
    with observe() as seen:
        with cache_control(bypass=True):
            chain.invoke(QUESTION)
        chain.invoke(QUESTION)
        with cache_control(only_if_cached=True):
            chain.invoke(REWORDED)
        with cache_control(refresh=True):
            list(chain.stream(QUESTION))
        with cache_control(tenant="a"):
            streamed = chain.stream(QUESTION)
        list(streamed)
    assert seen.outcomes == ["bypass", "miss", "hit_semantic", "miss", "miss"]
    assert len(found.asked) == 4


def test_it_is_a_step_like_any_other(kit: Kit) -> None:
    from langchain_core.callbacks import BaseCallbackHandler

    class Heard(BaseCallbackHandler):
        def __init__(self) -> None:
            self.tags: list[Any] = []
            self.tokens = 0

        def on_chat_model_start(self, *_: Any, tags: Any = None, **__: Any) -> None:
            self.tags.append(tags)

        def on_llm_new_token(self, *_: Any, **__: Any) -> None:
            self.tokens += 1

    heard = Heard()
    inner = cached(kit, rag(kit.stock(), retriever()))
    chain: Runnable[Any, Any] = RunnableLambda(lambda x: x["q"]) | inner | shouted
    config: Any = {"callbacks": [heard], "tags": ["mine"], "run_name": "named"}
    first = chain.invoke({"q": QUESTION}, config)
    assert first.isupper()
    assert "mine" in heard.tags[0]
    assert chain.with_config(config).invoke({"q": QUESTION}) == first
    assert "".join(chain.stream({"q": REWORDED})).upper() == first
    assert len(heard.tags) == 1
    assert "".join((inner | StrOutputParser()).stream(LOOK_ALIKE, {"callbacks": [heard]}))
    assert heard.tokens > 0
    assert kit.calls == 2


def test_at_the_same_time_the_chain_runs_once(kit: Kit) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    found, go = retriever(), Event()
    waiting = RunnableLambda(lambda q: go.wait(60) and q) | rag(kit.stock(), found)
    chain = cached(kit, waiting, name="waiting")
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(chain.invoke, QUESTION) for _ in range(8)]
        go.set()
        answers = {one.result() for one in asked}
    assert len(answers) == 1
    assert len(found.asked) == kit.calls == 1


def test_a_stream_given_up_is_not_stored(kit: Kit) -> None:
    chain = cached(kit, rag(kit.stock(), retriever()))
    chunks = chain.stream(QUESTION)
    next(chunks)
    chunks.close()
    assert entries(kit) == {}
    with observe() as seen:
        assert "30 days" in chain.invoke(QUESTION)
    assert seen.outcomes == ["miss"]


def test_what_cannot_be_told_apart_needs_a_name(kit: Kit) -> None:
    lock = asyncio.Lock()

    def uses_a_lock(_: str) -> str:
        return str(lock)

    with pytest.raises(ConfigError, match=r"uses lock: a asyncio\.locks\.Lock.*name=\"handbook"):
        cache_chain(RunnableLambda(uses_a_lock))
    assert cached(kit, RunnableLambda(uses_a_lock), name="locks").invoke("x") == str(lock)


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
def test_a_chain_that_remembers_is_refused() -> None:
    from langchain_core.chat_history import InMemoryChatMessageHistory
    from langchain_core.runnables.history import RunnableWithMessageHistory

    chain: Any = RunnableWithMessageHistory(
        RunnableLambda(lambda x: x), lambda _: InMemoryChatMessageHistory()
    )
    for name in (None, "named"):
        with pytest.raises(ConfigError, match="remembers"):
            cache_chain(chain, name=name)


def test_what_is_configured_at_run_time_belongs_to_the_key(kit: Kit) -> None:
    from langchain_core.runnables import ConfigurableField

    model = kit.stock().configurable_fields(temperature=ConfigurableField(id="temperature"))
    chain = cached(kit, rag(model, retriever()))
    with observe() as seen:
        for temperature in (0.1, 0.2, 0.1):
            config: Any = {"configurable": {"temperature": temperature, "thread_id": object()}}
            chain.invoke(QUESTION, config)
    assert seen.outcomes == ["miss", "miss", "hit_local"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tll": 5}, "did you mean 'ttl'"),
        ({"extractor": len}, "unknown option 'extractor'"),
        ({"name": ""}, "name=''"),
        ({"question": 7}, "question=7"),
        ({"ttl": -1}, "ttl"),
    ],
)
def test_a_wrong_setting_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        cache_chain(RunnableLambda(lambda x: x), **given)
