"""The Ollama that a LangChain model speaks to, asked for the digests of its models."""

from __future__ import annotations

from typing import Any

from langchain_ollama._utils import merge_auth_headers, parse_url_with_auth

from aegis_llm.ollama_client import OllamaModels
from aegis_llm.ports import ModelSource


def source_of(model: Any) -> ModelSource:
    """Return the source of digests for a `ChatAegis`, a `ChatOllama` or an `OllamaLLM`."""
    own: ModelSource | None = (model.__pydantic_private__ or {}).get("_source")
    if own is not None:
        return own
    _, headers = parse_url_with_auth(model.base_url)
    given = dict(model.client_kwargs or {})
    merge_auth_headers(given, headers)
    url = str(model._client._client.base_url)
    return OllamaModels(url, {**given, **(model.sync_client_kwargs or {})})
