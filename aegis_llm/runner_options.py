"""Gives requests the runner options that their model is loaded with; see `batching.agreeing`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aegis_llm.batching.agreeing import SharedOptions
from aegis_llm.keys import normal_model
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.fleet import Fleet
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.scheduling import current_terms

log = logging.getLogger("aegis_llm")
_quiet = Quiet()
_IMAGE = 4096  # most tokens that an image takes
_MARKS = 32  # most tokens that a template puts around a message


def settled(
    fleet: Fleet | None, body: Mapping[str, Any], *, rehearsed: bool = False
) -> dict[str, Any]:
    """Return the options to send with a body: its own, the same object, where they may stay.

    `rehearsed`: nothing is sent, so nothing is agreed.
    """
    options: dict[str, Any] = body["options"]
    if fleet is None or not fleet.config.normalise_options:
        return options
    model, insist = _model(body), current_terms().insist
    with QUEUES.agreed(fleet.addresses, model) as agreed:
        if agreed.alike(options):
            return options  # the usual case, also of each hit: nothing more is read of the body
        done = agreed.settle(options, _size(body), insist=insist, rehearsed=rehearsed)
    if not done.changed:
        return options
    servers = ", ".join(link.name for link in fleet.links)
    if not rehearsed and _quiet.may_say(f"{servers} {model}"):
        log.warning(
            "a request would make %s load %s anew; it is sent with %s (scheduling(insist=True) or "
            "normalise_options=False keeps its own)",
            servers,
            model,
            ", ".join(
                f"{n}={given!r} in place of {own!r}" for n, (own, given) in done.changed.items()
            ),
        )
    return done.options


def tell(fleet: Fleet, body: Mapping[str, Any], *, worked: bool) -> None:
    """Note that the server answered a body, or failed it: whether its runner options are good."""
    options = body.get("options")
    if fleet.config.normalise_options and isinstance(options, Mapping):
        with QUEUES.agreed(fleet.addresses, _model(body)) as agreed:
            (agreed.worked if worked else agreed.failed)(options)


def checked(fleet: Fleet, body: Mapping[str, Any], part: Any) -> Any:
    """Return the last part of an answer; one that may have been cut by the context says so.

    The answer is then not kept, and the model is loaded with its caller's own context next time.
    """
    options = body.get("options")
    if not isinstance(options, SharedOptions) or not part.get("done"):
        return part
    tokens = (part.get("prompt_eval_count") or 0) + (part.get("eval_count") or 0)
    if options.filled(tokens):
        part["done_reason"] = "length"
        with QUEUES.agreed(fleet.addresses, _model(body)) as agreed:
            agreed.outgrown(options)
    return part


def _model(body: Mapping[str, Any]) -> str:
    return normal_model(str(body.get("model", "")))


def _size(body: Mapping[str, Any]) -> int:
    """Return the most tokens that a prompt may have: one a byte; see `Agreed.settle`."""
    size = _MARKS + _bytes(body.get("tools"))
    for message in body.get("messages") or ():
        size += _MARKS
        size += _bytes(message.get("content")) + _bytes(message.get("thinking"))
        size += _bytes(message.get("tool_calls"))
        size += _IMAGE * len(message.get("images") or ())
    return size


def _bytes(text: Any) -> int:
    return len(str(text or "").encode("utf-8", "surrogatepass"))
