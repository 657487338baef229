"""A document that is edited between its retrieval and the call of the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from aegis_llm import AegisConfig, cache_control, observe
from tests.langchain.chain_kit import (
    EVERY_WAY,
    QUESTION,
    REWORDED,
    Counting,
    Way,
    invoke,
    joined,
)
from tests.langchain.handbook import TWO_MESSAGES
from tests.langchain.kit import PATIENT, Kit

OLD, NEW = (f"The refund period for bicycles is {n} days." for n in (14, 60))
ANOTHER = Document("Helmets are sold in three sizes.", id="helmets")
POLICIES: dict[str, dict[str, Any]] = {
    "overlap": {"context": "overlap>=0.5"},
    "ignored": {"context": "ignore", "corpus_version": "1"},
}


def shelf(text: str) -> list[Document]:
    return [Document(text, id="shop"), ANOTHER]


class Desk:
    """A chain whose retriever finds what is on the shelf, and what happens after it did."""

    def __init__(self, model: Any) -> None:
        self.found = Counting(documents=shelf(OLD), asked=[])
        self.then: list[Callable[[], object]] = []
        self.chain: Any = RunnableLambda(self._filled) | TWO_MESSAGES | model

    def _filled(self, question: str) -> dict[str, str]:
        context = joined(self.found.invoke(question))
        while self.then:
            self.then.pop()()
        return {"context": context, "question": question}


@pytest.mark.parametrize("policy", POLICIES)
@EVERY_WAY
async def test_its_answer_is_not_kept_for_the_new_one(kit: Kit, way: Way, policy: str) -> None:
    model = kit.aegis(aegis=AegisConfig().with_options(**POLICIES[policy], **PATIENT))
    desk = Desk(model)

    def edit() -> None:
        desk.found.documents[:] = shelf(NEW)
        assert model.invalidate(document="shop") == 0

    desk.then.append(edit)
    with observe() as seen:
        assert "14 days" in (await way(desk.chain, QUESTION)).content, "it was retrieved before"
        assert "60 days" in (await way(desk.chain, REWORDED)).content
        assert "60 days" in (await way(desk.chain, QUESTION)).content
    assert seen.outcomes == ["miss", "miss", "hit_semantic"]
    assert seen[0].reason.endswith("invalidated")


@pytest.mark.parametrize("policy", POLICIES)
async def test_everything_invalidated_meanwhile(kit: Kit, policy: str) -> None:
    model = kit.aegis(aegis=AegisConfig().with_options(**POLICIES[policy], **PATIENT))
    desk = Desk(model)
    model.invoke("Is anybody there?")

    def edit() -> None:
        desk.found.documents[:] = shelf(NEW)
        model.invalidate(everything=True)

    desk.then.append(edit)
    with observe() as seen:
        assert "14 days" in (await invoke(desk.chain, QUESTION)).content
        assert "60 days" in (await invoke(desk.chain, REWORDED)).content
    assert seen.outcomes == ["miss", "miss"]


async def test_another_document_edited_meanwhile_costs_nothing(kit: Kit) -> None:
    model = kit.aegis(aegis=AegisConfig().with_options(context="overlap>=0.5", **PATIENT))
    desk = Desk(model)
    desk.then.append(lambda: model.invalidate(document="another"))
    with observe() as seen:
        for question in (QUESTION, REWORDED):
            await invoke(desk.chain, question)
    assert seen.outcomes == ["miss", "hit_semantic"]


async def test_what_was_retrieved_after_an_invalidation_is_kept(kit: Kit) -> None:
    model = kit.aegis(aegis=AegisConfig().with_options(context="overlap>=0.5", **PATIENT))
    desk = Desk(model)
    for given in ({"document": "shop"}, {"everything": True}):
        model.invalidate(**given)
        with observe() as seen:
            for question in (QUESTION, REWORDED):
                await invoke(desk.chain, question)
        assert seen.outcomes == ["miss", "hit_semantic"]


@pytest.mark.parametrize("bound", [False, True], ids=["ChatAegis", "AegisCache"])
def test_documents_that_are_named_by_hand_count_from_the_beginning_of_the_block(
    kit: Kit, bound: bool
) -> None:
    cache: Any = kit.cache() if bound else kit.aegis()
    model = cache.bind(kit.stock()) if bound else cache
    with observe() as seen:
        with cache_control(documents=["shop"]):
            cache.invalidate(document="shop")
            model.invoke(QUESTION)
        for _ in range(2):
            with cache_control(documents=["shop"]):
                model.invoke(QUESTION)
    assert seen.outcomes == ["miss", "miss", "hit_local"]


def test_any_model_behind_a_cache(kit: Kit) -> None:
    cache = kit.cache(context="overlap>=0.5")
    desk = Desk(cache.bind(kit.stock()))

    def edit() -> None:
        desk.found.documents[:] = shelf(NEW)
        cache.invalidate(document="shop")

    desk.then.append(edit)
    with observe() as seen:
        assert "14 days" in desk.chain.invoke(QUESTION).content
        assert "60 days" in desk.chain.invoke(REWORDED).content
    assert seen.outcomes == ["miss", "miss"]
