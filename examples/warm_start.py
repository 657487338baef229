"""A service that is ready before its first question: loaded, read, connected.

Needs an Ollama with `llama3.1:8b` and `all-minilm` (OLLAMA_HOST) and a Redis (AEGIS_REDIS_URL).
With FastAPI: `app = FastAPI(lifespan=lifespan)`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aegis_llm import AegisConfig
from aegis_llm.bootstrap import abootstrap
from langchain_aegis import AegisEmbeddings, ChatAegis

SYSTEM = "You answer the questions of the customers of a shop, briefly. " * 40
config = AegisConfig.from_env()
llm = ChatAegis(
    model="llama3.1:8b",
    num_ctx=8192,
    embeddings=AegisEmbeddings(model="all-minilm", aegis=config),
    aegis=config,
)


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    warmed = await abootstrap(llm, prefixes=[SYSTEM])
    print(warmed)
    for problem in warmed.problems:
        print(f"! {problem}")
    yield


async def main() -> None:
    async with lifespan(None):
        answer = await llm.ainvoke([("system", SYSTEM), ("human", "How long are refunds?")])
        took = answer.response_metadata["load_duration"] / 1e9
        print(f"first question: {took:.3f} s of it for loading")


asyncio.run(main())
