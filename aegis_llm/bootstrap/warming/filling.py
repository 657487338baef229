"""Has the slots of a model read the beginnings that prompts share. Pure.

One request fills one slot, so as many are sent at once as there may be slots: where there are
fewer, the surplus finds the prefix read already and costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis_llm.bootstrap.warming import reading as r
from aegis_llm.bootstrap.warming.effects import CallError, Model, Rate, Said, Send, Slots, Wanted
from aegis_llm.bootstrap.warming.values import WarmedPrefix
from aegis_llm.plan import Plan

HELLO = {"role": "user", "content": "Hi"}
_USUAL_SLOTS = 4
_FOUND = 0.3  # share of the time of reading a prefix, below which it was there
_ROOM = 0.9  # share of a context that a prefix may take


def chat_body(
    model: Model, options: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a body with the prompt of `given` that asks for one token.

    It is refused, not cut, when it is longer than the context.
    """
    messages = list(given["messages"])
    if not any(message.get("role") == "user" for message in messages):
        messages.append(HELLO)  # some templates refuse a prompt without a question
    body = {
        **model.extra,
        **given,
        "model": model.name,
        "messages": messages,
        "options": {**options, "num_predict": 1},
        "stream": False,
        "truncate": False,
    }
    return body if model.keep_alive is None else {**body, "keep_alive": model.keep_alive}


def fill(
    model: Model, options: Mapping[str, Any], wanted: Wanted
) -> Plan[tuple[list[WarmedPrefix], float | None]]:
    """Fill the prefixes; return also the longest load time that the answers report."""
    slots = wanted.num_parallel or (yield Slots(model.name)) or _USUAL_SLOTS
    copies = max(1, slots // len(wanted.prefixes))
    bodies = [chat_body(model, options, given) for given in wanted.prefixes]
    answers: Sequence[Said | CallError] = yield Send(
        tuple(body for body in bodies for _ in range(copies))
    )
    filled, loads = [], []
    for place in range(len(bodies)):
        mine = answers[place * copies : (place + 1) * copies]
        done = [one for one in mine if isinstance(one, Said)]
        loads += [r.seconds_of(one.body, "load") for one in done]
        lost = next((one for one in mine if isinstance(one, CallError)), None)
        filled.append((yield from _told(place + 1, model, done, lost, options)))
    return filled, max(loads, default=None)


def _told(
    place: int,
    model: Model,
    done: Sequence[Said],
    lost: CallError | None,
    options: Mapping[str, Any],
) -> Plan[WarmedPrefix]:
    problem = "" if lost is None else r.not_filled(place, model.name, lost)
    if not done:
        return WarmedPrefix(model=model.name, prefix=place, problem=problem)
    tokens = max(_tokens(one) for one in done)
    took = [r.seconds_of(one.body, "prompt_eval") for one in done]
    known: float = yield Rate(model.name, max(took) / max(1, tokens))
    least = _FOUND * max(*took, known * tokens)
    context = options.get("num_ctx")
    if not problem and context and tokens > _ROOM * context:
        problem = (
            f"prefix {place} takes {tokens:,} of the {context:,} tokens of the context: shorten"
            " it, or raise num_ctx"
        )
    return WarmedPrefix(
        model=model.name,
        prefix=place,
        tokens=tokens,
        sent=len(done),
        read=sum(one >= least for one in took),
        seconds=max(one.seconds for one in done),
        problem=problem,
    )


def _tokens(said: Said) -> int:
    count = said.body.get("prompt_eval_count")
    return count if isinstance(count, int) else 0
