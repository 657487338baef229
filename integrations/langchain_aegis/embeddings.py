"""AegisEmbeddings: OllamaEmbeddings that asks once for many, and never twice for the same."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from langchain_ollama import OllamaEmbeddings
from langchain_ollama._utils import merge_auth_headers, parse_url_with_auth
from ollama import AsyncClient, Client
from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from aegis_llm.config import AegisConfig
from aegis_llm.ollama_client import LoopClient, OllamaVectors
from aegis_llm.vectorizing import Vectorizing
from aegis_llm.wiring import connect_vectors
from langchain_aegis._settings import refuse_unknown, reraise_ours
from langchain_aegis._source import source_of
from langchain_aegis._warming import options_of, server_of

if TYPE_CHECKING:
    from aegis_llm.bootstrap.warming import Traffic

_GIVEN = ("redis_url", "namespace", "ttl")


class AegisEmbeddings(OllamaEmbeddings):
    """OllamaEmbeddings whose concurrent calls share requests, with vectors kept in Redis.

    Takes what `OllamaEmbeddings` takes, and beside it the settings of the cache. Makes no
    connection when constructed. When Redis is down, hung or full, Ollama computes the vectors as
    it would without this class.

    Unlike `OllamaEmbeddings` it lets Ollama cut no text: one that is longer than the model reads
    is an error, unless `truncate` is set.

    Raises:
        ConfigError: An option does not exist or its value is not usable.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)

    redis_url: str | None = Field(default=None, repr=False, exclude=True)
    """Where vectors are kept; see `CacheConfig.redis_url`. A secret: never shown."""
    namespace: str | None = None
    """Separates applications on one Redis."""
    ttl: float | None = None
    """Seconds a vector lives."""
    truncate: bool = False
    """Embed the beginning of a text that is too long; such a vector is not kept."""
    aegis: AegisConfig | None = Field(default=None, repr=False, exclude=True)
    """All other settings; the fields above win over it."""

    vectors_of: ClassVar[type] = OllamaEmbeddings
    """The class that the vectors are the same as those of."""

    _loops: LoopClient = PrivateAttr()
    _vectors: Vectorizing = PrivateAttr()

    def __init__(self, *args: Any, **settings: Any) -> None:
        try:
            super().__init__(*args, **settings)
        except ValidationError as exc:
            reraise_ours(exc)
            raise

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        refuse_unknown(cls.model_fields, values)
        return values

    @model_validator(mode="after")
    def _connect(self) -> Self:
        host, headers = parse_url_with_auth(self.base_url)
        shared = dict(self.client_kwargs or {})
        merge_auth_headers(shared, headers)
        awaited = {**shared, **(self.async_client_kwargs or {})}
        self._loops = LoopClient(lambda: AsyncClient(host=host, **awaited), self._async_client)
        self._async_client = self._loops  # type: ignore[assignment]
        client = self._blocking
        weakref.finalize(client, client._client.close)  # nobody else closes its connections
        self._link()
        return self

    @property
    def _blocking(self) -> Client:
        assert self._client is not None  # noqa: S101 - the stock validator has set it
        return self._client

    @property
    def _config(self) -> AegisConfig:
        given = {name: getattr(self, name) for name in _GIVEN}
        config = self.aegis or AegisConfig()
        return config.with_options(**{k: v for k, v in given.items() if v is not None})

    def _link(self) -> None:
        source = OllamaVectors(
            self._blocking,
            self._loops,
            source_of(self),
            model=self.model,
            options=self._default_params,
            dimensions=self.dimensions,
            keep_alive=self.keep_alive,
            truncate=self.truncate,
            made_with={
                **(self.client_kwargs or {}),
                "sync": self.sync_client_kwargs or {},
                "async": self.async_client_kwargs or {},
            },
        )
        self._vectors = connect_vectors(self._config, source)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in type(self).model_fields:
            self._link()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; settings in `update` hold for it."""
        copy = super().model_copy(update=update, deep=deep)
        if update:
            copy._link()
        return copy

    def traffic(self) -> Traffic:
        """Return what the requests look like, for a warm-up; asks nobody."""
        from aegis_llm.bootstrap.warming import Cache, Traffic

        config = self.aegis or AegisConfig()
        vectors = self._vectors
        return Traffic(
            kind="embedding",
            model=self.model,
            servers=(server_of(self),),
            options=options_of(self),
            keep_alive=self.keep_alive,
            scheduler=config.scheduler,
            cache=Cache(
                config=self._config.cache,
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
        self._vectors.kept.store.ready(timeout)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, in order.

        Raises:
            TextTooLongError: One is longer than the model reads; the error names it.
        """
        return self._vectors.embed(texts)

    def embed_query(self, text: str) -> list[float]:
        """Embed one text, like `embed_documents`."""
        return self._vectors.embed([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Like `embed_documents`, awaited."""
        return await self._vectors.aembed(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Like `embed_query`, awaited."""
        return (await self._vectors.aembed([text]))[0]
