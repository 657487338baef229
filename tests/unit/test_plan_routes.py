"""What the route of a question and the turns before it do to a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aegis_llm import plan as p
from aegis_llm.config import CacheConfig
from aegis_llm.errors import ConfigError, NotCachedError, StoreTrouble
from aegis_llm.matching import Route
from aegis_llm.values import Answer, Control, Origin, Request
from tests.unit.planning import QUESTION, Hand, ask, entry_for, near, opened, rules

RANDOM = "Pick a random number between 1 and 6"
PERSONAL = "What is the status of my order?"
EARLIER = (
    {"role": "user", "content": "Which metals float on mercury?"},
    {"role": "assistant", "content": "Most of them: iron, lead, copper."},
)
SYSTEM = {"role": "system", "content": "s"}
ALONE = {"role": "user", "content": "Who is the author of the Odyssey?"}


def test_chance_is_neither_shared_nor_stored() -> None:
    hand = Hand()
    result = opened(hand, ask(RANDOM))
    assert hand.names == ["Digest", "GetLocal", "GetExact"]
    assert result.origin == Origin("bypass", "route_random")
    assert result.ticket is None


@pytest.mark.parametrize("semantic", [True, False])
def test_chance_is_skipped_with_and_without_an_embedder(semantic: bool) -> None:
    plan = p.open_plan(ask(RANDOM), Control(), rules(semantic=semantic))
    assert Hand().drive(plan).origin == Origin("bypass", "route_random")


def test_chance_is_skipped_while_redis_is_down_and_on_refresh() -> None:
    assert opened(Hand(GetExact=StoreTrouble("redis_down")), ask(RANDOM)).origin.outcome == (
        "bypass"
    )
    result = opened(Hand(), ask(RANDOM), Control(refresh=True))
    assert result.origin == Origin("bypass", "route_random")


def test_chance_cannot_be_had_from_the_cache_alone() -> None:
    with pytest.raises(NotCachedError, match="route_random"):
        opened(Hand(), ask(RANDOM), Control(only_if_cached=True))


def test_an_exact_repeat_is_not_routed() -> None:
    def router(question: str) -> Route | None:
        raise AssertionError(question)

    request = ask(PERSONAL)
    result = opened(Hand(GetExact=_bytes(request)), request, router=router)
    assert result.origin.outcome == "hit_exact"


def test_an_own_record_is_stored_for_exact_repeats_only() -> None:
    hand = Hand(Nearest=[(near(PERSONAL), 0.99)])
    result = opened(hand, ask(PERSONAL))
    assert result.origin == Origin("miss", "route_personal")
    assert hand.names == ["Digest", "GetLocal", "GetExact", "Join", "GetLocal"]
    assert result.ticket is not None
    assert hand.drive(p.close_plan(result.ticket, (Answer("On its way", done_reason="stop"),),
                                   rules())) == ""  # fmt: skip
    assert [put.semantic for put in hand.effects(p.Put)] == [None]


@pytest.mark.parametrize(
    ("changes", "control", "reason"),
    [
        ({"params": {"tools": [{"type": "function"}]}}, {}, "tools_bound"),
        ({"exact_only": "identity_not_parsed"}, {}, "identity_not_parsed"),
        ({}, {"refresh": True}, "refresh"),
    ],
)
def test_what_kept_a_request_out_before_is_named_before(
    changes: dict[str, Any], control: dict[str, Any], reason: str
) -> None:
    result = opened(Hand(), ask(PERSONAL, **changes), Control(**control))
    assert result.origin.reason == reason


@pytest.mark.parametrize("question", [RANDOM, PERSONAL])
def test_without_a_router_everything_is_reuse(question: str) -> None:
    hand = Hand()
    assert opened(hand, ask(question), router=False).origin == Origin("miss", "no_candidate")
    assert hand.effects(p.Embed) == [p.Embed(question)]


def _raises(question: str) -> Route:
    raise ValueError(question)


@pytest.mark.parametrize(
    ("router", "question", "origin"),
    [
        (lambda q: None, PERSONAL, Origin("miss", "route_personal")),
        (lambda q: Route("reuse"), PERSONAL, Origin("miss", "no_candidate")),
        (lambda q: Route("exact_only", "ours"), QUESTION, Origin("miss", "ours")),
        (lambda q: Route("skip", "ours"), QUESTION, Origin("bypass", "ours")),
        (lambda q: "skip", QUESTION, Origin("miss", "router_failed")),
        (_raises, QUESTION, Origin("miss", "router_failed")),
    ],
)
def test_a_router_of_the_user(router: Callable[[str], Any], question: str, origin: Origin) -> None:
    assert opened(Hand(), ask(question), router=router).origin == origin


def test_it_is_given_the_question_alone_and_once() -> None:
    seen: list[str] = []
    request = ask(f"Context:\nSand is dry.\n\nQuestion: {QUESTION}")
    opened(Hand(), request, router=lambda q: seen.append(q))
    assert seen == [QUESTION]


@pytest.mark.parametrize("router", [None, "off", 1, Route("reuse")])
def test_a_router_that_is_none(router: Any) -> None:
    with pytest.raises(ConfigError, match="a function of the question"):
        CacheConfig(router=router)


def scope_used(*messages: Any, **settings: Any) -> str:
    hand = Hand()
    opened(hand, Request(model="m:latest", messages=messages), **settings)
    (effect,) = hand.effects(p.Nearest)
    return str(effect.scope)


def test_a_turn_that_stands_alone_has_the_scope_of_a_first_turn() -> None:
    first = scope_used(SYSTEM, ALONE)
    assert scope_used(SYSTEM, *EARLIER, ALONE) == first
    assert scope_used(*EARLIER, SYSTEM, ALONE) == first
    assert scope_used(SYSTEM, *EARLIER, *EARLIER, ALONE) == first
    assert scope_used(SYSTEM, {"role": "system", "content": "t"}, *EARLIER, ALONE) != first
    assert scope_used(ALONE) != first
    assert scope_used(SYSTEM, *EARLIER, ALONE, history="same") != first


def test_its_context_stays_in_the_scope() -> None:
    def asked(context: str) -> dict[str, Any]:
        content = f"Context:\n{context}\n\nQuestion: {ALONE['content']}"
        return {"role": "user", "content": content}

    first = scope_used(SYSTEM, asked("Homer wrote it."))
    assert scope_used(SYSTEM, *EARLIER, asked("Homer wrote it.")) == first
    assert scope_used(SYSTEM, *EARLIER, asked("Nobody knows.")) != first


def test_the_exact_key_keeps_the_whole_history() -> None:
    keys = set()
    for messages in ((SYSTEM, ALONE), (SYSTEM, *EARLIER, ALONE)):
        hand = Hand()
        opened(hand, Request(model="m:latest", messages=messages))
        keys.add(hand.effects(p.GetExact)[0].key)
    assert len(keys) == 2


def test_a_turn_that_leans_on_the_history_keeps_it() -> None:
    leaning = {"role": "user", "content": "Which of them is the heaviest metal in nature?"}
    other = ({"role": "user", "content": "Which metals melt first?"}, EARLIER[1])
    assert scope_used(SYSTEM, *EARLIER, leaning) == scope_used(SYSTEM, *EARLIER, leaning)
    assert scope_used(SYSTEM, *EARLIER, leaning) != scope_used(SYSTEM, *other, leaning)
    assert scope_used(SYSTEM, *EARLIER, leaning) != scope_used(SYSTEM, leaning)


def _bytes(request: Request) -> bytes:
    from aegis_llm import codec

    return codec.encode(entry_for(request))
