"""A small invented handbook, and chains that answer from it."""

from __future__ import annotations

from typing import Any

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

SHOP = """The workshop of Nordvik Cycles opens at 8 and closes at 17.
The refund period for bicycles is 30 days.
The refund period for helmets is 14 days.
The battery of the Trail 200 has a warranty of 24 months.
The frame of the Trail 200 has a warranty of 60 months.
The Trail 200 weighs 19 kilograms and the Trail 300 weighs 23 kilograms.
Shipping to Norway costs 40 euros, shipping to Sweden costs 55 euros.
The head office is located in Bergen.
The company was founded by Anna Lind in 1998.
Children under 14 may not rent an electric bicycle.
Used bicycles can be returned if they are clean.
Opened bottles of chain oil can not be returned.
The loyalty card gives a discount of 5 percent.
The newsletter appears in March and in September.
The maximum load of the cargo bicycle is 180 kilograms.
The minimum order for free delivery is 99 euros.
The charger needs 4 hours for a full battery.
The repair of a flat tire costs 12 euros.
The test rides take place on Saturday.
The chief mechanic is called Olav Moe."""

GARDEN = """The garden of the museum opens at 10 and closes at 20.
The refund period for tickets is 2 days.
The guided tour takes 90 minutes and costs 7 euros.
The oldest tree of the garden was planted in 1820.
Dogs may enter the garden on a leash."""

QUESTIONS = (
    "When does the workshop open?",
    "What is the refund period for bicycles?",
    "What is the refund period for helmets?",
    "How long is the warranty on the battery of the Trail 200?",
    "How long is the warranty on the frame of the Trail 200?",
    "How much does shipping to Norway cost?",
    "How much does shipping to Germany cost?",
    "Where is the head office?",
    "Who founded the company?",
    "May children under 14 rent an electric bicycle?",
    "Can used bicycles be returned?",
    "Can opened bottles of chain oil be returned?",
    "What discount does the loyalty card give?",
    "When does the newsletter appear?",
    "What is the maximum load of the cargo bicycle?",
    "What is the minimum order for free delivery?",
    "How many hours does the charger need?",
    "How much does the repair of a flat tire cost?",
    "On which day do the test rides take place?",
    "What is the chief mechanic called?",
)

TWO_MESSAGES = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from the context only.\n\nContext:\n{context}"),
        ("human", "{question}"),
    ]
)
CONTEXT_FIRST = ChatPromptTemplate.from_template(
    "Answer the question based only on the following context:\n{context}\n\nQuestion: {question}\n"
)
QUESTION_FIRST = ChatPromptTemplate.from_template(
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved "
    "context to answer the question. If you don't know the answer, just say that you don't know. "
    "Use three sentences maximum and keep the answer concise.\n"
    "Question: {question} \nContext: {context} \nAnswer:"
)
PROMPTS = {
    "two messages": TWO_MESSAGES,
    "context first": CONTEXT_FIRST,
    "question first": QUESTION_FIRST,
}


def retriever_of(embeddings: Any) -> Any:
    """Return a retriever over the handbook and another text that finds the nearer one."""
    store = InMemoryVectorStore(embeddings)
    store.add_documents([Document(SHOP, id="shop"), Document(GARDEN, id="garden")])
    return store.as_retriever(search_kwargs={"k": 1})


def rag_chain(model: Any, retriever: Any, prompt: ChatPromptTemplate) -> Any:
    """Return the chain that LangChain's own tutorials build."""
    return (
        {"context": retriever | _joined, "question": RunnablePassthrough()}
        | prompt
        | model
        | StrOutputParser()
    )


def _joined(docs: list[Document]) -> str:
    return "\n\n".join(doc.page_content for doc in docs)


def fixed(context: str) -> Any:
    """Return a retriever that always finds this context."""
    return RunnableLambda(lambda _: [Document(context)])
