"""LangChain's own caching, on Redis, for any chat model.

Needs an Ollama with `llama3.1:8b` and `all-minilm` (OLLAMA_HOST) and a Redis (AEGIS_REDIS_URL).
"""

from langchain_ollama import ChatOllama, OllamaEmbeddings

from aegis_llm import AegisConfig, observe
from langchain_aegis import AegisCache

cache = AegisCache(config=AegisConfig.from_env(), embeddings=OllamaEmbeddings(model="all-minilm"))
# A model that names itself (ChatOpenAI, ...) needs no bind: set_llm_cache(cache) is enough.
llm = cache.bind(ChatOllama(model="llama3.1:8b", temperature=0))

for question in ("What is the capital of France?",) * 2 + ("What's the capital of France?",):
    with observe() as seen:
        answer = llm.invoke(question)
    print(f"{seen[0].outcome:13} {question} {answer.text}")
