"""Gives requests the runner options that their model is loaded with; see `batching.agreeing`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aegis_llm.keys import normal_model
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.fleet import Fleet
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.scheduling import current_terms

log = logging.getLogger("aegis_llm")
_quiet = Quiet()


def settled(
    fleet: Fleet | None, body: Mapping[str, Any], *, rehearsed: bool = False
) -> dict[str, Any]:
    """Return the options to send with a body: its own, the same object, where they may stay.

    `rehearsed`: nothing is sent, so nothing is agreed.
    """
    options: dict[str, Any] = body["options"]
    if fleet is None or not fleet.links[0].dispatcher.config.normalise_options:
        return options
    model = normal_model(str(body.get("model", "")))
    name = fleet.links[0].name
    agreed = QUEUES.agreed(name, model)
    size = sum(len(str(m.get("content") or "")) for m in body.get("messages") or ())
    size += len(str(body.get("tools") or ""))
    insist = current_terms().insist
    done = agreed.settle(options, size, insist=insist, rehearsed=rehearsed)
    if not done.changed:
        return options
    changes = ", ".join(
        f"{name}={given!r} in place of {asked!r}" for name, (asked, given) in done.changed.items()
    )
    if not rehearsed and _quiet.may_say(f"{name} {model} {changes}"):
        log.warning(
            "a request would make %s load %s anew; it is sent with %s (scheduling(insist=True) or "
            "normalise_options=False keeps its own)",
            name,
            model,
            changes,
        )
    return done.options
