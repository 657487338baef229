"""The requests that real LangChain chains and LlamaIndex engines send, seen by the finder.

The chains and engines are unchanged; only their model records what it would send to Ollama.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_classic.chains import (
    ConversationalRetrievalChain,
    RetrievalQA,
    RetrievalQAWithSourcesChain,
    create_history_aware_retriever,
    create_retrieval_chain,
)
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.retrievers.multi_query import MultiQueryRetriever
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_ollama import ChatOllama
from llama_index.core import SummaryIndex
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.core.schema import TextNode
from llama_index.llms.ollama import Ollama
from pydantic import PrivateAttr

from aegis_llm.questions import NoQuestion, find_question

pytestmark = pytest.mark.filterwarnings("ignore")  # the old chains say that they are old

Q = "How long does an entry live?"
NEXT = "And who removes it?"
ALONE = "Who removes an old entry of the cache?"  # what the model makes of a follow-up
TEXTS = [
    "An entry lives for one hour.\n\nQuestion: How do I reset the cache?\nAnswer: Use clear.",
    "Entries have an age.\n\nQuery: What is a scope?\nAnswer: All but the question.",
]


def questions(requests: Sequence[Any]) -> list[str]:
    found = [find_question(messages) for messages in requests]
    return [f"({f.reason})" if isinstance(f, NoQuestion) else f.question for f in found]


class RecordingChat(ChatOllama):
    _requests: list[Any] = PrivateAttr(default_factory=list)

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self._requests.append(self._convert_messages_to_ollama_messages(messages))
        rated = "\nScore: 90" if "Score:" in str(messages[-1].content) else ""
        return ChatResult(generations=[ChatGeneration(message=AIMessage(ALONE + rated))])


class Retriever(BaseRetriever):
    def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
        return [Document(text, metadata={"source": "a.txt"}) for text in TEXTS]


@pytest.fixture
def chat() -> RecordingChat:
    return RecordingChat(model="any", custom_get_token_ids=lambda text: [0] * text.count(" "))


@pytest.mark.parametrize(
    ("chain", "kind", "expected"),
    [
        (RetrievalQA, "stuff", [Q]),
        (RetrievalQA, "map_reduce", [Q, Q, Q]),
        (RetrievalQA, "map_rerank", [Q, Q]),
        # the last request of a chat model's refining ends in context only, the question is above
        (RetrievalQA, "refine", [Q, "(question_not_separable)"]),
        (RetrievalQAWithSourcesChain, "stuff", [Q]),
        (RetrievalQAWithSourcesChain, "map_reduce", [Q, Q, Q]),
        (RetrievalQAWithSourcesChain, "map_rerank", [Q, Q]),
        (RetrievalQAWithSourcesChain, "refine", [Q, Q]),
    ],
)
def test_retrieval_chains(chat: RecordingChat, chain: Any, kind: str, expected: list[str]) -> None:
    made = chain.from_chain_type(chat, chain_type=kind, retriever=Retriever())
    made.invoke({made.input_keys[0]: Q})
    assert questions(chat._requests) == expected


def test_conversational_retrieval(chat: RecordingChat) -> None:
    chain = ConversationalRetrievalChain.from_llm(chat, retriever=Retriever())
    chain.invoke({"question": NEXT, "chat_history": [(Q, "One hour.")]})
    assert questions(chat._requests) == [NEXT, ALONE]


def test_history_aware_retrieval(chat: RecordingChat) -> None:
    history = MessagesPlaceholder("chat_history")
    rephrase = ChatPromptTemplate.from_messages(
        [("system", "Formulate a standalone question."), history, ("human", "{input}")]
    )
    answer = ChatPromptTemplate.from_messages(
        [("system", "Use the context:\n\n{context}"), history, ("human", "{input}")]
    )
    chain = create_retrieval_chain(
        create_history_aware_retriever(chat, Retriever(), rephrase),
        create_stuff_documents_chain(chat, answer),
    )
    said = [HumanMessage(Q), AIMessage("One hour.")]
    chain.invoke({"input": NEXT, "chat_history": said})
    assert questions(chat._requests) == [NEXT, NEXT]


def test_documented_pipeline(chat: RecordingChat) -> None:
    prompt = ChatPromptTemplate.from_template(
        "Answer the question based only on the following context:\n{context}\n\n"
        "Question: {question}\n"
    )

    def joined(documents: list[Document]) -> str:
        return "\n\n".join(document.page_content for document in documents)

    context = Retriever() | RunnableLambda(joined)
    chain = {"context": context, "question": RunnablePassthrough()} | prompt | chat
    chain.invoke(Q)
    assert questions(chat._requests) == [Q]


def test_multi_query_retriever(chat: RecordingChat) -> None:
    MultiQueryRetriever.from_llm(Retriever(), chat).invoke(Q)
    assert questions(chat._requests) == [Q]


class RecordingOllama(Ollama):
    _requests: list[Any] = PrivateAttr(default_factory=list)

    def chat(self, messages: Sequence[ChatMessage], **_: Any) -> ChatResponse:
        self._requests.append(self._convert_to_ollama_messages(messages))
        return ChatResponse(message=ChatMessage(role="assistant", content=ALONE))


@pytest.fixture
def ollama() -> RecordingOllama:
    return RecordingOllama(model="any", context_window=8192)


@pytest.fixture
def index() -> SummaryIndex:
    return SummaryIndex(nodes=[TextNode(text=text) for text in TEXTS])


@pytest.mark.parametrize(
    ("mode", "requests"),
    [
        ("compact", 1),
        ("refine", 2),
        ("simple_summarize", 1),
        ("tree_summarize", 1),
        ("accumulate", 2),
        ("compact_accumulate", 1),
    ],
)
def test_query_engines(
    ollama: RecordingOllama, index: SummaryIndex, mode: str, requests: int
) -> None:
    index.as_query_engine(llm=ollama, response_mode=mode).query(Q)
    assert questions(ollama._requests) == [Q] * requests


def test_citation_query_engine(ollama: RecordingOllama, index: SummaryIndex) -> None:
    retriever = index.as_retriever()
    CitationQueryEngine.from_args(index, llm=ollama, retriever=retriever).query(Q)
    assert questions(ollama._requests) == [Q]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("simple", [Q, NEXT]),
        ("context", [Q, NEXT]),
        ("condense_question", [Q, NEXT, ALONE]),
        ("condense_plus_context", [Q, NEXT, NEXT]),
    ],
)
def test_chat_engines(
    ollama: RecordingOllama, index: SummaryIndex, mode: Any, expected: list[str]
) -> None:
    memory = ChatMemoryBuffer.from_defaults(llm=ollama)
    engine = index.as_chat_engine(chat_mode=mode, llm=ollama, memory=memory)
    engine.chat(Q)
    engine.chat(NEXT)
    assert questions(ollama._requests) == expected
