"""Questions tried on the page: what the cache would do with one, and two against each other."""

from __future__ import annotations

from typing import Any

from aegis_llm.cli_explain import Comparison, compare, explained, options_of
from aegis_llm.cli_parts import OllamaEmbedder, is_text
from aegis_llm.config import AegisConfig
from aegis_llm.control import cache_control
from aegis_llm.errors import ConfigError
from aegis_llm.explanation import Explanation
from aegis_llm.keys import request_from_body
from aegis_llm.ollama_client import OllamaModels
from aegis_llm.wiring import build

_PATIENT = {"redis_timeout_ms": 2000, "redis_connect_timeout_ms": 2000, "embed_timeout_ms": 60000}
_ELSEWHERE = 3


class Trying:
    """Explains with the embedder that the entries were made with; nothing is served or stored."""

    def __init__(self, config: AegisConfig, embedder: OllamaEmbedder) -> None:
        self._config = config.with_options(**_PATIENT)
        self._embedder = embedder
        self._service = build(self._config, embedder)
        self._source = OllamaModels(embedder.url, {})

    def against(self, asked: str, other: str) -> Comparison:
        """Return whether the answer to one would be served for the other.

        Raises:
            ConfigError: A question is empty.
        """
        texts = checked(asked), checked(other)
        return compare(*texts, self._config.cache, self._embedder)

    def explained(
        self, question: str, model: str, system: str, options: str, tenant: str, user: str
    ) -> Explanation:
        """Return what the cache would do with a question, asked so; `options` are JSON.

        Raises:
            ConfigError: The question or the model is empty, or the options are none.
        """
        if not model.strip():
            msg = "the model is empty; give the one that the application asks"
            raise ConfigError(msg)
        body: dict[str, Any] = {"model": model.strip()}
        if options.strip():
            body["options"] = options_of(options)
        body["messages"] = [{"role": "user", "content": checked(question)}]
        if system.strip():
            body["messages"].insert(0, {"role": "system", "content": system})
        request = request_from_body(body, server=self._source.server)
        with cache_control(tenant=tenant.strip() or None, user=user.strip() or None):
            return explained(self._service, request, self._source, _ELSEWHERE)

    def close(self) -> None:
        """Close the connections."""
        self._service.store.close()


def checked(text: str) -> str:
    """Return a question without white space around it.

    Raises:
        ConfigError: There is none.
    """
    if not text.strip() or not is_text(text):
        msg = "a question is empty; write it out"
        raise ConfigError(msg)
    return text.strip()
