"""A retrieval chain as people write it: repeats and rewordings hit, look-alikes never do."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

from aegis_llm import observe
from tests.langchain.handbook import (
    GARDEN,
    PROMPTS,
    QUESTIONS,
    SHOP,
    fixed,
    rag_chain,
    retriever_of,
)
from tests.langchain.kit import Kit, outcome, reason

REWORDED = {
    "What is the refund period for bicycles?": "What's the refund period for bicycles?",
    "How long is the warranty on the battery?": "How long is the battery warranty?",
    "Where is the head office?": "Where is the head office located?",
    "How do I return a bicycle?": "How can I return a bicycle?",
    "How much does shipping to Norway cost?": "What does shipping to Norway cost?",
}
LOOK_ALIKES = {
    "How heavy is the Trail 200?": "How heavy is the Trail 300?",
    "Can I return a used bicycle?": "Can I not return a used bicycle?",
    "How much does shipping to Norway cost?": "How much does shipping to Sweden cost?",
    "May children under 14 rent an e-bike?": "May children over 14 rent an e-bike?",
    "What is the maximum load?": "What is the minimum load?",
    "When does the workshop open?": "When does the workshop close?",
    "How long is the battery warranty?": "How long is the frame warranty?",
    "Who founded the company?": "Who closed the company?",
    "Is Anna Lind the boss of Olav Moe?": "Is Olav Moe the boss of Anna Lind?",
}


@pytest.fixture(params=PROMPTS, name="prompt")
def _prompt(request: pytest.FixtureRequest) -> ChatPromptTemplate:
    return PROMPTS[request.param]


def test_the_same_and_the_reworded_question_hit(kit: Kit, prompt: ChatPromptTemplate) -> None:
    chain = rag_chain(kit.aegis(), retriever_of(kit.embeddings), prompt)
    for question, reworded in REWORDED.items():
        with observe() as seen:
            first = chain.invoke(question)
            assert chain.invoke(question) == first
            assert chain.invoke(reworded) == first
            assert chain.invoke(reworded) == first
        assert seen.outcomes == ["miss", "hit_local", "hit_semantic", "hit_local"], reworded
        assert seen[2].matched_question == question
        assert 0.92 <= (seen[2].similarity or 0) <= 1
        assert seen.hits == 3
        assert seen.saved_tokens > 0
    assert kit.calls == len(REWORDED)


def test_a_look_alike_never_hits(kit: Kit, prompt: ChatPromptTemplate) -> None:
    # With a threshold that lets everything through, only the matching policy is left.
    chain = rag_chain(kit.aegis(similarity=0.0), fixed(SHOP), prompt)
    for question, other in LOOK_ALIKES.items():
        with observe() as seen:
            chain.invoke(question)
            chain.invoke(other)
        assert seen.outcomes == ["miss", "miss"], other
        assert seen[1].reason


def test_another_context_never_hits(kit: Kit, prompt: ChatPromptTemplate) -> None:
    model = kit.aegis()
    question = "What is the refund period?"
    shop = rag_chain(model, fixed(SHOP), prompt)
    garden = rag_chain(model, fixed(GARDEN), prompt)
    with observe() as seen:
        answers = [chain.invoke(question) for chain in (shop, garden, shop, garden)]
        reworded = "What's the refund period?"
        answers += [chain.invoke(reworded) for chain in (garden, shop)]
    assert seen.outcomes == ["miss", "miss", "hit_local", "hit_local", "hit_semantic",
                             "hit_semantic"]  # fmt: skip
    assert answers[0] == answers[2] == answers[5]
    assert answers[1] == answers[3] == answers[4]
    shops, gardens = {seen[2].entry_id, seen[5].entry_id}, {seen[3].entry_id, seen[4].entry_id}
    assert len(shops) == len(gardens) == 1
    assert shops != gardens


@pytest.mark.parametrize("local", [0, 1 << 20], ids=["redis", "local"])
def test_twenty_questions_over_one_context(
    kit: Kit, prompt: ChatPromptTemplate, local: int
) -> None:
    stock = rag_chain(kit.stock(), fixed(SHOP), prompt)
    chain = rag_chain(kit.aegis(local_max_bytes=local), fixed(SHOP), prompt)
    right = {question: stock.invoke(question) for question in QUESTIONS}
    before = kit.calls
    for outcomes in ({"miss"}, {"hit_local" if local else "hit_exact"}):
        with observe() as seen:
            wrong = [q for q in QUESTIONS if chain.invoke(q) != right[q]]
        assert wrong == []
        assert set(seen.outcomes) == outcomes
    assert kit.calls == before + len(QUESTIONS)


def test_twenty_questions_with_no_threshold_at_all(kit: Kit) -> None:
    prompt = PROMPTS["two messages"]
    stock = rag_chain(kit.stock(), fixed(SHOP), prompt)
    chain = rag_chain(kit.aegis(similarity=0.0, neighbours=20), fixed(SHOP), prompt)
    assert [q for q in QUESTIONS if chain.invoke(q) != stock.invoke(q)] == []


@pytest.mark.parametrize("fresh", [False, True], ids=["one process", "another process"])
def test_histories_with_another_last_question(kit: Kit, fresh: bool) -> None:
    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "Answer from the context only.\n\nContext:\n{context}"),
            MessagesPlaceholder("history"),
            ("human", "{question}"),
        ]
    )
    history = [
        HumanMessage("Hello, I am Ann."),
        AIMessage("Hello Ann! How can I help you?"),
        HumanMessage("I bought a bicycle last week."),
        AIMessage("Congratulations! What would you like to know?"),
        HumanMessage("It is a Trail 200."),
        AIMessage("A good choice. Do you have a question about it?"),
    ]

    def ask(model: Any, question: str) -> str:
        chain = prompt | model
        return str(chain.invoke({"context": SHOP, "history": history, "question": question}).text)

    local = 0 if fresh else 1 << 20
    stock, model = kit.stock(), kit.aegis(local_max_bytes=local)
    right = {question: ask(stock, question) for question in QUESTIONS}
    for _ in range(2):
        assert [q for q in QUESTIONS if ask(model, q) != right[q]] == []


def test_a_reworded_question_after_another_history_misses(kit: Kit) -> None:
    model = kit.aegis()
    for name in ("Ann", "Bob"):
        for question, expected in (("Where is the office?", "miss"),
                                   ("Where is the office located?", "hit_semantic")):  # fmt: skip
            talk = [HumanMessage(f"I am {name}."), AIMessage("Hello!"), HumanMessage(question)]
            assert outcome(model.invoke(talk)) == expected


def test_a_streamed_chain_hits_by_meaning(kit: Kit, prompt: ChatPromptTemplate) -> None:
    chain = rag_chain(kit.aegis(), retriever_of(kit.embeddings), prompt)
    with observe() as seen:
        first = "".join(chain.stream("What is the refund period for bicycles?"))
        second = "".join(chain.stream("What's the refund period for bicycles?"))
    assert first == second != ""
    assert seen.outcomes == ["miss", "hit_semantic"]


async def test_an_awaited_chain_hits_by_meaning(kit: Kit, prompt: ChatPromptTemplate) -> None:
    chain = rag_chain(kit.aegis(), fixed(SHOP), prompt)
    with observe() as seen:
        first = await chain.ainvoke("What is the refund period for bicycles?")
        second = await chain.ainvoke("What's the refund period for bicycles?")
        parts = [part async for part in chain.astream("What's the refund period for bicycles?")]
    assert first == second == "".join(parts)
    assert seen.outcomes == ["miss", "hit_semantic", "hit_local"]


def test_a_hit_by_meaning_survives_a_new_process(kit: Kit) -> None:
    from aegis_llm import wiring

    prompt = PROMPTS["two messages"]
    first = rag_chain(kit.aegis(), fixed(SHOP), prompt).invoke("Where is the head office?")
    wiring.forget_all()
    with observe() as seen:
        chain = rag_chain(kit.aegis(), fixed(SHOP), prompt)
        assert chain.invoke("Where is the head office located?") == first
    assert seen.outcomes == ["hit_semantic"]


def test_a_question_that_cannot_be_told_keeps_to_the_exact_tier(kit: Kit) -> None:
    model = kit.aegis()
    text = f"{SHOP}\n\nWhere is the head office, and when does the workshop open?"
    first = model.invoke(text)
    assert reason(first) == "question_not_separable"
    assert outcome(model.invoke(text)) == "hit_local"
    assert outcome(model.invoke(text.replace("30 days", "31 days"))) == "miss"


def test_a_question_longer_than_the_embedder_reads(kit: Kit) -> None:
    model = kit.aegis()
    long = "Tell me, please, " + "and again " * 300 + "where the head office is?"
    assert reason(model.invoke(long)) in ("question_too_long", "question_not_separable")
    assert outcome(model.invoke(long)) == "hit_local"
    assert outcome(model.invoke(long.replace("head", "main"))) == "miss"


def test_an_extractor_of_ones_own(kit: Kit) -> None:
    def after_the_bar(messages: Any) -> str | None:
        return str(messages[-1]["content"]).partition("|")[2].strip() or None

    model = kit.aegis(extractor=after_the_bar)
    first = model.invoke("lang=en | Where is the head office?")
    second = model.invoke("lang=en | Where is the head office located?")
    third = model.invoke("lang=de | Where is the head office located?")
    assert [outcome(m) for m in (first, second, third)] == ["miss", "hit_semantic", "miss"]
