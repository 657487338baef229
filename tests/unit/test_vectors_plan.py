"""One call to embed: what is looked up, computed and kept, and what goes wrong on the way."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm import vectors as v
from aegis_llm.drivers import run
from aegis_llm.errors import TextTooLongError
from aegis_llm.keys import vector_key, vector_space
from aegis_llm.scheduler.underway import UnderWay
from aegis_llm.values import Control
from aegis_llm.vectors.codec import decode, encode, pack, unpack

RULES = v.VectorRules("ns", "m:latest", {"num_ctx": 512}, None, lambda: 60_000)


def vector_of(text: str, size: int = 3) -> bytes:
    return pack([len(text) + 1.0, *(float(ord(c)) for c in (text + "   ")[: size - 1])])


def key_of(text: str, digest: str = "digest", dimensions: int | None = None) -> str:
    return vector_key("ns", vector_space(digest, RULES.options, dimensions), RULES.model, text)


class World:
    """Performs the effects of a plan, and notes them."""

    def __init__(self) -> None:
        self.digest: str | None = "digest"
        self.kept: dict[str, bytes] = {}
        self.local: dict[str, bytes] = {}
        self.trouble = False
        self.size = 3
        self.sent: list[v.Texts] = []
        self.seen: list[type] = []
        self.outcomes: dict[str, Any] = {}
        self.error: Exception | None = None
        self.work: UnderWay[str, v.Outcome] = UnderWay()

    def __call__(self, effect: Any) -> Any:
        self.seen.append(type(effect))
        return getattr(self, f"_{type(effect).__name__.lower()}")(effect)

    def _digest(self, _: v.Digest) -> str | None:
        return self.digest

    def _getvectors(self, effect: v.GetVectors) -> tuple[dict[str, bytes], bool]:
        if not effect.shared:
            return {k: self.local[k] for k in effect.keys if k in self.local}, False
        found = {} if self.trouble else self.kept
        return {k: found[k] for k in effect.keys if k in found}, self.trouble

    def _keepvectors(self, effect: v.KeepVectors) -> None:
        self.local |= {put.key: put.data for put in effect.puts}

    def _putvectors(self, effect: v.PutVectors) -> None:
        assert all(put.ttl_ms == 60_000 for put in effect.puts)
        self.kept |= {put.key: put.data for put in effect.puts}

    def _claim(self, effect: v.Claim) -> Any:
        return self.work.claim(effect.texts, None)

    def _wait(self, effect: v.Wait) -> Any:
        return self.work.wait(effect.waiting)

    def _send(self, effect: v.Send) -> list[Any]:
        self.sent.append(effect.texts)
        if self.error is not None:
            raise self.error
        return [self.outcomes.get(text, vector_of(text, self.size)) for text in effect.texts]

    def _ask(self, effect: v.Ask) -> list[list[float]]:
        raise UnicodeError(effect.texts)

    def embed(
        self, *texts: Any, control: Control | None = None, rules: v.VectorRules = RULES
    ) -> list[bytes]:
        plan = v.embed_plan(texts, control or Control(), rules)
        try:
            return run(plan, self)
        finally:
            assert len(self.work) == 0, "nothing may stay claimed"


@pytest.fixture
def world() -> World:
    return World()


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), max_size=5))
def test_every_text_has_its_vector_and_is_computed_once(calls: list[list[str]]) -> None:
    world = World()
    for texts in calls:
        assert world.embed(*texts) == [vector_of(text) for text in texts]
    sent = [text for texts in world.sent for text in texts]
    assert sorted(sent) == sorted({text for texts in calls for text in texts})


def test_what_another_caller_computed_since_the_look_up_is_not_computed_again(
    world: World,
) -> None:
    claim = world._claim

    def late(effect: v.Claim) -> Any:
        world.local[key_of("a")] = encode(key_of("a"), vector_of("a"))
        return claim(effect)

    world._claim = late  # type: ignore[method-assign]
    assert world.embed("a", "b") == [vector_of("a"), vector_of("b")]
    assert world.sent == [("b",)]
    assert world.embed("a", control=Control(refresh=True)) == [vector_of("a")]
    assert world.sent == [("b",), ("a",)]


def test_what_was_computed_is_kept_here_and_in_the_store(world: World) -> None:
    world.embed("a", "b")
    assert world.kept == world.local == {
        key_of(text): encode(key_of(text), vector_of(text)) for text in "ab"
    }  # fmt: skip


def test_no_texts_ask_nobody(world: World) -> None:
    assert world.embed() == []
    assert world.seen == []


def test_without_a_digest_nothing_is_looked_up_or_kept(world: World) -> None:
    world.digest = None
    assert world.embed("a") == [vector_of("a")]
    assert world.seen == [v.Digest, v.Claim, v.Send]


def test_bypass_and_refresh_hold(world: World) -> None:
    world.kept[key_of("a")] = encode(key_of("a"), vector_of("zz"))
    assert world.embed("a", control=Control(bypass=True)) == [vector_of("a")]
    assert world.seen == [v.Claim, v.Send]
    assert world.embed("a") == [vector_of("zz")]
    assert world.embed("a", control=Control(refresh=True)) == [vector_of("a")]
    assert world.embed("a") == [vector_of("a")]


def test_a_store_in_trouble_is_asked_no_more_in_the_same_call(world: World) -> None:
    world.trouble = True
    assert world.embed("a") == [vector_of("a")]
    assert v.PutVectors not in world.seen
    assert world.local


def test_vectors_that_may_not_leave_the_process_do_not(world: World) -> None:
    rules = v.VectorRules("ns", "m", {}, None, lambda: 60_000, shared=False)
    assert world.embed("a", rules=rules) == [vector_of("a")]
    assert world.local
    assert not world.kept


@pytest.mark.parametrize("data", [b"", b"junk", b"AEV1" + b"\0" * 28])
def test_rubbish_is_a_miss_and_is_replaced(world: World, data: bytes) -> None:
    world.kept[key_of("a")] = data
    assert world.embed("a") == [vector_of("a")]
    assert decode(key_of("a"), world.kept[key_of("a")]) == vector_of("a")


def test_kept_vectors_of_another_dimension_are_computed_anew(world: World) -> None:
    world.embed("a", "b")
    world.size = 5
    assert world.embed("a", "b", "c") == [vector_of(text, 5) for text in "abc"]
    assert world.sent == [("a", "b"), ("c",), ("a", "b")]
    assert world.embed("b", "a") == [vector_of("b", 5), vector_of("a", 5)]


def test_kept_vectors_that_differ_in_dimension_are_all_computed_anew(world: World) -> None:
    world.embed("a")
    world.size = 4
    world.embed("b")
    assert world.embed("a", "b") == [vector_of("a", 4), vector_of("b", 4)]


def test_a_kept_vector_longer_than_was_asked_for_is_a_miss(world: World) -> None:
    rules = v.VectorRules("ns", "m:latest", RULES.options, 2, lambda: 60_000)
    key = key_of("a", dimensions=2)
    world.kept[key] = encode(key, vector_of("a", 3))
    world.size = 2
    assert world.embed("a", rules=rules) == [vector_of("a", 2)]


def test_a_text_that_is_too_long_is_named_and_the_others_are_kept(world: World) -> None:
    cause = ValueError("the input length exceeds the context length")
    world.outcomes["long " * 50] = v.TooLong(cause)
    with pytest.raises(TextTooLongError) as caught:
        world.embed("a", "long " * 50, "b")
    error = caught.value
    assert (error.index, error.characters) == (1, 250)
    assert error.__cause__ is cause
    assert str(error).startswith(
        "text 2 of 3 ('long long long long long long long long ...', 250 characters) is longer"
        " than m:latest reads: "
    )
    assert set(world.kept) == {key_of("a"), key_of("b")}


def test_the_vector_of_a_cut_text_is_not_kept(world: World) -> None:
    world.outcomes["long"] = v.Cut(vector_of("lo"))
    assert world.embed("a", "long") == [vector_of("a"), vector_of("lo")]
    assert set(world.kept) == {key_of("a")}


def test_a_vector_that_is_none_is_given_and_not_kept(world: World) -> None:
    world.outcomes["a"] = pack([0.0, 0.0, 0.0])
    assert unpack(world.embed("a")[0]) == [0.0] * 3
    assert world.kept == world.local == {}


@pytest.mark.parametrize("text", ["\ud800", 7, None, b"x"])
def test_what_cannot_be_sent_is_left_to_the_client_alone(world: World, text: Any) -> None:
    with pytest.raises(UnicodeError):
        world.embed("a", text)
    assert world.seen == [v.Ask]


def test_an_error_of_the_server_passes_through_and_keeps_nothing(world: World) -> None:
    world.error = ConnectionError("gone")
    with pytest.raises(ConnectionError, match="gone"):
        world.embed("a")
    assert world.kept == {}


def test_an_error_survives_the_way_to_another_process() -> None:
    error = TextTooLongError("m", "text", 3, 9)
    again = copy.copy(error)  # made anew, as by the process that waits for a worker
    assert (str(again), again.index, again.characters) == (str(error), 3, 4)
