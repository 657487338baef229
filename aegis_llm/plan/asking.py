"""What a request asks, and how far its answer may be reused: found once, after the exact tier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aegis_llm.config import Router
from aegis_llm.matching import Route, route
from aegis_llm.matching.standalone import standalone
from aegis_llm.plan.effects import Rules
from aegis_llm.questions import NoQuestion, Split, find_question
from aegis_llm.values import Request
from aegis_llm.window import fits_window

_REUSE = Route("reuse")
_FAILED = Route("exact_only", "router_failed")
_NOT_LOOKED_FOR = NoQuestion("")


class Asked(msgspec.Struct, frozen=True):
    """The question of a request, or why there is none, and its route."""

    split: Split | NoQuestion
    route: Route = _REUSE


def asked(request: Request, rules: Rules) -> Asked:
    """Find the question of a request and route it."""
    router = rules.cache.router
    if router is False and not rules.semantic:
        return Asked(_NOT_LOOKED_FOR)
    split = find_question(request.messages, rules.cache.extractor)
    if isinstance(split, NoQuestion) or router is False:
        return Asked(split)
    return Asked(split, route(split.question) if router is True else _by(router, split.question))


def question_of(request: Request, found: Asked, rules: Rules) -> Split | NoQuestion:
    """Return the question, unless something keeps the request out of the semantic tier."""
    split = found.split
    if reason := _no_semantic_tier(request):
        return NoQuestion(reason)
    if isinstance(split, NoQuestion):
        return split
    if found.route.kind != "reuse":
        return NoQuestion(found.route.reason)
    if not fits_window(split.question, rules.cache.max_question_tokens):
        return NoQuestion("question_too_long")
    return split


def scoped(request: Request, split: Split, rules: Rules) -> tuple[Request, Split]:
    """Return the request without the turns that do not bear on its question, and its place in it.

    Those are the turns of user and assistant before a question that stands alone; the messages
    of the system stay, in order.
    """
    before = request.messages[: split.index]
    if rules.cache.history == "same" or not any(map(_spoken, before)):
        return request, split
    if not standalone(split.question, before):
        return request, split
    kept = tuple(message for message in before if not _spoken(message))
    request = msgspec.structs.replace(request, messages=(*kept, *request.messages[split.index :]))
    return request, msgspec.structs.replace(split, index=len(kept))


def _spoken(message: Mapping[str, Any]) -> bool:
    return message.get("role") != "system"


def _by(router: Router, question: str) -> Route:
    """Return what the user's router says; what it cannot say keeps to the exact tier."""
    try:
        told: object = router(question)
    except Exception:  # noqa: BLE001  # the user's code; the request goes on without it
        return _FAILED
    if told is None:
        return route(question)
    return told if isinstance(told, Route) else _FAILED


def _no_semantic_tier(request: Request) -> str:
    if request.exact_only:
        return request.exact_only
    if request.params.get("tools"):
        return "tools_bound"
    for message in request.messages:
        if message.get("role") == "tool" or message.get("tool_calls"):
            return "tool_message"
        if message.get("images"):
            return "images"
    return ""
