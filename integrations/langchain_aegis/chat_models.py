"""ChatAegis: ChatOllama that answers repeated questions from Redis."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from functools import partial
from inspect import signature
from typing import Any, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.base import LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_ollama import ChatOllama
from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig
from aegis_llm.control import cache_control
from aegis_llm.feedback import Feedback
from aegis_llm.invalidating import Invalidating
from aegis_llm.ollama_servers import urls_of
from aegis_llm.plan import UNREADABLE
from aegis_llm.ports import ModelSource
from aegis_llm.scheduler.fleet import Fleet
from aegis_llm.service import Service
from aegis_llm.wiring import connect, say_once
from langchain_aegis._asking import Asks
from langchain_aegis._convert import (
    answers_of_chunks,
    answers_of_result,
    chunks_of,
    copy_chunk,
    result_of,
)
from langchain_aegis._copying import Copies
from langchain_aegis._documents import KnowsDocuments, listen
from langchain_aegis._embedder import LangChainEmbedder
from langchain_aegis._explaining import Explains
from langchain_aegis._hits import is_last, marked, marked_chunk, replay
from langchain_aegis._listening import others_listen
from langchain_aegis._many import AllAtOnce
from langchain_aegis._runs import run_of_stream
from langchain_aegis._sending import Clients, own_kwargs
from langchain_aegis._settings import refuse_unknown, reraise_ours
from langchain_aegis._surrounded import asurrounded, surrounded
from langchain_aegis._warming import Warms

_GIVEN = ("redis_url", "namespace", "ttl", "similarity", "extractor")
_CACHE_FIELDS = frozenset({*_GIVEN, "embeddings", "aegis"})
_IGNORED = frozenset({"max_tokens", "timeout", "max_retries", "streaming", "api_key"})
"""LangChain's standard parameters, which ChatOllama takes and does not use."""
_IDENTIFYING = (
    "model", "mirostat", "mirostat_eta", "mirostat_tau", "num_ctx", "num_gpu", "num_thread",
    "num_predict", "repeat_last_n", "repeat_penalty", "temperature", "seed", "stop", "tfs_z",
    "top_k", "top_p", "format", "reasoning", "logprobs", "top_logprobs",
)  # fmt: skip


