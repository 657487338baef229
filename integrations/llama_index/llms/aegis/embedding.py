"""AegisEmbedding: LlamaIndex's embeddings on Ollama that ask once for many."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.constants import DEFAULT_EMBED_BATCH_SIZE
from ollama import AsyncClient, Client

from aegis_llm.config import refuse_unknown
from aegis_llm.ollama_client import LoopClient, OllamaModels, OllamaVectors
from aegis_llm.vectorizing import Vectorizing
from aegis_llm.wiring import connect_vectors
from llama_index.llms.aegis._settings import config_of
from llama_index.llms.aegis._warming import server_of

if TYPE_CHECKING:
    from aegis_llm.bootstrap.warming import Traffic

Numbers = list[float]
_GIVEN = ("redis_url", "namespace", "ttl")
_CLIENTS = frozenset({"base_url", "client_kwargs"})


class AegisEmbedding(BaseEmbedding):
    """Embeddings on Ollama whose concurrent calls share requests, with vectors kept in Redis.

    Takes what `OllamaEmbedding` of `llama-index-embeddings-ollama` takes, which it does not need,
    and beside it the settings of the cache. Makes no connection when constructed. When Redis is
    down, hung or full, Ollama computes the vectors as it would without this class.

    Unlike `OllamaEmbedding` it lets Ollama cut no text: one that is longer than the model reads is
    an error (`TextTooLongError`), unless `truncate` is set.

    Raises:
        ConfigError: An option does not exist or its value is not usable.
    """

    base_url: str = Field(description="Base url the model is hosted by Ollama")
    model_name: str = Field(description="The Ollama model to use.")
    embed_batch_size: int = Field(
        default=DEFAULT_EMBED_BATCH_SIZE,
        description="The batch size for embedding calls.",
        gt=0,
        le=2048,
    )
    ollama_additional_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="Additional kwargs for the Ollama API."
    )
    query_instruction: str | None = Field(
        default=None, description="Instruction to prepend to query text."
    )
    text_instruction: str | None = Field(
        default=None, description="Instruction to prepend to text."
    )
    keep_alive: float | str | None = Field(
        default=None, description="How long the model stays loaded after the request."
    )
    client_kwargs: dict[str, Any] = Field(default_factory=dict, repr=False, exclude=True)
    """More arguments of the HTTP clients (headers, timeout). May hold secrets: never shown."""
    redis_url: str | None = Field(default=None, repr=False, exclude=True)
    """Where vectors are kept; see `CacheConfig.redis_url`. A secret: never shown."""
    namespace: str | None = None
    """Separates applications on one Redis."""
    ttl: float | None = None
    """Seconds a vector lives."""
    truncate: bool = False
    """Embed the beginning of a text that is too long; such a vector is not kept."""
    aegis: Any = Field(default=None, repr=False, exclude=True)
    """All other settings, an `AegisConfig`; the fields above win over it."""

    vectors_of: ClassVar[str] = "OllamaEmbedding"
    """The class that the vectors are the same as those of."""
    cache_fields: ClassVar[frozenset[str]] = frozenset({*_GIVEN, "truncate", "aegis"})
    """The fields that this class has beside those."""

    _links: Links = PrivateAttr()

    def __init__(
        self,
        model_name: str,
        base_url: str = "http://localhost:11434",
        embed_batch_size: int = DEFAULT_EMBED_BATCH_SIZE,
        ollama_additional_kwargs: dict[str, Any] | None = None,
        query_instruction: str | None = None,
        text_instruction: str | None = None,
        callback_manager: CallbackManager | None = None,
        client_kwargs: dict[str, Any] | None = None,
        keep_alive: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_unknown(kwargs, frozenset(type(self).model_fields) | {"class_name"})
        fields: dict[str, Any] = {
            "model_name": model_name,
            "base_url": base_url,
            "embed_batch_size": embed_batch_size,
            "ollama_additional_kwargs": ollama_additional_kwargs or {},
            "query_instruction": query_instruction,
            "text_instruction": text_instruction,
            "callback_manager": callback_manager,
            "client_kwargs": client_kwargs or {},
            "keep_alive": keep_alive,
        }
        super().__init__(**fields, **kwargs)
        self._links = Links(self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; what the requests are made of holds from the next one on."""
        super().__setattr__(name, value)
        if name in type(self).model_fields and self.__pydantic_private__:
            self._links = Links(self, None if name in _CLIENTS else self._links)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; settings in `update` hold for it."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            kept = self._links if _CLIENTS.isdisjoint(update) else None
            copied._links = Links(copied, kept)
        return copied

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex serializes the model."""
        return "AegisEmbedding"

    def traffic(self) -> Traffic:
        """Return what the requests look like, for a warm-up; asks nobody."""
        from aegis_llm.bootstrap.warming import Cache, Traffic

        config, vectors = config_of(self, _GIVEN), self._links.vectors
        return Traffic(
            kind="embedding",
            model=self.model_name,
            servers=(server_of(self.base_url, dict(self.client_kwargs)),),
            options=dict(self.ollama_additional_kwargs),
            keep_alive=self.keep_alive,
            scheduler=config.scheduler,
            cache=Cache(
                config=config.cache,
                store=vectors.kept.store,
                digests=vectors.kept.digests,
                models=((vectors.source.models.server, vectors.source.model),),
            ),
        )

    def connect_now(self, timeout: float = 5.0) -> None:
        """Connect to Redis now (starting a private one) instead of at the first call.

        Raises:
            StoreTrouble: Redis does not answer within `timeout` seconds.
        """
        self._links.vectors.kept.store.ready(timeout)

    def get_general_text_embeddings(self, texts: Sequence[str]) -> list[Numbers]:
        """Embed texts as they are, in order."""
        return self._links.vectors.embed(texts)

    async def aget_general_text_embeddings(self, texts: Sequence[str]) -> list[Numbers]:
        """Like `get_general_text_embeddings`, awaited."""
        return await self._links.vectors.aembed(texts)

    def get_general_text_embedding(self, texts: str) -> Numbers:
        """Embed one text as it is."""
        return self.get_general_text_embeddings([texts])[0]

    async def aget_general_text_embedding(self, prompt: str) -> Numbers:
        """Like `get_general_text_embedding`, awaited."""
        return (await self.aget_general_text_embeddings([prompt]))[0]

    def _get_query_embedding(self, query: str) -> Numbers:
        return self.get_general_text_embedding(_instructed(self.query_instruction, query))

    async def _aget_query_embedding(self, query: str) -> Numbers:
        return await self.aget_general_text_embedding(_instructed(self.query_instruction, query))

    def _get_text_embedding(self, text: str) -> Numbers:
        return self.get_general_text_embedding(_instructed(self.text_instruction, text))

    async def _aget_text_embedding(self, text: str) -> Numbers:
        return await self.aget_general_text_embedding(_instructed(self.text_instruction, text))

    def _get_text_embeddings(self, texts: list[str]) -> list[Numbers]:
        texts = [_instructed(self.text_instruction, text) for text in texts]
        return self.get_general_text_embeddings(texts)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Numbers]:
        texts = [_instructed(self.text_instruction, text) for text in texts]
        return await self.aget_general_text_embeddings(texts)


class Links:
    """The clients and the cache of one model; shared by its copies, absent from its pickle."""

    def __init__(self, model: AegisEmbedding, kept: Links | None = None) -> None:
        host, given = model.base_url, dict(model.client_kwargs)
        if kept is None:
            self._client = Client(host=host, **given)
            weakref.finalize(self._client, self._client._client.close)
            self._loops = LoopClient(lambda: AsyncClient(host=host, **given))
        else:
            self._client, self._loops = kept._client, kept._loops
        source = OllamaVectors(
            self._client,
            self._loops,
            OllamaModels(str(self._client._client.base_url), given),
            model=model.model_name,
            options=model.ollama_additional_kwargs,
            keep_alive=model.keep_alive,
            truncate=model.truncate,
            made_with={**given, "sync": {}, "async": {}},
        )
        self.vectors: Vectorizing = connect_vectors(config_of(model, _GIVEN), source)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Leave a pickle as None: whoever loads it connects afresh."""
        return type(None), ()

    def __deepcopy__(self, _: dict[int, Any]) -> Links:
        """Return the same: clients and caches have no copies."""
        return self


def _instructed(instruction: str | None, text: str) -> str:
    """Return the text behind its instruction, stripped as LlamaIndex strips it."""
    return f"{instruction.strip()} {text.strip()}".strip() if instruction else text.strip()
