"""What the cache would do with a request of LangChain, told without a model call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue

from aegis_llm.explanation import Explanation
from aegis_llm.values import Request

if TYPE_CHECKING:
    from aegis_llm.answering import Answering


class _Model(Protocol):
    _answering: Answering

    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue: ...

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Request | None: ...


class Explains:
    """Adds `explain` and `aexplain` to a model of LangChain."""

    def explain(
        self: _Model,
        input: LanguageModelInput,
        *,
        stop: list[str] | None = None,
        elsewhere: int = 0,
        all_tenants: bool = False,
        **kwargs: Any,
    ) -> Explanation:
        """Tell what the cache would do with this input and why; `print` shows it.

        Takes what `invoke` takes; `cache_control` holds. Neither serves nor stores, and does not
        call the model. Redis down or a failing embedder is told, never raised. Where nothing was
        stored in this context yet, the `elsewhere` nearest entries of other contexts are shown, of
        the same tenant unless `all_tenants`.
        """
        messages = self._convert_input(input).to_messages()
        request = self._request(messages, stop, kwargs)
        if request is None:
            return unexplained("uncacheable_request")
        service = self._answering.service
        return service.explain(request, elsewhere=elsewhere, all_tenants=all_tenants)

    async def aexplain(
        self: _Model,
        input: LanguageModelInput,
        *,
        stop: list[str] | None = None,
        elsewhere: int = 0,
        all_tenants: bool = False,
        **kwargs: Any,
    ) -> Explanation:
        """Like `explain`, awaited."""
        messages = self._convert_input(input).to_messages()
        request = self._request(messages, stop, kwargs)
        if request is None:
            return unexplained("uncacheable_request")
        service = self._answering.service
        return await service.aexplain(request, elsewhere=elsewhere, all_tenants=all_tenants)


def unexplained(reason: str) -> Explanation:
    """Return the explanation of a request that the cache does not take."""
    return Explanation("bypass", reason)


def looked_up(input: LanguageModelInput, llm: BaseChatModel | str) -> tuple[str, str]:
    """Return the prompt and the llm string that LangChain would look up for `llm.invoke(input)`.

    With an llm string in place of the model, the input is the prompt.

    Raises:
        TypeError: It is neither a chat model nor an llm string of a prompt.
    """
    if isinstance(llm, BaseChatModel):
        messages = llm._convert_input(input).to_messages()
        plain = [message.model_copy(update={"id": None}) for message in messages]
        return dumps(plain), llm._get_llm_string()
    if not isinstance(input, str) or type(llm) is not str:
        msg = f"explain() takes a chat model, or a prompt and an llm string, not {type(llm)}"
        raise TypeError(msg)
    return input, llm
