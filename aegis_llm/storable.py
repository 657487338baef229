"""Which answers may be kept: only complete ones. Pure."""

from __future__ import annotations

import msgspec

from aegis_llm.values import Answer, Request

_parse = msgspec.json.Decoder().decode


def not_storable(request: Request, answers: tuple[Answer, ...]) -> str:
    """Return why the answers must not be stored, or an empty text.

    An answer is complete when the model said `stop`; where a framework hides the reason
    (`Request.identity` is given), an absent one is accepted. With a `format` the text must parse.
    """
    if not answers:
        return "empty_answer"
    for answer in answers:
        if not answer.text.strip() and not answer.tool_calls and not answer.blocks:
            return "empty_answer"
        reason = answer.done_reason
        if reason != "stop" and not (reason is None and request.identity is not None):
            return f"done_reason_{reason or 'absent'}"
        if request.params.get("format") and not answer.tool_calls and not _json(answer.text):
            return "format_not_met"
    return ""


def not_shareable(request: Request, answers: tuple[Answer, ...]) -> bool:
    """Return whether followers of the same request must call for themselves.

    An answer cut by `num_predict` is not stored, yet it is what each of them would get.
    """
    cut = tuple(msgspec.structs.replace(a, done_reason="stop") for a in answers)
    complete = all(answer.done_reason in ("stop", "length", None) for answer in answers)
    known = request.identity is not None or all(answer.done_reason for answer in answers)
    return not (complete and known) or bool(not_storable(request, cut))


def _json(text: str) -> bool:
    try:
        _parse(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True