class ChatAegis(
    Asks, Copies, Explains, Feedback, Invalidating, KnowsDocuments, AllAtOnce, Warms, ChatOllama
):
    """ChatOllama whose answers are cached in Redis, exactly and by meaning, streams included.

    Takes what `ChatOllama` takes, and beside it the settings of the cache. Makes no connection
    when constructed. When Redis is down, hung or full, the model answers as it would without this
    class; `message.response_metadata["aegis"]` says where each answer came from, and why.

    Without `embeddings` only exact repeats are served. Without `redis_url`, Redis is looked for at
    `redis://localhost:6379`.

    Raises:
        ConfigError: An option does not exist or its value is not usable.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)

    redis_url: str | None = Field(default=None, repr=False, exclude=True)
    """Where answers are kept; see `CacheConfig.redis_url`. A secret: never shown."""
    embeddings: Embeddings | None = Field(default=None, repr=False, exclude=True)
    """Embeds questions for the semantic tier."""
    namespace: str | None = None
    """Separates applications on one Redis."""
    ttl: float | None = None
    """Seconds an entry lives."""
    similarity: float | None = None
    """Least cosine similarity of a semantic hit."""
    extractor: Any = Field(default=None, repr=False, exclude=True)
    """Finds the question in messages that the built-in patterns do not know."""
    aegis: AegisConfig | None = Field(default=None, repr=False, exclude=True)
    """All other settings; the fields above win over it."""

    base_url: str | list[str] | None = None  # type: ignore[assignment]
    """The server; or several that have the same models, between which requests are spread."""

    _answering: Answering = PrivateAttr()
    _clients: Clients = PrivateAttr()
    _source: ModelSource = PrivateAttr()
    _fleet: Fleet | None = PrivateAttr()

    def __init__(self, *args: Any, **settings: Any) -> None:
        try:
            super().__init__(*args, **settings)
        except ValidationError as exc:
            reraise_ours(exc)
            raise

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        refuse_unknown(cls.model_fields, values, _IGNORED)
        if isinstance(values, Mapping):
            urls_of(values.get("base_url"))
        return values

    @model_validator(mode="after")
    def _connect(self) -> Self:
        listen()
        self._answering = self._wired({})
        self._clients = Clients(self, urls_of(self.base_url))
        self._schedule()
        return self

    def _schedule(self) -> None:
        """Have the calls of the clients scheduled as the settings say."""
        config = (self.aegis or AegisConfig()).scheduler
        self._client, self._async_client, self._source, self._fleet = self._clients.schedule(
            config
        )
        self._answering.service.digests.register(self._source)

    @model_validator(mode="after")
    def _set_clients(self) -> Self:
        names = ("base_url", "client_kwargs", "validate_model_on_init")
        given = {name: self.__dict__[name] for name in names}
        urls = urls_of(self.base_url)
        try:
            self.__dict__["base_url"] = urls[0]
            self.__dict__["validate_model_on_init"] &= len(urls) == 1  # else `Clients` does it
            self.__dict__["client_kwargs"] = own_kwargs(self.client_kwargs)
            return cast("Self", ChatOllama._set_clients(self))  # type: ignore[operator]
        finally:
            self.__dict__.update(given)

    def _wired(self, changed: Mapping[str, Any]) -> Answering:
        fields = {**self.__dict__, **changed}
        config = fields["aegis"] or AegisConfig()
        given = {name: fields[name] for name in _GIVEN if fields[name] is not None}
        config = config.with_options(**given)
        embedder = None
        if fields["embeddings"] is not None:
            embedder = LangChainEmbedder(fields["embeddings"], config.cache.embedding_id)
        else:
            say_once("no embeddings given: only exact repeats are answered from the cache")
        answering = connect(config, embedder)
        if "_source" in (self.__pydantic_private__ or {}):
            answering.service.digests.register(self._source)
        return answering

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CACHE_FIELDS:
            self._answering = self._wired({name: value})
        super().__setattr__(name, value)
        if name == "aegis":
            self._schedule()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; settings of the cache in `update` hold for it."""
        copy = super().model_copy(update=update, deep=deep)
        if update and not _CACHE_FIELDS.isdisjoint(update):
            copy._answering = copy._wired({})
            copy._schedule()
        return copy

    def connect_now(self, timeout: float = 5.0) -> None:
        """Connect to Redis now (starting a private one) instead of at the first request.

        Raises:
            StoreTrouble: Redis does not answer within `timeout` seconds.
        """
        self._answering.service.store.ready(timeout)

    @property
    def _cached_by(self) -> Service:
        service: Service = _part(self, "_answering").service
        return service

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """State the identity, so that any other LangChain cache tells two models apart."""
        fields = self.__dict__
        given = {name: fields[name] for name in _IDENTIFYING if fields[name] is not None}
        return {**given, "cached_by": "aegis", "base_url": _part(self, "_source").server}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="ollama",
            ls_model_name=kwargs.get("model", self.model),
            ls_model_type="chat",
            ls_temperature=kwargs.get("temperature", self.temperature),
        )
        if stop or self.stop:
            params["ls_stop"] = stop or self.stop
        return params

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Like ChatOllama's; `cache_control` and `observe` hold as they do at this call."""
        return surrounded(super().stream(input, config, stop=stop, **kwargs))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Like `stream`, awaited."""
        return asurrounded(super().astream(input, config, stop=stop, **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        generate = super()._generate
        request, kwargs = self._sent(messages, stop, kwargs, run_manager)
        ask = partial(generate, messages, stop, run_manager, **kwargs)
        shown = bool(kwargs.get("reasoning", self.reasoning))
        answering: Answering = _part(self, "_answering")
        lookup = answering.service.open(request)
        if lookup.entry is not None:
            hit = replay(result_of, lookup, shown, run_manager)
            if hit is not None:
                lookup.reported()
                if run_manager is not None and others_listen(run_manager):
                    for chunk in replay(chunks_of, lookup, shown) or ():
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk, verbose=self.verbose)
                return hit
            with cache_control(refresh=True):
                lookup = answering.service.open(request)
            lookup.alone(UNREADABLE)
        found = answering.computed(lookup, ask, answers_of_result)
        return marked(found, lookup, run_manager)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        generate = super()._agenerate
        request, kwargs = self._sent(messages, stop, kwargs, run_manager)
        ask = partial(generate, messages, stop, run_manager, **kwargs)
        shown = bool(kwargs.get("reasoning", self.reasoning))
        answering: Answering = _part(self, "_answering")
        lookup = await answering.service.aopen(request)
        if lookup.entry is not None:
            hit = replay(result_of, lookup, shown, run_manager)
            if hit is not None:
                lookup.reported()
                if run_manager is not None and others_listen(run_manager):
                    for chunk in replay(chunks_of, lookup, shown) or ():
                        await run_manager.on_llm_new_token(
                            chunk.text, chunk=chunk, verbose=self.verbose
                        )
                return hit
            with cache_control(refresh=True):
                lookup = await answering.service.aopen(request)
            lookup.alone(UNREADABLE)
        found = await answering.acomputed(lookup, ask, answers_of_result)
        return marked(found, lookup, run_manager)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        run = run_manager or run_of_stream()
        with closing(self._chunks(messages, stop, kwargs, run)) as chunks:
            for chunk in chunks:
                if run_manager is not None:
                    run_manager.on_llm_new_token(chunk.text, verbose=self.verbose)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        run = run_manager or run_of_stream()
        async with aclosing(self._achunks(messages, stop, kwargs, run)) as chunks:
            async for chunk in chunks:
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, verbose=self.verbose)
                yield chunk

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any], run: Any
    ) -> Generator[ChatGenerationChunk, None, None]:
        upstream = super()._iterate_over_stream
        request, kwargs = self._sent(messages, stop, kwargs, run)
        lookup = self._answering.service.open(request, stream="langchain")
        if lookup.entry is not None:
            shown = bool(kwargs.get("reasoning", self.reasoning))
            hit = replay(chunks_of, lookup, shown, run)
            if hit is not None:
                lookup.reported()
                yield from hit
                return
            with cache_control(refresh=True):
                lookup = self._answering.service.open(request, stream="langchain")
            lookup.alone(UNREADABLE)
        shared = self._answering.stream(
            lookup, lambda: upstream(messages, stop, **kwargs), answers_of_chunks
        )
        last = None
        with closing(shared):
            for chunk in shared:
                if is_last(chunk):
                    last = chunk  # waits for what becomes of storing the answer
                else:
                    yield copy_chunk(chunk)
        if last is not None:
            yield marked_chunk(last, lookup, run)

    async def _achunks(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any], run: Any
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        upstream = super()._aiterate_over_stream
        request, kwargs = self._sent(messages, stop, kwargs, run)
        lookup = await self._answering.service.aopen(request, stream="langchain")
        if lookup.entry is not None:
            shown = bool(kwargs.get("reasoning", self.reasoning))
            hit = replay(chunks_of, lookup, shown, run)
            if hit is not None:
                lookup.reported()
                for chunk in hit:
                    yield chunk
                return
            with cache_control(refresh=True):
                lookup = await self._answering.service.aopen(request, stream="langchain")
            lookup.alone(UNREADABLE)
        shared = self._answering.astream(
            lookup, lambda: upstream(messages, stop, **kwargs), answers_of_chunks
        )
        last = None
        async with aclosing(shared):
            async for chunk in shared:
                if is_last(chunk):
                    last = chunk
                else:
                    yield copy_chunk(chunk)
        if last is not None:
            yield marked_chunk(last, lookup, run)


for _method in (ChatAegis._generate, ChatAegis._agenerate):
    # LangChain asks for it on every call; made anew it takes longer than the look-up of a hit.
    vars(_method)["__signature__"] = signature(_method)


def _part(model: ChatAegis, name: str) -> Any:
    """Return a private attribute; pydantic's own way to it takes ten times as long."""
    return (model.__pydantic_private__ or {})[name]
