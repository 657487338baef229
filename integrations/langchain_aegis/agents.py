"""LangChain agents whose model calls are answered from Redis where they repeat."""

from aegis_llm.errors import MissingExtraError

try:
    import langchain.agents.middleware  # noqa: F401
except ModuleNotFoundError as exc:
    raise MissingExtraError("langchain_aegis.agents", "agents") from exc

from langchain_aegis._middleware import AegisMiddleware

__all__ = ["AegisMiddleware"]
