"""A RAG service: warm before its first request, streams, keeps tenants apart, says where from.

Needs `pip install '.[langchain]' fastapi uvicorn`, an Ollama with `llama3.1:8b` and
`all-minilm` (OLLAMA_HOST) and a Redis (AEGIS_REDIS_URL); without Redis it answers all the same.
Run it with `python examples/fastapi_rag.py` (PORT, else 8000).
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel, Field

from aegis_llm import (
    AegisConfig,
    Origin,
    QueueFullError,
    QueueTimeoutError,
    cache_control,
    observe,
    queues,
    scheduling,
)
from aegis_llm.bootstrap import abootstrap
from langchain_aegis import AegisEmbeddings, ChatAegis

SYSTEM = "You answer the questions of customers of a shop, briefly and from the context alone."
TEXTS = {
    "returns": "Returns are accepted within 30 days of delivery.",
    "shipping": "Standard shipping takes 5 days inside the country.",
}
config = AegisConfig.from_env().with_options(max_queue=100)
embeddings = AegisEmbeddings(model="all-minilm", aegis=config)
llm = ChatAegis(model="llama3.1:8b", temperature=0, embeddings=embeddings, aegis=config)
store = InMemoryVectorStore(embeddings)
prompt = ChatPromptTemplate.from_messages(
    [("system", SYSTEM + "\n\nContext:\n{context}"), ("human", "{question}")]
)


def joined(documents: list[Document]) -> str:
    return "\n\n".join(document.page_content for document in documents)


retriever = store.as_retriever(search_kwargs={"k": 1})
found = {"context": retriever | joined, "question": RunnablePassthrough()}
chain = found | prompt | llm | StrOutputParser()


class Question(BaseModel):
    """What is asked; `deadline_s` is how long an answer is of use."""

    question: str = Field(min_length=1, max_length=2000)
    deadline_s: float = Field(default=30, gt=0, le=600)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Logs what is wrong, and raises nothing.
    app.state.warmed = await abootstrap(llm, prefixes=[SYSTEM])
    await store.aadd_documents([Document(text, id=name) for name, text in TEXTS.items()])
    yield


app = FastAPI(lifespan=lifespan)
Tenant = Annotated[str, Header(alias="X-Tenant", pattern=r"^[\w-]{1,64}$")]
"""In production from the token that the caller proved, not from a header that anybody can set."""


@app.exception_handler(QueueFullError)
@app.exception_handler(QueueTimeoutError)
async def busy(_: Request, exc: Exception) -> JSONResponse:
    """Send callers away while they would only wait: Ollama has as much to do as it can."""
    wait = max(1, round(getattr(exc, "expected_wait_s", None) or 5))
    return JSONResponse({"detail": str(exc)}, 503, {"Retry-After": str(wait)})


@app.post("/ask")
async def ask(asked: Question, tenant: Tenant = "public") -> dict[str, Any]:
    """Answer at once."""
    with observe() as seen, cache_control(tenant=tenant), scheduling(deadline_s=asked.deadline_s):
        answer = await chain.ainvoke(asked.question)
    return {"answer": answer, **told(seen[-1])}


@app.post("/stream")
async def stream(asked: Question, tenant: Tenant = "public") -> StreamingResponse:
    """Answer token by token, one JSON a line; the last line says where the answer came from."""
    return StreamingResponse(lines(asked, tenant), media_type="application/x-ndjson")


async def lines(asked: Question, tenant: str) -> AsyncIterator[str]:
    # The blocks stand around the reading: the model is called when the stream is read.
    with observe() as seen, cache_control(tenant=tenant), scheduling(deadline_s=asked.deadline_s):
        try:
            async for text in chain.astream(asked.question):
                yield json.dumps({"text": text}) + "\n"
        except (QueueFullError, QueueTimeoutError) as exc:  # the status 200 is out already
            yield json.dumps({"error": str(exc)}) + "\n"
            return
    yield json.dumps(told(seen[-1])) + "\n"


@app.put("/documents/{name}")
async def change(name: str, text: str) -> dict[str, int]:
    """Change a document; the answers that were made from it are gone, in every process."""
    if name not in TEXTS:
        raise HTTPException(404, f"no document {name!r}")
    await store.aadd_documents([Document(text, id=name)])
    return {"answers_removed": await llm.ainvalidate(document=name)}


@app.get("/health")
async def health() -> dict[str, Any]:
    """Say whether the start went well, and what waits."""
    waiting = sum(model.waiting for queue in queues() for model in queue.models.values())
    return {"problems": list(app.state.warmed.problems), "waiting": waiting}


def told(origin: Origin) -> dict[str, Any]:
    return {"outcome": origin.outcome, "reason": origin.reason, "lookup_ms": origin.lookup_ms}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
