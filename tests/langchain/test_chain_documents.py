"""The answer of a cached chain dies with the documents that were retrieved for it."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

from aegis_llm import cache_control, observe
from tests.langchain.chain_kit import EVERY_WAY, QUESTION, REWORDED, Way, cached, rag, retriever
from tests.langchain.handbook import SHOP
from tests.langchain.kit import Kit
from tests.langchain.test_documents import entries

CHANGED = SHOP.replace("bicycles is 30 days", "bicycles is 60 days")


@EVERY_WAY
async def test_an_edited_document(kit: Kit, way: Way) -> None:
    found = retriever()
    chain = cached(kit, rag(kit.aegis(), found))
    assert "30 days" in await way(chain, QUESTION)
    found.documents[:] = [Document(CHANGED, id="shop")]
    assert "30 days" in await way(chain, QUESTION)
    assert chain.invalidate(document="another") == 0
    assert chain.invalidate(document="shop") == 2  # the chain's and the model's
    with observe() as seen:
        assert "60 days" in await way(chain, REWORDED)
        assert "60 days" in await way(chain, QUESTION)
    assert seen.outcomes == ["miss", "miss", "hit_semantic"]


def test_it_is_invalidated_through_the_model_as_well(kit: Kit) -> None:
    found, model = retriever(), kit.aegis()
    chain = cached(kit, rag(model, found), local_max_bytes=0)
    chain.invoke(QUESTION)
    found.documents[:] = [Document(CHANGED, id="shop")]
    assert model.invalidate(document="shop") == 2
    assert "60 days" in chain.invoke(QUESTION)


def test_another_corpus_version_and_everything(kit: Kit) -> None:
    chain = cached(kit, rag(kit.stock(), retriever()))
    with observe() as seen:
        for version in ("monday", "tuesday", "monday"):
            with cache_control(corpus_version=version):
                chain.invoke(QUESTION)
        chain.invalidate(everything=True)
        with cache_control(corpus_version="monday"):
            chain.invoke(QUESTION)
    assert seen.outcomes == ["miss", "miss", "hit_local", "miss"]


def test_a_document_invalidated_while_the_chain_runs(kit: Kit) -> None:
    found = retriever()
    made: list[Any] = []

    def during(text: str) -> str:
        if made:
            made.pop().invalidate(document="shop")
        return text

    chain = cached(kit, rag(kit.stock(), found, during), name="during")
    made.append(chain)
    with observe() as seen:
        for _ in range(3):
            chain.invoke(QUESTION)
    assert seen.outcomes == ["miss", "miss", "hit_local"]
    assert "invalidated" in seen[0].reason


def test_what_a_retriever_chose_from_is_not_among_them(kit: Kit) -> None:
    class First(BaseRetriever):
        inner: Any

        def _get_relevant_documents(
            self, query: str, *, run_manager: CallbackManagerForRetrieverRun
        ) -> list[Document]:
            found = self.inner.invoke(query, config={"callbacks": run_manager.get_child()})
            return list(found[:1])

    two = retriever()
    two.documents.append(Document("It is red.", id="red"))
    cached(kit, rag(kit.stock(), First(inner=two))).invoke(QUESTION)
    assert {entry.documents for entry in entries(kit).values()} == {("shop",)}


@EVERY_WAY
async def test_a_retriever_called_in_a_function(kit: Kit, way: Way) -> None:
    found = retriever()

    def answer(question: str) -> str:
        return str(found.invoke(question)[0].page_content)

    async def aanswer(question: str) -> str:
        return str((await found.ainvoke(question))[0].page_content)

    await way(cached(kit, RunnableLambda(answer, aanswer), name="function"), QUESTION)
    (entry,) = entries(kit).values()
    assert entry.documents == ("shop",)
