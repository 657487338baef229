"""What a chain does, written down from its parts, and the models on Ollama that it uses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseLanguageModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableBinding, RunnableGenerator, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.stores import BaseStore
from langchain_core.vectorstores import VectorStore
from langchain_ollama import ChatOllama, OllamaLLM
from pydantic import BaseModel, SecretStr

from aegis_llm.fingerprint import NOT_SPECIAL, Teller, UnnameableError
from aegis_llm.installed import library
from aegis_llm.keys import normal_model
from aegis_llm.members import schema_of
from aegis_llm.naming import name_of
from aegis_llm.ports import ModelSource
from langchain_aegis._embedder import derived_id
from langchain_aegis._fingerprint import NOT_IDENTITY
from langchain_aegis._source import source_of
from langchain_aegis.batching import SETTINGS, BatchingRunnable

_ON_OLLAMA = (ChatOllama, OllamaLLM)
_OF_THE_CACHE = frozenset(
    {"redis_url", "embeddings", "namespace", "ttl", "similarity", "extractor", "aegis"}
)
_LABELS = frozenset(
    {
        "name", "tags", "metadata", "callbacks", "verbose", "cache", "config", "input_types",
        "custom_input_type", "custom_output_type", "input_type", "input_type_", "output_type_",
    }
)  # fmt: skip
"""Fields of runnables that change no answer."""


class RemembersError(ValueError):
    """A part of the chain answers by what it remembers, which no key holds."""


class Structure:
    """Tells a chain to a `Teller`, and notes on the way what else there is to know of it."""

    def __init__(self) -> None:
        self.sources: dict[tuple[str, str], ModelSource] = {}
        self.local = False
        """Whether something is known by the very object, which no other process has."""

    def __call__(self, value: Any, teller: Teller) -> Any:
        """Return a part of LangChain written down, `NOT_SPECIAL` for anything else."""
        if isinstance(value, Runnable):
            _refuse_memory(value)
            if (chain := getattr(value, "cached_chain", None)) is not None:
                return ["cached", teller.told(chain)]
        for kind, tell in self._kinds.items():
            if isinstance(value, kind):
                return tell(value, teller)
        return NOT_SPECIAL

    @cached_property
    def _kinds(self) -> dict[Any, Callable[[Any, Teller], Any]]:
        return {
            type: self._schema,
            SecretStr: lambda _, __: ["secret"],
            RunnableLambda: partial(self._function, ("func", "afunc")),
            RunnableGenerator: partial(self._function, ("_transform", "_atransform")),
            Embeddings: lambda value, _: ["embeddings", derived_id(value)],
            (VectorStore, BaseStore): lambda value, _: self._object(value),
            BaseRetriever: self._retriever,
            BaseModel: self._fields,
        }

    def _function(self, names: tuple[str, ...], value: Any, teller: Teller) -> Any:
        held = [name for name in names if getattr(value, name, None) is not None]
        mine = {} if library(type(value).__module__) is not None else dict(vars(value))
        return [teller.class_told(type(value)), teller.fields(value, held), teller.told(mine)]

    def _retriever(self, value: BaseRetriever, teller: Teller) -> Any:
        try:
            return self._fields(value, teller)
        except UnnameableError:
            return self._object(value)

    def _fields(self, value: BaseModel, teller: Teller) -> Any:
        cls = type(value)
        left_out: frozenset[str] = frozenset()
        if isinstance(value, BaseLanguageModel):
            left_out = NOT_IDENTITY | _OF_THE_CACHE
            if isinstance(value, _ON_OLLAMA):
                left_out |= {"base_url"}  # the digest tells the model, wherever it runs
                self._uses(value, value.model)
        elif isinstance(value, BatchingRunnable):
            left_out = _LABELS | SETTINGS
        elif isinstance(value, Runnable):
            left_out = _LABELS
        elif isinstance(value, Document):
            left_out = frozenset({"type"})
        told = {
            name: self._field(value, name, teller)
            for name in sorted(cls.model_fields)
            if name not in left_out
        }
        if isinstance(value, RunnableBinding):
            bound = value.config or {}
            told |= {name: teller.told(bound.get(name)) for name in ("configurable", "metadata")}
            model = value.kwargs.get("model")
            if isinstance(value.bound, _ON_OLLAMA) and isinstance(model, str):
                self._uses(value.bound, model)
        more = value.model_extra or {}
        private = {} if library(cls.__module__) is not None else _private(value)
        return [teller.class_told(cls), told, teller.told(more), teller.told(private)]

    def _field(self, value: BaseModel, name: str, teller: Teller) -> Any:
        one = getattr(value, name)
        if not isinstance(value, BaseLanguageModel | BaseRetriever):
            return teller.told(one, name)
        try:
            return teller.told(one, name)
        except UnnameableError:  # a connection, an index: known as this object
            return self._object(one)

    def _object(self, value: Any) -> Any:
        self.local = True
        return ["object", name_of(value)]

    def _schema(self, value: type, teller: Teller) -> Any:
        if not issubclass(value, BaseModel) or library(value.__module__) is not None:
            return NOT_SPECIAL
        parts = (value.model_json_schema(), schema_of(value))
        return ["schema", teller.class_told(value), *map(teller.told, parts)]

    def _uses(self, model: Any, name: str) -> None:
        source = source_of(model)
        self.sources[source.server, normal_model(name)] = source


def _refuse_memory(value: Runnable[Any, Any]) -> None:
    kind = type(value).__name__
    if isinstance(value, RunnableWithMessageHistory):
        msg = f"{kind} remembers: put cache_chain around the chain in it"
        raise RemembersError(msg)
    if getattr(value, "checkpointer", None):
        msg = f"{kind} remembers by its checkpointer: compile it without one for cache_chain"
        raise RemembersError(msg)


def _private(value: BaseModel) -> dict[str, Any]:
    """Return the private attributes of a user's own class."""
    return {
        name: one
        for name, one in (value.__pydantic_private__ or {}).items()
        if not isinstance(value, BaseLanguageModel)
    }
