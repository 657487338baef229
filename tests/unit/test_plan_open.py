"""The way of a request to a hit or a miss: every path, every reason, and the order of effects."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_llm import codec
from aegis_llm import plan as p
from aegis_llm.errors import EmbedTrouble, NotCachedError, StoreTrouble
from aegis_llm.values import Control, Origin
from tests.unit.planning import (
    NOW,
    QUESTION,
    VECTOR,
    Flight,
    Hand,
    ask,
    entry_for,
    hash_of,
    key_of,
    near,
    opened,
    rules,
    scope_of,
)

DOWN = StoreTrouble("redis_down")
FULL_MISS = ["Digest", "GetLocal", "GetExact", "Join", "GetLocal", "Embed", "Nearest"]
REWORDED = "How should I water a cactus?"


def test_a_miss_looks_everywhere_in_order_and_embeds_once() -> None:
    hand = Hand()
    result = opened(hand)
    assert hand.names == FULL_MISS
    assert result.origin == Origin("miss", "no_candidate")
    assert hand.effects(p.Embed) == [p.Embed(QUESTION)]
    assert hand.effects(p.Nearest) == [p.Nearest(scope_of(ask()), VECTOR, 4)]
    ticket = result.ticket
    assert ticket is not None
    assert (ticket.hashed, ticket.key) == (hash_of(ask()), key_of(ask()))
    assert (ticket.question, ticket.vector, ticket.scope) == (QUESTION, VECTOR, scope_of(ask()))
    assert ticket.flight is hand.flight
    assert not ticket.trouble
    assert hand.flight.abandoned == 0


def test_without_an_embedder_the_semantic_tier_is_not_asked() -> None:
    hand = Hand()
    result = opened(hand, semantic=False)
    assert hand.names == FULL_MISS[:5]
    assert result.origin == Origin("miss", "no_entry")


def test_a_repeat_in_the_local_copy_needs_nothing_else() -> None:
    hand = Hand(GetLocal=codec.encode(entry_for(ask())))
    result = opened(hand)
    assert hand.names == ["Digest", "GetLocal"]
    assert result.entry == entry_for(ask())
    assert result.origin == Origin(
        "hit_local", age_s=5.0, entry_id=hash_of(ask()), saved_tokens=10
    )


def test_a_repeat_in_redis_is_kept_locally_until_it_expires_and_is_not_embedded() -> None:
    data = codec.encode(entry_for(ask()))
    hand = Hand(GetExact=data)
    result = opened(hand)
    assert hand.names == ["Digest", "GetLocal", "GetExact", "KeepLocal"]
    assert hand.log[-1] == p.KeepLocal(key_of(ask()), data, 60.0)
    assert result.origin.outcome == "hit_exact"
    assert result.entry == entry_for(ask())


def test_an_age_is_never_negative() -> None:
    """Another machine's clock may be ahead."""
    hand = Hand(GetExact=codec.encode(entry_for(ask(), created_ms=NOW + 9_000)))
    assert opened(hand).origin.age_s == 0.0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04junk",
        codec.encode(entry_for(ask())).replace(b'"v":1', b'"v":9'),
        codec.encode(entry_for(ask("Another question?"))),
        codec.encode(entry_for(ask(), expires_ms=NOW)),
        codec.encode(entry_for(ask(), expires_ms=NOW - 1)),
    ],
    ids=["empty", "junk", "version", "other key", "expires now", "expired"],
)
def test_a_value_that_is_no_answer_to_this_request_is_dropped(data: bytes) -> None:
    hand = Hand(GetExact=data)
    result = opened(hand, semantic=False)
    assert hand.names == ["Digest", "GetLocal", "GetExact", "Drop", "Join", "GetLocal"]
    assert hand.effects(p.Drop) == [p.Drop(key_of(ask()))]
    assert result.origin == Origin("miss", "unreadable_entry")
    assert result.ticket is not None
    assert not result.ticket.trouble

    local = Hand(GetLocal=data)
    assert opened(local).origin == Origin("miss", "no_candidate")
    assert local.names == FULL_MISS


