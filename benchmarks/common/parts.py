"""What is measured: the server, a request, an answer, and models that take no time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from langchain_core.caches import RETURN_VAL_TYPE, BaseCache, InMemoryCache
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from aegis_llm.config import AegisConfig, CacheConfig
from aegis_llm.values import Request
from tests.redis_server import RedisServer

_SENTENCE = "The relay valve on the second floor opens when the pressure falls under two bar. "
ANSWER = (_SENTENCE * 13)[:1000]
SYSTEM = "You answer questions about the plant in two sentences, in the language of the question."
QUESTION = "When does the relay valve on the second floor open, and who closes it again?"
MESSAGES: list[BaseMessage] = [SystemMessage(SYSTEM), HumanMessage(QUESTION)]
MODEL = "llama3.1:8b"
SERVER = "http://bench"
DIGEST = "46e0c10c039e019119339687c3c1757cc81b9da49709a3b3924863ba87ca666e"


@dataclass(frozen=True)
class Bench:
    """A Redis and a namespace of its own on it."""

    url: str
    namespace: str
    private: bool

    def client(self, **options: Any) -> Any:
        """Return a client as a user would make it."""
        return redis.Redis.from_url(self.url, **options)

    def config(self, **options: Any) -> AegisConfig:
        """Return settings with the local copy off, unless `local_max_bytes` is given.

        Timeouts are wide: a stall of a shared machine is to be measured, not cut off.
        """
        given: dict[str, Any] = {
            "local_max_bytes": 0,
            "redis_timeout_ms": 2000,
            "redis_connect_timeout_ms": 2000,
            "namespace": self.namespace,
        }
        return AegisConfig(cache=CacheConfig(redis_url=self.url, **{**given, **options}))

    def clear(self) -> None:
        """Delete what the benchmark wrote; everything, if the server is its own."""
        with self.client() as client:
            if self.private:
                client.flushall()
                return
            for index in client.execute_command("FT._LIST"):
                if self.namespace.encode() in bytes(index):
                    client.execute_command("FT.DROPINDEX", index)
            for key in client.scan_iter(match=f"*{self.namespace}*", count=1000):
                client.unlink(key)


@contextmanager
def bench() -> Iterator[Bench]:
    """Start a Redis, or use the one at `AEGIS_REDIS_URL` where none can be started."""
    with RedisServer() as server:
        made = Bench(server.url, f"bench{os.getpid()}", server.private)
        try:
            yield made
        finally:
            made.clear()


class KnownModels:
    """Says the digests of models without an Ollama."""

    server = SERVER

    def fetch(self) -> Mapping[str, str]:
        """Return digests by model name."""
        return {MODEL: DIGEST}


def request(system: str = SYSTEM, question: str = QUESTION) -> Request:
    """Return a request of the core, as ChatAegis makes it."""
    return Request(
        model=MODEL,
        messages=({"role": "system", "content": system}, {"role": "user", "content": question}),
        params={"options": {"temperature": 0.0, "num_ctx": 4096}},
        server=SERVER,
    )


class InstantChat(BaseChatModel):
    """A chat model that takes no time; `inside` runs once in each generation."""

    model: str = MODEL
    temperature: float = 0.0
    inside: Callable[[], object] | None = None

    @property
    def _llm_type(self) -> str:
        return "instant"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "temperature": self.temperature}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.inside is not None:
            self.inside()
        return ChatResult(generations=[ChatGeneration(message=answer_message())])


def answer_message() -> AIMessage:
    """Return the answer as a model's message."""
    return AIMessage(
        content=ANSWER,
        response_metadata={"model": MODEL, "done": True, "done_reason": "stop"},
        usage_metadata={"input_tokens": 60, "output_tokens": 200, "total_tokens": 260},
    )


class _Noting(BaseCache):
    """Notes what LangChain hands to a cache."""

    def __init__(self) -> None:
        self.strings = ("", "")

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        self.strings = (prompt, llm_string)
        return None

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        self.strings = (prompt, llm_string)

    def clear(self, **kwargs: Any) -> None:
        self.strings = ("", "")


def cache_strings() -> tuple[str, str]:
    """Return the prompt string and the llm string that LangChain makes of the messages."""
    cache = _Noting()
    InstantChat(cache=cache).invoke(MESSAGES)
    return cache.strings


def in_memory() -> InMemoryCache:
    """Return LangChain's own cache."""
    return InMemoryCache()
