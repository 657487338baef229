"""Models that do not fit into a server's memory together: who is loaded when."""

from __future__ import annotations

import pytest

from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.residents import TURN, Residents
from tests.unit.model_server import ModelServer


def answered(residents: Residents, model: str, load_s: float, sent: float, now: float) -> bool:
    residents.sent(model, {}, {model: 1})
    return residents.replied(model, load_s, sent, now)


def learned() -> Residents:
    """A server on which a and b do not fit together; a is loaded."""
    residents = Residents()
    for time, model in enumerate("aba"):
        assert answered(residents, model, 2.0, time * 10.0, time * 10.0 + 3)
    return residents


def test_the_first_load_says_nothing() -> None:
    residents = Residents()
    assert answered(residents, "a", 2.0, 0.0, 3.0)
    assert answered(residents, "b", 2.0, 4.0, 7.0)
    assert residents.room is None
    assert residents.has("a")
    assert residents.has("b")


def test_a_model_that_has_to_be_loaded_again_made_room_for_another_one() -> None:
    residents = learned()
    assert residents.room == 1
    assert residents.has("a")
    assert not residents.has("b")


def test_of_three_models_two_may_fit() -> None:
    residents = Residents()
    for time, model in enumerate("abca"):
        answered(residents, model, 2.0, time * 10.0, time * 10.0 + 3)
    assert residents.room == 2
    assert [one for one in "abc" if residents.has(one)] == ["a", "c"]


@pytest.mark.parametrize("load_s", [0.001, 0.04, 0.19])
def test_a_short_load_is_none(load_s: float) -> None:
    residents = Residents()
    for time, model in enumerate("ababab"):
        assert not answered(residents, model, load_s, time * 10.0, time * 10.0 + 3)
    assert residents.room is None


def test_a_busy_machine_on_which_everything_takes_long_loads_nothing() -> None:
    residents = Residents()
    for time, model in enumerate("abab"):
        answered(residents, model, 0.15, time * 10.0, time * 10.0 + 3)
    assert not answered(residents, "a", 0.5, 50.0, 53.0)
    assert residents.room is None


def test_requests_that_waited_for_one_load_are_no_loads_of_their_own() -> None:
    """A burst finds no model loaded: every one of its replies tells of the same load."""
    residents = Residents()
    waiting = {"a": 8, "b": 8}
    for model in "aabb":
        residents.sent(model, {}, waiting)
    assert residents.replied("a", 2.0, 0.0, 3.0)
    assert residents.replied("b", 4.0, 0.1, 5.0)
    assert residents.replied("a", 2.0, 0.0, 6.0)  # a long answer
    assert residents.replied("b", 4.0, 0.1, 7.0)
    assert residents.room is None


def test_a_model_that_nobody_asked_for_long_was_unloaded_for_no_other() -> None:
    residents = Residents()
    answered(residents, "a", 2.0, 0.0, 3.0)
    answered(residents, "b", 2.0, 200.0, 203.0)
    answered(residents, "a", 2.0, 400.0, 403.0)
    assert residents.room is None


def test_models_that_fit_together_after_all_are_sent_side_by_side_again() -> None:
    residents = learned()
    assert not residents.may_send("b", {"a": 1}, {"b": 1})
    residents.sent("b", {}, {"b": 1})
    assert not residents.replied("b", 0.01, 30.0, 31.0)
    assert residents.room is None
    assert residents.may_send("a", {"b": 1}, {"a": 1})


def test_what_is_given_is_not_learned() -> None:
    residents = Residents(2)
    for time, model in enumerate("abab"):
        answered(residents, model, 2.0, time * 10.0, time * 10.0 + 3)
    assert residents.room == 2
    residents = Residents(1)
    residents.sent("a", {}, {"a": 1})
    residents.replied("a", 0.01, 0.0, 1.0)
    residents.sent("b", {}, {"b": 1})
    residents.replied("b", 0.01, 1.0, 2.0)
    assert residents.room == 1


def test_until_something_is_known_one_request_shows_whether_the_models_fit_together() -> None:
    residents = Residents()
    assert residents.may_send("a", {}, {"a": 9, "b": 9})
    assert residents.may_send("a", {"a": 1}, {"a": 8, "b": 9})
    assert residents.may_send("b", {"a": 4}, {"b": 9})
    assert not residents.may_send("b", {"a": 4, "b": 1}, {"b": 8})
    residents.replied("b", 2.0, 0.0, 3.0)
    assert residents.may_send("b", {"a": 4, "b": 1}, {"b": 8})


def test_the_model_in_the_way_has_its_turn_before_it_makes_way() -> None:
    residents = learned()
    waiting = {"a": 200, "b": 1}
    for _ in range(TURN):
        assert residents.may_send("a", {"a": 1}, waiting)
        assert not residents.may_send("b", {"a": 1}, waiting)
        residents.sent("a", {"a": 1}, waiting)
    assert not residents.may_send("a", {"a": 1}, waiting)
    assert not residents.may_send("b", {"a": 1}, waiting)  # those in flight end first
    assert residents.may_send("b", {}, waiting)
    residents.sent("b", {}, waiting)
    assert residents.may_send("b", {"b": 1}, waiting)
    assert not residents.may_send("a", {"b": 1}, {"a": 136, "b": 1})
    assert residents.may_send("a", {}, {"a": 136})


def test_a_turn_begins_when_somebody_waits() -> None:
    residents = learned()
    for _ in range(3 * TURN):
        residents.sent("a", {"a": 1}, {"a": 1})
    assert residents.may_send("a", {"a": 1}, {"a": 1, "b": 1})