def test_after_an_unreadable_entry_the_semantic_tier_is_asked() -> None:
    hand = Hand(GetExact=b"junk", Nearest=[(near(REWORDED), 0.97)])
    assert opened(hand).origin.outcome == "hit_semantic"


@pytest.mark.parametrize("where", ["GetExact", "Drop"])
def test_trouble_with_redis_is_a_miss_at_once(where: str) -> None:
    hand = Hand(**{"GetExact": b"junk", where: DOWN})
    result = opened(hand)
    assert result.origin == Origin("miss", "redis_down")
    assert "Embed" not in hand.names
    assert "Nearest" not in hand.names
    assert result.ticket is not None
    assert result.ticket.trouble
    assert result.ticket.flight is hand.flight


@pytest.mark.parametrize(
    ("where", "trouble", "vector"),
    [
        ("Embed", EmbedTrouble("embedding_timeout"), None),
        ("Nearest", StoreTrouble("index_missing"), VECTOR),
        ("Nearest", StoreTrouble("redis_timeout"), VECTOR),
    ],
)
def test_trouble_in_the_semantic_tier_is_a_miss(
    where: str, trouble: Exception, vector: bytes | None
) -> None:
    hand = Hand(**{where: trouble})
    result = opened(hand)
    assert result.origin == Origin("miss", str(trouble))
    assert result.ticket is not None
    assert result.ticket.vector == vector
    assert result.ticket.trouble is (str(trouble) == "redis_timeout")
    assert hand.flight.abandoned == 0


def test_bypass_asks_nothing() -> None:
    hand = Hand()
    result = opened(hand, control=Control(bypass=True))
    assert hand.log == []
    assert result == p.Opened(Origin("bypass", "asked"))


def test_a_model_without_a_digest_is_not_cached() -> None:
    hand = Hand(Digest=None)
    assert opened(hand) == p.Opened(Origin("bypass", "model_unknown"))
    assert hand.names == ["Digest"]


def test_a_request_with_a_given_identity_needs_no_digest() -> None:
    hand = Hand()
    result = opened(hand, ask(identity="[('model', 'x')]"))
    assert hand.names == FULL_MISS[1:]
    assert result.ticket is not None
    assert result.ticket.digest == ""


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (ask("\ud800"), "invalid_text"),
        (ask(params={"options": {"temperature": float("nan")}}), "uncacheable_request"),
        (ask(params={"tools": [print]}), "uncacheable_request"),
    ],
)
def test_a_request_without_a_canonical_form_is_not_cached(request_: Any, reason: str) -> None:
    hand = Hand()
    assert opened(hand, request_) == p.Opened(Origin("bypass", reason))
    assert hand.names == ["Digest"]


def test_refresh_serves_nothing_and_embeds_for_the_new_entry() -> None:
    hand = Hand(GetLocal=codec.encode(entry_for(ask())), GetExact=codec.encode(entry_for(ask())))
    result = opened(hand, control=Control(refresh=True))
    # The first request learns the version of the namespace, which is part of the key.
    assert hand.names[:2] == ["Digest", "GetExact"]
    assert hand.names[-2:] == ["Join", "Embed"]
    assert result.origin == Origin("miss", "refresh")
    assert result.ticket is not None
    assert result.ticket.vector == VECTOR


@pytest.mark.parametrize("settings", [{"semantic": False}, {"max_question_tokens": 1}])
def test_refresh_is_the_reason_without_a_semantic_tier_too(settings: dict[str, Any]) -> None:
    assert opened(Hand(), control=Control(refresh=True), **settings).origin.reason == "refresh"


def test_refresh_never_takes_the_answer_of_one_who_may_look_up() -> None:
    """Its flight could end with the very entry that is to be replaced."""
    usual, refreshing = Hand(), Hand()
    opened(usual)
    opened(refreshing, control=Control(refresh=True))
    assert usual.effects(p.Join) != refreshing.effects(p.Join)


def test_only_if_cached_joins_nobody_and_raises() -> None:
    hand = Hand()
    with pytest.raises(NotCachedError, match="no_candidate"):
        opened(hand, control=Control(only_if_cached=True))
    assert hand.names == ["Digest", "GetLocal", "GetExact", "Embed", "Nearest"]


