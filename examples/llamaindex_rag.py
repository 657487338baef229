"""A LlamaIndex query engine on Ollama whose repeated questions are answered from Redis.

Needs `pip install '.[llama-index]'`, an Ollama with `llama3.1:8b` and `all-minilm`
(`OLLAMA_HOST`, else this machine) and a Redis (`AEGIS_REDIS_URL`, else this machine). Without the
Redis it answers all the same, only not from a cache.
"""

import os

import ollama
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding

from aegis_llm import AegisConfig, observe
from llama_index.llms.aegis import AegisOllama

client = ollama.Client()  # reads OLLAMA_HOST


class OllamaEmbedding(BaseEmbedding):
    """What `pip install llama-index-embeddings-ollama` brings does the same."""

    model_name: str = "all-minilm"

    def _get_text_embedding(self, text: str) -> list[float]:
        return list(client.embed(model=self.model_name, input=text).embeddings[0])

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


Settings.embed_model = OllamaEmbedding()
Settings.llm = AegisOllama(  # was: Ollama(model="llama3.1:8b")
    model=os.environ.get("MODEL", "llama3.1:8b"),
    base_url=str(client._client.base_url),
    context_window=4096,
    request_timeout=300,
    embed_model=Settings.embed_model,
    aegis=AegisConfig.from_env(),
)

index = VectorStoreIndex.from_documents(
    [
        Document(text="Returns are accepted within 30 days of delivery."),
        Document(text="Standard shipping takes 5 days inside the country."),
    ]
)
engine = index.as_query_engine(streaming=True)
for question in (
    "How long does shipping take?",
    "How long does shipping take?",
    "How long will shipping take?",
    "How long does shipping not take?",
):
    with observe() as seen:
        answer = "".join(engine.query(question).response_gen)
    print(f"{seen[0].outcome:13} {seen[0].lookup_ms:6.1f} ms  {question}  {answer}")
