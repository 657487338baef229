"""LlamaIndex's Ollama with answers to repeated questions from Redis: `AegisOllama`."""

from aegis_llm.errors import MissingExtraError

try:
    import llama_index.core
    import llama_index.llms.ollama  # noqa: F401
except ModuleNotFoundError as exc:
    raise MissingExtraError("llama_index.llms.aegis", "llama-index") from exc

from llama_index.llms.aegis.base import AegisOllama
from llama_index.llms.aegis.engine import AegisQueryEngine

__all__ = ["AegisOllama", "AegisQueryEngine"]
