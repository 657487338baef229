"""Both drivers perform the same effects in the same order and end the same way."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from aegis_llm import codec
from aegis_llm import plan as p
from aegis_llm.drivers import arun, run
from aegis_llm.errors import EmbedTrouble, NotCachedError, StoreTrouble
from aegis_llm.values import Answer, Control
from tests.unit.planning import Flight, Hand, ask, entry_for, near, rules

EXACT = codec.encode(entry_for(ask()))
DOWN = StoreTrouble("redis_down")
SCENARIOS: dict[str, tuple[Control, dict[str, Any]]] = {
    "miss": (Control(), {}),
    "local": (Control(), {"GetLocal": EXACT}),
    "exact": (Control(), {"GetExact": EXACT}),
    "semantic": (Control(), {"Nearest": [(near("How should I water a cactus?"), 0.97)]}),
    "coalesced": (Control(), {"Join": p.Seat(entry=entry_for(ask()))}),
    "stream": (Control(), {"Join": p.Seat(stream="stream")}),
    "alone": (Control(), {"Join": p.Seat()}),
    "bypass": (Control(bypass=True), {}),
    "refresh": (Control(refresh=True), {}),
    "only if cached": (Control(only_if_cached=True), {}),
    "unknown model": (Control(), {"Digest": None}),
    "redis down": (Control(), {"GetExact": DOWN}),
    "junk": (Control(), {"GetExact": b"junk"}),
    "junk, then down": (Control(), {"GetExact": b"junk", "Drop": DOWN}),
    "embedder down": (Control(), {"Embed": EmbedTrouble("embedding_failed")}),
    "index gone": (Control(), {"Nearest": StoreTrouble("index_missing")}),
    "join breaks": (Control(), {"Join": ZeroDivisionError("join")}),
    "nearest breaks": (Control(), {"Nearest": ZeroDivisionError("nearest")}),
}


def ending(call: Callable[[], Any]) -> Any:
    """What a call returned, or the type and text of what it raised."""
    try:
        return call()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it gets compared
        return type(exc), str(exc)


@pytest.mark.parametrize("name", SCENARIOS)
def test_blocking_and_awaited_do_the_same(name: str) -> None:
    control, replies = SCENARIOS[name]
    flight = Flight()
    replies = {"Join": p.Seat(flight=flight), **replies}
    blocking, awaited = Hand(**replies), Hand(**replies)

    async def perform(effect: Any) -> Any:
        await asyncio.sleep(0)
        return awaited.reply(effect)

    def plan() -> p.Plan[p.Opened]:
        return p.open_plan(ask(), control, rules())

    one = ending(lambda: run(plan(), blocking.reply))
    abandoned = flight.abandoned
    two = ending(lambda: asyncio.run(arun(plan(), perform)))
    assert one == two
    assert blocking.log == awaited.log
    assert flight.abandoned == 2 * abandoned
    by_hand = Hand(**replies)
    assert ending(lambda: by_hand.drive(plan())) == one
    assert by_hand.log == blocking.log


@pytest.mark.parametrize("put", [None, StoreTrouble("redis_full"), ZeroDivisionError("put")])
def test_closing_is_the_same_too(put: Exception | None) -> None:
    ticket = run(p.open_plan(ask(), Control(), rules()), Hand().reply).ticket
    assert ticket is not None
    blocking, awaited = Hand(Put=put), Hand(Put=put)
    answers = (Answer(text="x", done_reason="stop"),)

    async def perform(effect: Any) -> Any:
        return awaited.reply(effect)

    def plan() -> p.Plan[str]:
        return p.close_plan(ticket, answers, rules())

    one = ending(lambda: run(plan(), blocking.reply))
    assert one == ending(lambda: asyncio.run(arun(plan(), perform)))
    assert blocking.log == awaited.log != []


def test_an_exception_that_is_no_error_closes_the_plan() -> None:
    """Ctrl-C in the middle: the leader hands over."""
    hand = Hand()

    def perform(effect: Any) -> Any:
        if isinstance(effect, p.Embed):
            raise KeyboardInterrupt
        return hand.reply(effect)

    with pytest.raises(KeyboardInterrupt):
        run(p.open_plan(ask(), Control(), rules()), perform)
    assert hand.flight.abandoned == 1


@pytest.mark.parametrize("where", [p.Digest, p.GetExact, p.Join, p.Embed, p.Nearest])
async def test_a_cancelled_task_closes_the_plan_where_it_is(where: type) -> None:
    hand = Hand()
    reached = asyncio.Event()

    async def perform(effect: Any) -> Any:
        if isinstance(effect, where):
            reached.set()
            await asyncio.Event().wait()
        return hand.reply(effect)

    plan = p.open_plan(ask(), Control(), rules())
    task = asyncio.create_task(arun(plan, perform))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert plan.gi_frame is None, "the plan was not closed"
    assert hand.flight.abandoned == int(where in (p.Embed, p.Nearest))


def test_an_error_keeps_the_frames_that_show_where_it_came_from() -> None:
    def broken_part() -> None:
        raise ZeroDivisionError

    def perform(effect: Any) -> Any:
        return broken_part()

    with pytest.raises(ZeroDivisionError) as caught:
        run(p.open_plan(ask(), Control(), rules()), perform)
    names = {frame.name for frame in traceback.extract_tb(caught.tb)}
    assert {"broken_part", "perform", "_open"} <= names

    async def aperform(effect: Any) -> Any:
        return broken_part()

    with pytest.raises(ZeroDivisionError) as caught:
        asyncio.run(arun(p.open_plan(ask(), Control(), rules()), aperform))
    assert {"broken_part", "aperform", "_open"} <= {
        frame.name for frame in traceback.extract_tb(caught.tb)
    }


def test_not_cached_passes_through_both() -> None:
    control = Control(only_if_cached=True)
    with pytest.raises(NotCachedError):
        run(p.open_plan(ask(), control, rules()), Hand().reply)
