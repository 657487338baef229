"""What a call of a LangChain model asks: its request for the cache, its options for the server."""

from __future__ import annotations

from typing import Any, Protocol

from langchain_core.messages import BaseMessage

from aegis_llm.keys import UncacheableError, keyless, request_from_body
from aegis_llm.ollama_client import resolve_images
from aegis_llm.runner_options import settled
from aegis_llm.values import Request
from langchain_aegis._documents import documents_of_call


class _Model(Protocol):
    model: str
    reasoning: Any
    __pydantic_private__: Any

    def _chat_params(
        self, messages: list[BaseMessage], stop: list[str] | None, **kwargs: Any
    ) -> dict[str, Any]: ...

    def _asked(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        run: Any = None,
        *,
        rehearsed: bool = False,
    ) -> tuple[Request | None, dict[str, Any]]: ...


class Asks:
    """Reads the calls of a model of LangChain."""

    def _request(
        self: _Model, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request | None:
        """Return the request that a call would make; see `_asked`."""
        return self._asked(messages, stop, kwargs, rehearsed=True)[0]

    def _sent(
        self: _Model,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        run: Any = None,
    ) -> tuple[Request, dict[str, Any]]:
        """Like `_asked`; a request that has no key is one that is bypassed."""
        request, kwargs = self._asked(messages, stop, kwargs, run)
        return request or keyless("langchain", str(kwargs.get("model") or self.model)), kwargs

    def _asked(
        self: _Model,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        run: Any = None,
        *,
        rehearsed: bool = False,
    ) -> tuple[Request | None, dict[str, Any]]:
        """Return the request of the body that is sent, and the arguments that make that body.

        The request is None when it has no key. The arguments differ from `kwargs` where the model
        is loaded with other runner options. A message that cannot be converted is left to
        ChatOllama, whose error the caller gets.
        """
        private = self.__pydantic_private__
        try:
            body = self._chat_params(messages, stop, **kwargs)
            options = settled(private["_fleet"], body, rehearsed=rehearsed)
            if options is not body["options"]:
                body["options"] = options
                kwargs = {**kwargs, "options": options}
            body["messages"] = resolve_images(body["messages"])
            if body.get("think") and not kwargs.get("reasoning", self.reasoning):
                body["thinking"] = "hidden"  # what is stored lacks what others would show
            server = private["_source"].server
            told = documents_of_call(run)
            return request_from_body(body, server, *told, framework="langchain"), kwargs
        except UncacheableError:
            return None, kwargs
        except Exception:  # noqa: BLE001 - ChatOllama raises the same again
            return None, kwargs
