"""cache_chain: a question asked again is answered without retrieval and without a model."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import (
    Runnable,
    RunnableLambda,
    RunnablePassthrough,
)
from langchain_core.tools import create_retriever_tool

from aegis_llm import ConfigError, NotCachedError, cache_control, observe
from tests.langchain.chain_kit import (
    EVERY_WAY,
    LOOK_ALIKE,
    QUESTION,
    REWORDED,
    WAYS,
    Way,
    cached,
    joined,
    rag,
    retriever,
)
from tests.langchain.handbook import GARDEN, SHOP
from tests.langchain.kit import Kit
from tests.langchain.test_documents import entries


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
        chain.invoke([("user", "I am Ann."), ("ai", "Hello!"), ("user", QUESTION)])
        chain.invoke([start[0], AIMessage("Hi!"), HumanMessage(REWORDED)])
    assert seen.outcomes == ["miss", "hit_semantic", "hit_local", "miss"]


@pytest.mark.parametrize("given", [{"unknown": "x"}, 7, {"question": " "}, {"question": 1}])
def test_an_input_without_a_question_runs_the_chain(kit: Kit, given: Any) -> None:
    chain = cached(kit, RunnableLambda(lambda one: [one]))
    with observe() as seen:
        assert [chain.invoke(given) for _ in range(2)] == [[given]] * 2
        assert list(chain.stream(given)) == [[given]]
        with cache_control(only_if_cached=True), pytest.raises(NotCachedError):
            chain.invoke(given)
    assert [(one.outcome, one.reason) for one in seen] == [("bypass", "uncacheable_request")] * 3


def test_a_failing_question_function_runs_the_chain(kit: Kit) -> None:
    chain = cached(kit, RunnableLambda(lambda one: [one]), question=lambda given: given["no"])
    assert chain.invoke({"a": 1}) == [{"a": 1}]


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


async def test_an_agent_as_a_chain(kit: Kit) -> None:
    agents = pytest.importorskip("langchain.agents", reason="the package langchain is absent")
    from langgraph.checkpoint.memory import InMemorySaver

    tool = create_retriever_tool(retriever(), "handbook", "Search the handbook.")
    agent = agents.create_agent(kit.stock(), [tool])
    chain = cached(kit, agent, name="agent-1")
    asked: Any = {"messages": [("user", f"Use the handbook tool: {QUESTION}")]}
    first = chain.invoke(asked)
    with observe() as seen:
        again = await chain.ainvoke(asked)
    assert seen.outcomes == ["hit_local"]
    assert [(m.type, m.content) for m in again["messages"]] == [
        (m.type, m.content) for m in first["messages"]
    ]
    assert again["messages"][2].tool_call_id == again["messages"][1].tool_calls[0]["id"]
    (entry,) = entries(kit).values()
    assert entry.documents == ("shop",)
    remembers = agents.create_agent(kit.stock(), [tool], checkpointer=InMemorySaver())
    with pytest.raises(ConfigError, match="remembers by its checkpointer"):
        cached(kit, remembers, name="agent-2")


async def test_an_answer_is_rejected(kit: Kit) -> None:
    chain = cached(kit, rag(kit.stock(), retriever()))
    with observe() as seen:
        chain.invoke(QUESTION)
        chain.invoke(REWORDED)
        assert chain.reject(seen[-1])
        chain.invoke(REWORDED)
        chain.invoke(REWORDED)
        assert await chain.areject(seen[-1])
        chain.invoke(REWORDED)
    assert seen.outcomes == ["miss", "hit_semantic", "miss", "hit_local", "miss"]
    assert chain.labels().wrong == 1
