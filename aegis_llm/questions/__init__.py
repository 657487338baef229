"""Find the question inside a chat request; everything else of it belongs to the scope.

The rule above all others: text that is not the question never ends up in the question, for then
two different requests would share a scope. Where that cannot be told there is no question, and
the request keeps to the exact tier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from aegis_llm.config import Extractor
from aegis_llm.questions.shape import locate
from aegis_llm.questions.templates import cuts
from aegis_llm.questions.text import is_asking, is_plain, is_whole


class Split(msgspec.Struct, frozen=True):
    """Where the question sits: `content[start:end]` of message `index`, without white space."""

    index: int
    start: int
    end: int
    question: str


class NoQuestion(msgspec.Struct, frozen=True):
    """No question could be told from its surroundings; `reason` is one word for the outcome."""

    reason: str


def find_question(
    messages: Sequence[Mapping[str, Any]], extractor: Extractor | None = None
) -> Split | NoQuestion:
    """Return the place of the question, or why there is none; never raises.

    With an `extractor` its word counts, and the built-in patterns are not tried.
    """
    if not messages:
        return NoQuestion("no_messages")
    if any(message.get("role") == "tool" for message in messages):
        return NoQuestion("tool_message")
    index = len(messages) - 1
    if messages[index].get("role") != "user":
        return NoQuestion("last_message_not_user")
    content = messages[index].get("content")
    if not isinstance(content, str):
        return NoQuestion("no_text")
    if not content.strip():
        return NoQuestion("empty_question")
    if extractor is None:
        span = _find(content, after_user=index > 0 and messages[index - 1].get("role") == "user")
    else:
        span = _ask(extractor, messages, content)
    if isinstance(span, str):
        return NoQuestion(span)
    return _split(content, index, *span)


def whole_question(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the whole last message: an extractor for requests that are a question and no more."""
    return str(messages[-1]["content"])


def _split(content: str, index: int, start: int, end: int) -> Split | NoQuestion:
    part = content[start:end]
    question = part.strip()
    if not any(map(str.isalnum, question)):
        return NoQuestion("empty_question")
    start += len(part) - len(part.lstrip())
    return Split(index, start, start + len(question), question)


def _find(content: str, *, after_user: bool) -> tuple[int, int] | str:
    known = False
    for start, end, closed in cuts(content):
        part = content[start:end].strip()
        if not part:
            return "empty_question"
        if is_whole(part) if closed else is_plain(part, colons=True, lead=True):
            return start, end
        known = known or closed
    if known:
        return "question_not_separable"
    span = locate(content)
    if span is not None:
        return span
    whole = content.strip()
    # Two messages of the user in a row: the last may be the context of the one before.
    if is_plain(whole, colons=False, lead=False) and (is_asking(whole) or not after_user):
        return 0, len(content)
    return "question_not_separable"


def _ask(
    extractor: Extractor, messages: Sequence[Mapping[str, Any]], content: str
) -> tuple[int, int] | str:
    try:
        question: object = extractor(messages)
    except Exception:  # noqa: BLE001  # the user's code; the request goes on without it
        return "extractor_failed"
    if question is None:
        return "extractor_none"
    if not isinstance(question, str):
        return "extractor_not_text"
    question = question.strip()
    if not question:
        return "empty_question"
    start = content.find(question)
    if start < 0:
        return "extractor_not_found"
    if content.find(question, start + 1) >= 0:
        return "extractor_ambiguous"
    return start, start + len(question)


__all__ = ["NoQuestion", "Split", "find_question", "whole_question"]
