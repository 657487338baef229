"""What a query engine does, written down from its parts, and the models on Ollama that it uses."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.bridge.pydantic import BaseModel, SecretStr
from llama_index.core.callbacks import CallbackManager
from llama_index.core.indices.base import BaseIndex
from llama_index.core.storage.docstore.types import BaseDocumentStore
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from llama_index.llms.ollama import Ollama

from aegis_llm.fingerprint import NOT_SPECIAL, Teller, UnnameableError
from aegis_llm.installed import library
from aegis_llm.keys import normal_model
from aegis_llm.members import schema_of
from aegis_llm.naming import name_of
from aegis_llm.ports import ModelSource
from llama_index.llms.aegis._embedder import derived_id
from llama_index.llms.aegis._server import source_of

_OUTSIDE = (BasePydanticVectorStore, BaseDocumentStore, BaseIndex)
"""Where documents are kept: what they hold changes, so each is known as the object that it is."""
_NOT_OF_THE_MODEL = frozenset(
    {
        "callback_manager", "request_timeout", "keep_alive", "headers", "rate_limiter", "timeout",
        "max_retries", "api_key", "default_headers", "redis_url", "embed_model", "namespace",
        "ttl", "similarity", "extractor", "aegis", "num_workers",
    }
)  # fmt: skip
_LABELS = frozenset(
    {"callback_manager", "_callback_manager", "_verbose", "verbose", "_streaming", "_use_async",
     "_show_progress", "show_progress"}
)  # fmt: skip


class Structure:
    """Tells an engine to a `Teller`, and notes on the way what else there is to know of it."""

    def __init__(self) -> None:
        self.sources: dict[tuple[str, str], ModelSource] = {}
        self.local = False
        """Whether something is known by the very object, which no other process has."""

    def __call__(self, value: Any, teller: Teller) -> Any:
        """Return a part of LlamaIndex written down, `NOT_SPECIAL` for anything else."""
        if (inside := _traced(value)) is not None:
            return ["traced", teller.told(inside)]
        if isinstance(value, type):
            return self._schema(value, teller)
        if isinstance(value, SecretStr | CallbackManager):
            return ["left out"]
        if isinstance(value, BaseEmbedding):
            return ["embeddings", derived_id(value)]
        if isinstance(value, _OUTSIDE):
            return self._object(value)
        if isinstance(value, BaseQueryEngine) and hasattr(value, "cached_engine"):
            return ["cached", teller.told(value.cached_engine)]
        if isinstance(value, BaseModel):
            return self._model(value, teller)
        if _of_llama_index(type(value)) and hasattr(value, "__dict__"):
            return self._fields(value, dict(vars(value)), _LABELS, teller)
        return NOT_SPECIAL

    def _model(self, value: BaseModel, teller: Teller) -> Any:
        cls = type(value)
        left_out = _LABELS
        if isinstance(value, BaseLLM):
            left_out = _NOT_OF_THE_MODEL
            if isinstance(value, Ollama):
                left_out |= {"base_url"}  # the digest tells the model, wherever it runs
                source = source_of(value)
                self.sources[source.server, normal_model(value.model)] = source
        named = {name: getattr(value, name) for name in cls.model_fields}
        if not _of_llama_index(cls) and not isinstance(value, BaseLLM):
            named |= value.__pydantic_private__ or {}
        return self._fields(value, named, left_out, teller)

    def _fields(
        self, value: Any, named: dict[str, Any], left_out: frozenset[str], teller: Teller
    ) -> Any:
        told = {
            name: self._field(value, name, one, teller)
            for name, one in sorted(named.items())
            if name not in left_out
        }
        return [teller.class_told(type(value)), told]

    def _field(self, value: Any, name: str, one: Any, teller: Teller) -> Any:
        try:
            return teller.told(one, name)
        except UnnameableError:
            if not _of_llama_index(type(value)):
                raise
            return self._object(one)  # a connection, an index: known as this object

    def _object(self, value: Any) -> Any:
        self.local = True
        return ["object", name_of(value)]

    def _schema(self, value: type, teller: Teller) -> Any:
        if not issubclass(value, BaseModel) or _of_llama_index(value):
            return NOT_SPECIAL
        parts = (value.model_json_schema(), schema_of(value))
        return ["schema", teller.class_told(value), *map(teller.told, parts)]


def _traced(value: Any) -> Any:
    """Return the method inside a span, which LlamaIndex puts around those of every subclass."""
    if type(value).__name__ not in ("FunctionWrapper", "BoundFunctionWrapper"):
        return None
    around = getattr(value, "_self_wrapper", None)
    module = str(getattr(around, "__globals__", {}).get("__name__"))
    return value.__wrapped__ if module.startswith("llama_index_instrumentation.") else None


def _of_llama_index(cls: type) -> bool:
    return cls.__module__.startswith("llama_index.") and library(cls.__module__) is not None