def test_a_request_that_was_overtaken_too_often_has_its_model_loaded_next() -> None:
    residents = learned()
    waiting = {"a": 99, "b": 1, "c": 9}
    residents.claim("a")  # it is loaded
    assert residents.may_send("c", {}, {"b": 1, "c": 9})
    residents.claim("b")
    for _ in range(TURN):
        assert residents.may_send("a", {"a": 1}, waiting)  # no turn is cut short
        residents.sent("a", {"a": 1}, waiting)
    assert not residents.may_send("a", {"a": 1}, waiting)
    assert not residents.may_send("c", {}, waiting)
    assert residents.may_send("b", {}, waiting)
    residents.sent("b", {}, waiting)
    assert residents.may_send("b", {"b": 1}, {"a": 9, "b": 1, "c": 9})
    assert residents.may_send("c", {}, {"c": 9})


def test_a_claim_ends_when_nobody_waits_for_the_model_any_more() -> None:
    """Its request was given up; others must not wait for it."""
    residents = learned()
    residents.claim("b")
    assert not residents.may_send("c", {}, {"b": 1, "c": 1})
    assert residents.may_send("c", {}, {"c": 1})


def test_a_claim_ends_when_the_model_was_loaded_for_a_request_in_flight() -> None:
    residents = learned()
    residents.claim("b")
    residents.replied("b", 2.0, 30.0, 33.0)
    waiting = {"b": 9, "c": 1}
    for _ in range(TURN):
        residents.sent("b", {"b": 1}, waiting)
    assert residents.may_send("c", {}, waiting)


def test_who_answered_since_another_one_was_loaded_does_not_starve() -> None:
    residents = Residents()
    assert residents.may_starve("b")
    residents.replied("b", 2.0, 0.0, 3.0)
    assert not residents.may_starve("b")
    residents.replied("a", 0.01, 4.0, 5.0)
    assert not residents.may_starve("b")
    residents.replied("a", 2.0, 6.0, 9.0)
    assert residents.may_starve("b")
    assert not Residents(1).may_starve("b")


def test_a_model_that_is_in_use_is_not_taken_for_the_one_that_was_unloaded() -> None:
    residents = Residents(2)
    answered(residents, "a", 2.0, 0.0, 3.0)
    answered(residents, "b", 2.0, 4.0, 7.0)
    residents.sent("c", {"a": 1}, {"c": 1})
    assert [one for one in "abc" if residents.has(one)] == ["a", "c"]


def test_a_server_that_went_away_has_nothing_loaded() -> None:
    residents = learned()
    residents.forget()
    assert not residents.has("a")
    assert residents.may_send("b", {}, {"a": 1, "b": 1})
    assert residents.room == 1


def test_which_models_would_displace_another_one() -> None:
    assert not Residents().displaces("a")
    residents = learned()
    assert not residents.displaces("a")
    assert residents.displaces("b")
    assert not Residents(1).displaces("a")


@pytest.mark.parametrize("given", [None, 1])
def test_alternating_models_are_loaded_seldom(given: int | None) -> None:
    server = ModelServer(1, **({} if given is None else {"max_loaded_models": given}))
    server.ask(*("a", "b") * 100)
    server.drain()
    assert len(server.answered) == 200
    assert server.loads <= 7


@pytest.mark.parametrize("models", ["ab", "abc"])
def test_models_that_fit_together_are_not_held_up(models: str) -> None:
    server, alone = ModelServer(3), []
    server.ask(*models * 40)
    server.drain()
    assert server.loads == len(models)
    for model in models:
        one = ModelServer(3)
        one.ask(*model * 40)
        one.drain()
        alone.append(one.now)
    assert server.now <= max(alone) + 2.0 * len(models)


@pytest.mark.parametrize("room", [1, 2, 3])
@pytest.mark.parametrize("slots", [1, 4])
def test_nobody_starves_while_another_model_is_asked_without_end(room: int, slots: int) -> None:
    server = ModelServer(room, slots=slots)
    server.ask("b", "a", "b", "a")
    server.drain()
    server.ask(*"a" * 20)
    (late,) = server.ask("b")
    for _ in range(4 * TURN):
        if late in server.answered:
            break
        server.ask("a")
        server.step()
    assert late in server.answered


def test_a_long_answer_of_a_stream_is_no_starving() -> None:
    server = ModelServer(2)
    (slow,) = server.ask("b")
    slow.answered = True
    for _ in range(2 * TURN):
        server.queue.submit(job := Job("a", server.now), server.now)
        assert server.queue.next(server.now) is job
        server.queue.done(job, server.now, Reply(0.01, 0.1, 0.9, 0.0, 100, 20))


def test_a_long_answer_holds_up_another_model_once() -> None:
    """Where an answer comes in one piece, nothing tells it from a request that starves."""
    server = ModelServer(2)
    held = []
    for _ in range(3):
        (slow,) = server.ask("b")
        sent = 0
        for _ in range(2 * TURN):
            server.queue.submit(job := Job("a", server.now), server.now)
            if server.queue.next(server.now) is not job:
                server.queue.leave(job)
                break
            sent += 1
            server.queue.done(job, server.now, Reply(0.01, 0.1, 0.9, 0.0, 100, 20))
        held.append(sent)
        server.queue.done(slow, server.now, Reply(0.01, 0.1, 99.0, 0.0, 100, 20))
    assert held == [TURN, 2 * TURN, 2 * TURN]


def test_it_is_learned_anew_when_a_model_expired() -> None:
    server = ModelServer(2)
    server.ask(*"abab")
    server.drain()
    server.expire("a")
    server.ask(*"ba" * 4)
    server.drain()
    before = server.loads
    server.ask(*"ab" * 50)
    server.drain()
    assert server.loads == before
    assert server.queue.state().room is None
