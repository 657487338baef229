"""The request that a call of a chain makes: its question, and all else it is given. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue

from aegis_llm.quiet import Quiet
from aegis_llm.values import Request
from langchain_aegis._generations import UnstorableError
from langchain_aegis._values import told_input

Question = str | Callable[[Any], str | None] | None
_NAMES = ("question", "input", "query")
_HOLE = {"$question": True}
_NO_KEY = object()
_quiet = Quiet()
log = logging.getLogger("aegis_llm")


def request_of(
    given: Any, rest: list[Any], question: Question, identity: str, uses: Any
) -> Request:
    """Return the request of one call of a chain; `rest` is what it is given beside its input.

    What of `rest` cannot be part of a key makes a request that has none, which is bypassed.

    Raises:
        UnstorableError: The input has no question, or holds what cannot be part of a key.
    """
    asked, inputs = _split(given, question)
    if not asked.strip():
        raise UnstorableError("an input without a question")
    return Request(
        model="",
        messages=({"role": "user", "content": asked},),
        params={"inputs": inputs, "given": _given(rest)},
        identity=identity,
        uses=uses,
        framework="langchain",
        operation="invoke_workflow",
    )


def _given(rest: list[Any]) -> Any:
    try:
        return told_input(rest)
    except UnstorableError as exc:
        if _quiet.may_say(str(exc)):
            log.warning("cache_chain: bypassed for what is given beside the input: %s", exc)
        return _NO_KEY


def _split(given: Any, question: Question) -> tuple[str, Any]:
    """Return the question, and the input with a hole in its place."""
    if callable(question):
        asked = question(given)
        if not isinstance(asked, str):
            raise UnstorableError("an input in which question(...) finds no question")
        told, _ = _without(told_input(given), asked, False)
        return asked, told
    if isinstance(given, PromptValue):
        given = given.to_messages()
    if isinstance(given, str) and question is None:
        return given, None
    if isinstance(given, list) and question is None:
        messages = convert_to_messages(given)
        return _last(messages), told_input(messages[:-1])
    if isinstance(given, Mapping):
        return _named(dict(given), question)
    msg = f"an input that is a {type(given).__name__}"
    raise UnstorableError(msg)


def _named(given: dict[str, Any], question: str | None) -> tuple[str, Any]:
    names = _NAMES if question is None else (question,)
    for name in names:
        if isinstance(given.get(name), str):
            return given.pop(name), [name, told_input(given)]
    messages = given.pop("messages", None)
    if question is None and isinstance(messages, list):
        messages = convert_to_messages(messages)
        return _last(messages), ["messages", told_input(messages[:-1]), told_input(given)]
    msg = f"an input without a text under {' or '.join(map(repr, names))}"
    raise UnstorableError(msg)


def _last(messages: list[Any]) -> str:
    last = messages[-1] if messages else None
    if isinstance(last, HumanMessage) and isinstance(last.content, str) and _bare(last):
        return last.content
    raise UnstorableError("messages that do not end with a text of the user")


def _bare(message: BaseMessage) -> bool:
    return not message.additional_kwargs and message.name is None


def _without(told: Any, asked: str, found: bool) -> tuple[Any, bool]:
    """Return the input with a hole where the question stands last as a whole text."""
    if told == asked and not found:
        return _HOLE, True
    if isinstance(told, list):
        parts = []
        for one in reversed(told):
            part, found = _without(one, asked, found)
            parts.append(part)
        return parts[::-1], found
    if isinstance(told, dict):
        named = {}
        for name in reversed(told):
            named[name], found = _without(told[name], asked, found)
        return dict(reversed(named.items())), found
    return told, found
