"""Embeddings on Ollama: many callers share a request, and no text is embedded twice.

Needs an Ollama with `all-minilm` (OLLAMA_HOST) and a Redis (AEGIS_REDIS_URL).
"""

import asyncio
import time

from aegis_llm import AegisConfig
from langchain_aegis import AegisEmbeddings

embeddings = AegisEmbeddings(model="all-minilm", aegis=AegisConfig.from_env())
questions = [f"What does article {number} say?" for number in range(64)]


async def main() -> None:
    for how in ("computed", "kept"):
        started = time.perf_counter()
        vectors = await asyncio.gather(*(embeddings.aembed_query(text) for text in questions))
        taken_ms = (time.perf_counter() - started) * 1000
        print(f"{how:8} {len(vectors)} vectors of {len(vectors[0])} numbers, {taken_ms:.0f} ms")


asyncio.run(main())
