"""AegisOllama: LlamaIndex's Ollama that answers repeated questions from Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    LLMMetadata,
)
from llama_index.core.bridge.pydantic import Field, PrivateAttr, ValidationError
from llama_index.core.constants import DEFAULT_NUM_OUTPUTS
from llama_index.llms.ollama import Ollama
from ollama import AsyncClient, Client

from aegis_llm.answering import Answering
from aegis_llm.config import refuse_unknown
from aegis_llm.control import cache_control, current_control, observe
from aegis_llm.explanation import Explanation
from aegis_llm.feedback import Feedback
from aegis_llm.invalidating import Invalidating
from aegis_llm.ollama_servers import shown_urls, urls_of
from aegis_llm.runner_options import settled
from aegis_llm.service import Service
from aegis_llm.wiring import connect, say_once
from llama_index.llms.aegis._documents import listen
from llama_index.llms.aegis._embedder import LlamaIndexEmbedder
from llama_index.llms.aegis._server import Links
from llama_index.llms.aegis._settings import config_of
from llama_index.llms.aegis._turn import Sent, Turn
from llama_index.llms.aegis._warming import Warms
from llama_index.llms.aegis._window import windows

_GIVEN = ("redis_url", "namespace", "ttl", "similarity", "extractor")
_LINKED = frozenset((*_GIVEN, "embed_model", "aegis", "base_url", "headers", "request_timeout"))
_NO_FIELDS = frozenset({"client", "async_client", "class_name"})
_PACKED = (
    "context_window is not set: Ollama gets no num_ctx, and LlamaIndex packs prompts into %d "
    "tokens; AegisOllama(context_window=8192) lets both use 8192"
)


class AegisOllama(Feedback, Invalidating, Warms, Ollama):
    """Ollama whose answers are cached in Redis, exactly and by meaning, streams included.

    Takes what `Ollama` takes, and beside it the settings of the cache. Makes no connection when
    constructed. When Redis is down, hung or full, the model answers as it would without this
    class; `response.additional_kwargs["aegis"]` says where each answer came from, and why.
    Settings changed later, by assignment or `model_copy(update=...)`, hold from then on.

    A hit has a `ThinkingBlock` when its entry has thinking; one that LangChain wrote without
    `reasoning` has none.

    Without `embed_model` only exact repeats are served. Without `redis_url`, Redis is looked for
    at `redis://localhost:6379`. Without `context_window` no `num_ctx` is sent, so the model runs
    with Ollama's own default.

    Raises:
        ConfigError: An option does not exist or its value is not usable.
    """

    base_url: str | list[str] = Field(  # type: ignore[assignment]
        default="http://localhost:11434",
        description="The server; or several that have the same models.",
    )
    redis_url: str | None = Field(default=None, repr=False, exclude=True)
    """Where answers are kept; see `CacheConfig.redis_url`. A secret: never shown."""
    embed_model: BaseEmbedding | None = Field(default=None, repr=False, exclude=True)
    """Embeds questions for the semantic tier."""
    namespace: str | None = None
    """Separates applications on one Redis."""
    ttl: float | None = None
    """Seconds an entry lives."""
    similarity: float | None = None
    """Least cosine similarity of a semantic hit."""
    extractor: Any = Field(default=None, repr=False, exclude=True)
    """Finds the question in messages that the built-in patterns do not know."""
    aegis: Any = Field(default=None, repr=False, exclude=True)
    """All other settings, an `AegisConfig`; the fields above win over it."""

    _links: Links = PrivateAttr()

    def __init__(self, model: str, *args: Any, **kwargs: Any) -> None:
        refuse_unknown(kwargs, frozenset(type(self).model_fields) | _NO_FIELDS)
        urls_of(args[0] if args else kwargs.get("base_url"))
        super().__init__(model, *args, **kwargs)
        listen()
        self._links = Links(self._connected(), self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; what the cache or the clients are made of makes them anew."""
        if name not in _LINKED:
            super().__setattr__(name, value)
            return
        before = getattr(self, name)
        super().__setattr__(name, value)
        try:
            self._relink()
        except BaseException:
            super().__setattr__(name, before)
            raise

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; it shares cache and clients unless `update` changes their settings."""
        copied = super().model_copy(update=update, deep=deep)
        if update and not _LINKED.isdisjoint(update):
            copied._relink()
        return copied

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex serializes the model."""
        return "AegisOllama_llm"

    @property
    def answering(self) -> Answering:
        """The cache that this model shares with every model of the same settings."""
        return self._links.answering

    @property
    def _cached_by(self) -> Service:
        return self.answering.service

    def settled(self, body: Mapping[str, Any], *, awaited: bool, rehearsed: bool) -> Any:
        """Return the options to send with a body, as the model is loaded with."""
        return settled(self._links.fleet(awaited=awaited), body, rehearsed=rehearsed)

    def server(self, *, awaited: bool) -> str:
        """Return the name of the Ollama that blocking, or awaited, requests go to."""
        return self._links.server(awaited=awaited)

    def connect_now(self, timeout: float = 5.0) -> None:
        """Connect to Redis now (starting a private one) instead of at the first request.

        Raises:
            StoreTrouble: Redis does not answer within `timeout` seconds.
        """
        self.answering.service.store.ready(timeout)

    def explain(
        self,
        messages: str | Sequence[ChatMessage],
        *,
        elsewhere: int = 0,
        all_tenants: bool = False,
        **kwargs: Any,
    ) -> Explanation:
        """Tell what the cache would do with these messages and why; `print` shows it.

        Takes what `chat` takes, or the prompt of `complete`; `cache_control` holds. Neither serves
        nor stores, and does not call the model. Redis down or a failing embedder is told, never
        raised. Where nothing was stored in this context yet, the `elsewhere` nearest entries of
        other contexts are shown, of the same tenant unless `all_tenants`.
        """
        request = Turn(self).request(messages, kwargs)
        if request is None:
            return Explanation("bypass", "uncacheable_request")
        service = self.answering.service
        return service.explain(request, elsewhere=elsewhere, all_tenants=all_tenants)

    async def aexplain(
        self,
        messages: str | Sequence[ChatMessage],
        *,
        elsewhere: int = 0,
        all_tenants: bool = False,
        **kwargs: Any,
    ) -> Explanation:
        """Like `explain`, awaited."""
        request = Turn(self).request(messages, kwargs, awaited=True)
        if request is None:
            return Explanation("bypass", "uncacheable_request")
        service = self.answering.service
        return await service.aexplain(request, elsewhere=elsewhere, all_tenants=all_tenants)

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer from the cache, else ask the model."""
        response: ChatResponse = Turn(self).chat(messages, **kwargs)
        return response

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Like `chat`, awaited."""
        response: ChatResponse = await Turn(self).achat(messages, **kwargs)
        return response

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Like `chat`, in chunks."""
        chunks: ChatResponseGen = Turn(self).stream_chat(messages, **kwargs)
        return chunks

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Like `stream_chat`, awaited."""
        chunks: ChatResponseAsyncGen = await Turn(self).astream_chat(messages, **kwargs)
        return chunks

    def structured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **prompt_args: Any
    ) -> Any:
        """Like `Ollama`; a cached answer that does not fit `output_cls` is asked for anew."""
        predict = super().structured_predict
        with observe() as seen:
            try:
                return predict(output_cls, prompt, llm_kwargs, **prompt_args)
            except ValidationError:
                if not seen.hits or current_control().only_if_cached:
                    raise
        with cache_control(refresh=True):
            return predict(output_cls, prompt, llm_kwargs, **prompt_args)

    async def astructured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **prompt_args: Any
    ) -> Any:
        """Like `structured_predict`, awaited."""
        predict = super().astructured_predict
        with observe() as seen:
            try:
                return await predict(output_cls, prompt, llm_kwargs, **prompt_args)
            except ValidationError:
                if not seen.hits or current_control().only_if_cached:
                    raise
        with cache_control(refresh=True):
            return await predict(output_cls, prompt, llm_kwargs, **prompt_args)

    @property
    def client(self) -> Client:
        """The client given at construction, else one of our own; its chats wait for their turn."""
        client: Client = self._links.client()
        return client

    @property
    def async_client(self) -> AsyncClient:
        """Like `client`, awaited; it works in every event loop."""
        client: AsyncClient = self._links.async_client()
        return client

    def get_context_window(self) -> int:
        """Return how many tokens to pack into a prompt; may ask Ollama once (see `_window`)."""
        told = self._told_window()
        if told is not None:
            return told
        window = windows.get(self._window_key(), lambda: self._links.show(self.model))
        say_once(_PACKED % window)
        return window

    def to_payload(self) -> dict[str, Any]:
        """Return what events tell of this model, as far as it is known without asking."""
        told = self._told_window()
        metadata = LLMMetadata(
            context_window=windows.known(self._window_key()) if told is None else told,
            num_output=DEFAULT_NUM_OUTPUTS,
            model_name=self.model,
            is_chat_model=True,
            is_function_calling_model=self.is_function_calling_model,
        )
        return {"class_name": self.class_name(), **metadata.model_dump()}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy that shares clients, embedder and cache: those have no copies."""
        memo = {} if memo is None else memo
        for shared in (
            self.embed_model, self.extractor, self.aegis, self._links, self._client,
            self._async_client, self.rate_limiter,
        ):  # fmt: skip
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    def __repr_args__(self) -> Any:
        for name, value in super().__repr_args__():
            yield name, shown_urls(value) if name == "base_url" else value

    @property
    def _model_kwargs(self) -> dict[str, Any]:
        num_ctx = None if self.context_window == -1 else self.context_window
        given = {"temperature": self.temperature, "num_ctx": num_ctx, **self.additional_kwargs}
        return {name: value for name, value in given.items() if value is not None}

    def _convert_to_ollama_messages(self, messages: Sequence[ChatMessage]) -> Any:
        if isinstance(messages, Sent):
            return messages.wire
        return super()._convert_to_ollama_messages(messages)

    def _told_window(self) -> int | None:
        num_ctx = self._model_kwargs.get("num_ctx")
        return num_ctx if isinstance(num_ctx, int) and num_ctx > 0 else None

    def _window_key(self) -> tuple[str, str]:
        return self.server(awaited=False), self.model

    def _relink(self) -> None:
        answering = self._connected()
        self._client, self._async_client = self._links.given
        self._links = Links(answering, self)

    def _connected(self) -> Answering:
        config = config_of(self, _GIVEN)
        if self.embed_model is None:
            say_once("no embed_model given: only exact repeats are answered from the cache")
            return connect(config)
        return connect(config, LlamaIndexEmbedder(self.embed_model, config.cache.embedding_id))
