"""`bootstrap` and `abootstrap`: the same plans, driven in threads or awaited.

Callers that want the same at the same time share one run: the others wait for its result. A run
that is given up, because its caller was cancelled, is taken over by one of those that wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable
from functools import partial
from typing import Unpack

from aegis_llm.bootstrap.warming import driving
from aegis_llm.bootstrap.warming.ordering import Order, Settings, ordered
from aegis_llm.bootstrap.warming.traffic import Warmable
from aegis_llm.bootstrap.warming.values import Warmed
from aegis_llm.errors import NotWarmError
from aegis_llm.scheduler.underway import UnderWay

log = logging.getLogger("aegis_llm")
_work: UnderWay[Hashable, Warmed] = UnderWay()


def bootstrap(*objects: Warmable, **settings: Unpack[Settings]) -> Warmed:
    """Make Ollama and Redis ready, so that the first request waits for neither.

    Loads each model with the options of its traffic, so that no request loads it again; has the
    slots read the prefixes that prompts share; connects to Redis and makes the semantic index.
    What is there already is left as it is. Whatever cannot be done is a problem in the result,
    and is logged; nothing is raised, and the models work as without this call.

    Args:
        *objects: `ChatAegis`, `AegisOllama`, `AegisEmbeddings` or `AegisEmbedding`: they tell
            servers, models, options, keep_alive, Redis, and their embedding models.
        **settings: Without objects: `url` (one, or several; else `OLLAMA_HOST`), `models`,
            `options` (as their requests carry them), `embed_model`, `redis_url` (False: none),
            `namespace`, and `embedding_id`, the name of the embedder whose index is made (else
            none is).

            With either: `prefixes`, beginnings of prompts of the first chat model (a system
            prompt, or messages, or `{"messages": ..., "tools": ...}`); `keep_alive`;
            `num_parallel`, the slots to fill (else those that are known, else four); `verify`
            (True), to send one short request after each load and see that it loads nothing;
            `timeout_s` (300), the longest that all of it takes; `strict` (False), to raise when
            there is a problem.

    Raises:
        ConfigError: An argument is not usable.
        NotWarmError: There is a problem, and `strict` is set.
    """
    order = ordered(objects, **settings)
    deadline = time.monotonic() + order.timeout_s
    while True:
        claim = _work.claim((order.key,), None)
        try:
            if claim.mine:
                warmed = driving.carry_out(order, deadline)
                claim.settle({order.key: warmed})
                return _reported(order, warmed)
        finally:
            claim.release()
        led = claim.others[order.key]
        found = _work.wait(led, deadline - time.monotonic())
        if found is not None:
            return _reported(order, found, said=True)
        if time.monotonic() >= deadline:
            return _reported(order, driving.waited(order))
        if not led.done():  # a task of this thread, which cannot go on meanwhile
            return _reported(order, driving.carry_out(order, deadline))


async def abootstrap(*objects: Warmable, **settings: Unpack[Settings]) -> Warmed:
    """Like `bootstrap`, awaited; a task that is cancelled leaves nothing under way."""
    order = await driving.in_thread(partial(ordered, objects, **settings))
    deadline = time.monotonic() + order.timeout_s
    while True:
        claim = _work.claim((order.key,), asyncio.get_running_loop())
        try:
            if claim.mine:
                warmed = await driving.acarry_out(order, deadline)
                claim.settle({order.key: warmed})
                return _reported(order, warmed)
        finally:
            claim.release()
        try:
            async with asyncio.timeout_at(_loop_time(deadline)):
                found = await _work.await_(claim.others[order.key])
        except TimeoutError:
            return _reported(order, driving.waited(order))
        if found is not None:
            return _reported(order, found, said=True)


def _loop_time(deadline: float) -> float:
    return asyncio.get_running_loop().time() + deadline - time.monotonic()


def _reported(order: Order, warmed: Warmed, *, said: bool = False) -> Warmed:
    """Log what was done, unless who did it has; raise what `strict` asks for."""
    if not said:
        for problem in warmed.problems:
            log.warning("warm-up: %s", problem)
        log.info("%s", warmed)
    if order.strict and not warmed.ok:
        raise NotWarmError(warmed)
    return warmed
