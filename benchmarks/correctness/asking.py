"""Asks a cached model, and the same model without a cache, and compares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage
from langchain_ollama import ChatOllama

from benchmarks.correctness.systems import Make

Shape = Callable[[Any], Any]
"""Turns a model into what is asked: binds tools, for instance."""


@dataclass(frozen=True)
class Question:
    """One request: messages (or a text), the model's settings, and its shape."""

    messages: Any
    settings: dict[str, Any] = field(default_factory=dict)
    shape: Shape = lambda model: model


@dataclass
class Score:
    """How many requests were asked, answered from the cache, and answered wrongly."""

    asked: int = 0
    hits: int = 0
    wrong: int = 0
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        failed = f", {len(self.errors)} exceptions" if self.errors else ""
        return f"{self.wrong} of {self.asked} ({self.hits} hits{failed})"


class Asking:
    """Asks questions; `calls` counts the model's calls, `settings` are common to all."""

    def __init__(self, calls: Callable[[], int], **settings: Any) -> None:
        self._calls = calls
        self._settings = settings
        self._truths: dict[str, tuple[str, str]] = {}

    def ask(self, make: Make, questions: Iterable[Question]) -> Score:
        """Ask one question after the other; compare each answer with the uncached one."""
        score = Score()
        for question in questions:
            truth = self.truth(question)
            score.asked += 1
            before = self._calls()
            try:
                answer = self.answer(make, question)
            except Exception as exc:  # noqa: BLE001 - counted: a user would see it
                score.errors.append(f"{type(exc).__name__}: {exc}")
                continue
            score.hits += self._calls() == before
            score.wrong += answer != truth
        return score

    def answer(self, make: Make, question: Question) -> tuple[str, str]:
        """Return text and tool calls of a model's answer."""
        model = question.shape(make(**{**self._settings, **question.settings}))
        return _told(model.invoke(question.messages))

    def truth(self, question: Question) -> tuple[str, str]:
        """Return what the model says without a cache; it says the same each time."""
        name = repr((question.messages, question.settings, question.shape))
        if name not in self._truths:
            self._truths[name] = self.answer(_uncached, question)
            assert self._truths[name] == self.answer(_uncached, question)
        return self._truths[name]


def _uncached(**settings: Any) -> ChatOllama:
    return ChatOllama(cache=False, **settings)


def _told(message: AIMessage) -> tuple[str, str]:
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    return str(message.content), repr(calls)
