"""LangChain models and caches that answer repeated questions from Redis."""

from aegis_llm.errors import MissingExtraError

try:
    import langchain_core  # noqa: F401
    import langchain_ollama  # noqa: F401
except ModuleNotFoundError as exc:
    raise MissingExtraError("langchain_aegis", "langchain") from exc

from langchain_aegis.batching import BatchingRunnable
from langchain_aegis.caches import AegisCache
from langchain_aegis.chains import cache_chain
from langchain_aegis.chat_models import ChatAegis
from langchain_aegis.embeddings import AegisEmbeddings

__all__ = ["AegisCache", "AegisEmbeddings", "BatchingRunnable", "ChatAegis", "cache_chain"]
