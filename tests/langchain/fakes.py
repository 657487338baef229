"""Chat models that are no Ollama: they count their calls and answer what they are told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class Named(BaseChatModel):
    """A model that says its name and settings, as most providers' classes do."""

    model: str = "m-1"
    temperature: float | None = None
    answers: Any = None
    calls: ClassVar[list[str]] = []

    @property
    def _llm_type(self) -> str:
        return "named"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "temperature": self.temperature}

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.calls.append(self.model)
        made = self.answers or [AIMessage(f"{self.model}: {messages[-1].text}")]
        return ChatResult(
            generations=[
                one
                if isinstance(one, ChatGeneration)
                else ChatGeneration(message=one.model_copy(deep=True))
                for one in made
            ]
        )


class Streaming(Named):
    """As `Named`, and can stream."""

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        self.calls.append(self.model)
        yield ChatGenerationChunk(message=AIMessageChunk(content="streamed"))


class Nameless(Named):
    """A model that, like ChatOllama, says nothing about itself."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {}