def test_only_if_cached_returns_what_is_cached() -> None:
    control = Control(only_if_cached=True)
    hand = Hand(Nearest=[(near(REWORDED), 0.97)])
    assert opened(hand, control=control).origin.outcome == "hit_semantic"
    hand = Hand(GetExact=codec.encode(entry_for(ask())))
    assert opened(hand, control=control).origin.outcome == "hit_exact"


@pytest.mark.parametrize(
    ("control", "replies", "reason"),
    [
        (Control(only_if_cached=True, bypass=True), {}, "asked"),
        (Control(only_if_cached=True), {"Digest": None}, "model_unknown"),
        (Control(only_if_cached=True), {"GetExact": DOWN}, "redis_down"),
    ],
)
def test_only_if_cached_says_why_there_is_nothing(
    control: Control, replies: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotCachedError, match=reason):
        opened(Hand(**replies), control=control)


def test_a_follower_gets_the_leaders_entry() -> None:
    hand = Hand(Join=p.Seat(entry=entry_for(ask())))
    result = opened(hand)
    assert hand.names == FULL_MISS[:4]
    assert result.entry == entry_for(ask())
    assert result.origin.outcome == "coalesced"
    assert result.origin.saved_tokens == 10


def test_a_follower_gets_the_leaders_stream() -> None:
    stream = object()
    hand = Hand(Join=p.Seat(stream=stream))
    assert opened(hand) == p.Opened(Origin("coalesced"), stream=stream)


def test_one_that_flies_alone_does_not_look_twice() -> None:
    hand = Hand(Join=p.Seat())
    result = opened(hand)
    assert hand.names == ["Digest", "GetLocal", "GetExact", "Join", "Embed", "Nearest"]
    assert result.ticket is not None
    assert result.ticket.flight is None


def test_a_new_leader_looks_again_and_lets_its_followers_have_what_it_finds() -> None:
    asked: list[str] = []

    def local(effect: p.GetLocal) -> bytes | None:
        asked.append(effect.key)
        return None if len(asked) == 1 else codec.encode(entry_for(ask()))

    hand = Hand(GetLocal=local)
    result = opened(hand)
    assert asked == [key_of(ask())] * 2
    assert hand.names == [*FULL_MISS[:5], "Settle"]
    assert hand.log[-1] == p.Settle(hand.flight, entry_for(ask()))
    assert result.origin.outcome == "hit_local"


def test_streams_share_a_flight_only_with_their_kind() -> None:
    keys = set()
    for stream in ("", "sync", "async-1", "async-2"):
        hand = Hand()
        hand.drive(p.open_plan(ask(), Control(), rules(), stream))
        keys.add(hand.effects(p.Join)[0].key)
    assert len(keys) == 4


def test_tenants_never_meet() -> None:
    hands = [Hand(), Hand(), Hand()]
    for hand, tenant in zip(hands, (None, "a", "b"), strict=True):
        opened(hand, control=Control(tenant=tenant))
    for kind, field in ((p.GetExact, "key"), (p.Join, "key"), (p.Nearest, "scope")):
        assert len({getattr(hand.effects(kind)[0], field) for hand in hands}) == 3


@pytest.mark.parametrize("kind", FULL_MISS)
def test_a_leader_that_is_cancelled_hands_over(kind: str) -> None:
    """Wherever it is; one that has no seat yet has nothing to hand over."""
    flight = Flight()
    hand = Hand(Join=p.Seat(flight=flight))
    plan = p.open_plan(ask(), Control(), rules())
    effect, seated = next(plan), False
    for name in FULL_MISS[: FULL_MISS.index(kind)]:
        assert type(effect).__name__ == name
        seated = seated or name == "Join"
        effect = plan.send(hand.reply(effect))
    plan.close()
    assert flight.abandoned == int(seated)


def test_a_leader_that_breaks_hands_over() -> None:
    hand = Hand(Nearest=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        opened(hand)
    assert hand.flight.abandoned == 1
