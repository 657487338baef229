"""Exact and semantic Redis caching for LangChain and LlamaIndex chains that run on Ollama."""

__version__ = "0.1.0"
