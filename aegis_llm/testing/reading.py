"""Find the question and the context inside the messages of a chat."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aegis_llm.testing.words import sentences

_CONTEXT_START = re.compile(
    r"(?im)context information is below\.?|context information from[^\n]*below\.?|"
    r"<(?:context|documents?|sources?)>|"
    r"^[ \t#*]*(?:retrieved |relevant |given )?(?:context|documents?|sources?|passages?|excerpts?)"
    r"\**[ \t]*:|pieces of (?:retrieved )?context[^\n:]*[:\n]|context(?: below)?:"
)
_CONTEXT_END = re.compile(
    r"(?im)</(?:context|documents?|sources?)>|given the (?:new )?context|"
    r"^[ \t#*]*(?:question|query|user question|q|instructions?|(?:helpful )?answer)\**[ \t]*:|"
    r"based on the above|using the context above|instruction: "
)
_QUESTION = re.compile(
    r"(?im)(?:^[ \t#*]*(?:user )?(?:question|query|q)\**[ \t]*:|"
    r"^[ \t]*follow[ -]?up (?:message|input|question)[ \t]*:|<follow up message>|<question>)"
)
_QUESTION_END = re.compile(
    r"(?im)^[ \t#*]*(?:answer|helpful answer|response|a|standalone question|refined answer)"
    r"\**[ \t]*:|<standalone question>|</question>"
)
_REPHRASE = re.compile(r"(?i)standalone question")
_RULE = re.compile(r"^[-=_*`~\s]{3,}$", re.MULTILINE)


@dataclass(frozen=True)
class Reading:
    """What a chat asks.

    Attributes:
        question: The last thing the user wants to know.
        context: Sentences that may answer it, in order; empty without a context.
        earlier: The user's question before that, or "".
        tool_results: Contents of the tool messages after the last user message.
        rephrase: Whether the user wants the question itself in other words.
    """

    question: str
    context: tuple[str, ...] = ()
    earlier: str = ""
    tool_results: tuple[str, ...] = ()
    rephrase: bool = False


def read(messages: Sequence[Mapping[str, Any]]) -> Reading:
    """Return the question, the context and the tool results of a chat."""
    users = [message for message in messages if message.get("role") == "user"]
    last = _text(users[-1]) if users else ""
    question = find_question(last)
    blocks = [
        find_context(_text(message))
        for message in messages
        if message.get("role") == "system" or message is (users[-1] if users else None)
    ]
    context = tuple(line for block in blocks for line in sentences(_RULE.sub("\n", block)))
    return Reading(
        question=question,
        context=tuple(dict.fromkeys(context)),
        earlier=find_question(_text(users[-2])) if len(users) > 1 else "",
        tool_results=_tool_results(messages),
        rephrase=bool(_REPHRASE.search(last)),
    )


def find_question(text: str) -> str:
    """Return the question that a user's message asks."""
    marks = list(_QUESTION.finditer(text))
    if marks:
        rest = text[marks[-1].end() :]
        ends = [end for mark in (_QUESTION_END, _CONTEXT_START) if (end := mark.search(rest))]
        found = rest[: min(end.start() for end in ends)] if ends else rest
        found = next((part for part in re.split(r"\n\s*\n", found) if part.strip()), "")
        if found.strip():
            return found.strip()
    start = _CONTEXT_START.search(text)
    if start:
        end = _CONTEXT_END.search(text, start.end())
        outside = [text[: start.start()], text[end.end() :] if end else ""]
        if not end:
            paragraphs = re.split(r"\n\s*\n", text[start.end() :].strip())
            outside.append(paragraphs[-1] if len(paragraphs) > 1 else "")
        asked = [line for part in outside for line in sentences(part)]
        marked = [line for line in asked if line.endswith("?")]
        if marked or asked:
            return (marked or asked)[-1]
    return text.strip()


def find_context(text: str) -> str:
    """Return the part of a message that is given as context, or ""."""
    start = _CONTEXT_START.search(text)
    if start is None:
        return ""
    end = _CONTEXT_END.search(text, start.end())
    return text[start.end() : end.start() if end else len(text)].strip()


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _tool_results(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    found: list[str] = []
    for message in reversed(messages):
        if message.get("role") == "tool":
            found.append(_text(message))
        elif message.get("role") == "user":
            break
    return tuple(reversed(found))
