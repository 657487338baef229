"""LlamaIndex's Ollama, chat and embeddings, with Redis: `AegisOllama`, `AegisEmbedding`."""

from aegis_llm.errors import MissingExtraError

try:
    import llama_index.core
    import llama_index.llms.ollama  # noqa: F401
except ModuleNotFoundError as exc:
    raise MissingExtraError("llama_index.llms.aegis", "llama-index") from exc

from llama_index.llms.aegis._events import AegisCacheEvent
from llama_index.llms.aegis.base import AegisOllama
from llama_index.llms.aegis.embedding import AegisEmbedding
from llama_index.llms.aegis.engine import AegisQueryEngine

__all__ = ["AegisCacheEvent", "AegisEmbedding", "AegisOllama", "AegisQueryEngine"]
