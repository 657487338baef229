"""Which of several servers a request goes to."""

from __future__ import annotations

import pytest

from aegis_llm.batching.jobs import Job
from aegis_llm.batching.placing import Load, Placing
from aegis_llm.batching.prefix import NOTHING, Prefix, prefix_of

IDLE = Load(0, 1)


def rag(context: str, question: str = "") -> Prefix:
    """A prompt of 2,000 characters of context and a question."""
    return prefix_of([f"{context:.<2000}", question])


def job(prefix: Prefix = NOTHING, model: str = "m:latest") -> Job:
    return Job(model, 0.0, prefix)


def told(*models: dict[str, str], loaded: tuple[str, ...] = ()) -> Placing:
    """Servers that said which models they have."""
    placing = Placing(len(models))
    for place, each in enumerate(models):
        placing.told(place, each, loaded)
    return placing


def places(placing: Placing, loads: list[Load], model: str = "m:latest", times: int = 12) -> set:
    """Every server that is chosen for prompts that have nothing in common."""
    return {placing.choose(job(model=model), loads) for _ in range(times)}


def test_one_server_needs_no_choice() -> None:
    assert Placing(1).choose(job(rag("a")), []) == 0


def test_prompts_without_a_common_prefix_are_spread_evenly() -> None:
    placing, busy = Placing(3), [0, 0, 0]
    for number in range(30):
        loads = [Load(count, 2) for count in busy]
        busy[placing.choose(job(rag(str(number))), loads)] += 1
    assert busy == [10, 10, 10]


def test_servers_that_are_equally_free_take_turns() -> None:
    placing = Placing(3)
    chosen = [placing.choose(job(), [IDLE] * 3) for _ in range(6)]
    assert sorted(chosen[:3]) == sorted(chosen[3:]) == [0, 1, 2]


def test_the_server_with_the_most_free_slots_is_chosen_whatever_their_number() -> None:
    assert Placing(2).choose(job(), [Load(3, 4), Load(1, 1)]) == 0
    assert Placing(2).choose(job(), [Load(4, 4), Load(1, 2)]) == 1


def test_a_server_whose_slots_are_not_known_is_taken_to_have_as_many_as_another() -> None:
    assert Placing(2).choose(job(), [Load(3, 4), Load(2, None)]) == 1
    assert Placing(2).choose(job(), [Load(2, None), Load(1, None)]) == 1


def test_a_prompt_goes_where_its_beginning_was_read() -> None:
    placing = Placing(3)
    loads = [Load(0, 4)] * 3
    home = {name: placing.choose(job(rag(name, "first")), loads) for name in "abcdef"}
    assert set(home.values()) == {0, 1, 2}
    for name, place in home.items():
        for question in ("second", "third"):
            assert placing.choose(job(rag(name, question)), loads) == place


def test_what_two_prompts_share_counts_from_half_of_the_prompt_on() -> None:
    placing, loads = Placing(2), [Load(0, 4)] * 2
    system = "s" * 600
    first = placing.choose(job(prefix_of([system, "a" * 400])), loads)
    assert placing.choose(job(prefix_of([system, "b" * 400])), loads) == first
    other = [placing.choose(job(prefix_of([system, str(n) * 900])), loads) for n in range(4)]
    assert set(other) == {0, 1}


def test_another_model_has_read_nothing_of_a_prompt() -> None:
    placing, loads = Placing(2), [Load(0, 4)] * 2
    first = placing.choose(job(rag("a")), loads)
    assert placing.choose(job(rag("a"), model="n:latest"), loads) != first
    assert placing.choose(job(rag("a")), loads) == first


def test_a_prompt_leaves_its_server_when_that_is_much_busier_than_the_average() -> None:
    placing = Placing(2)
    home = placing.choose(job(rag("a")), [Load(0, 4)] * 2)
    away = 1 - home

    def chosen(at_home: int, elsewhere: int) -> int:
        loads = [Load(0, 4)] * 2
        loads[home], loads[away] = Load(at_home, 4), Load(elsewhere, 4)
        return Placing.choose(copy_of(placing, home), job(rag("a")), loads)

    assert chosen(3, 0) == home  # a slot is free
    assert chosen(4, 0) == away
    assert chosen(4, 4) == home  # (4 + 1) / 4 <= 1.25 * (8 + 1) / 8
    assert chosen(7, 5) == home  # 2.0 <= 1.25 * 13 / 8
    assert chosen(8, 5) == away  # 2.25 > 1.25 * 14 / 8


def copy_of(placing: Placing, home: int) -> Placing:
    """Servers of which one has read the prompt."""
    fresh = Placing(placing.count)
    loads = [Load(9, 4)] * placing.count
    loads[home] = Load(0, 4)
    assert fresh.choose(job(rag("a")), loads) == home
    return fresh


def test_a_server_that_is_left_out_does_not_lower_the_average() -> None:
    """Else those that are left would lose their prompts to each other."""
    placing = Placing(3)
    placing.failed(2, 0.0)
    home = placing.choose(job(rag("a")), [Load(0, 1)] * 3)
    loads = [Load(3, 1), Load(3, 1), Load(0, 1)]
    for _ in range(4):
        assert placing.choose(job(rag("a")), loads) == home


def test_the_server_that_has_the_model_loaded_is_preferred_among_equals() -> None:
    placing = told({"m:latest": "1"}, {"m:latest": "1"})
    placing.told(1, {"m:latest": "1"}, ["m:latest"])
    assert places(placing, [IDLE] * 2) == {1}
    assert placing.choose(job(), [IDLE, Load(1, 1)]) == 0


def test_no_other_model_is_unloaded_while_a_server_that_has_this_one_is_not_busy() -> None:
    placing = Placing(2)
    assert places(placing, [Load(0, 4, displaces=True), Load(3, 4)]) == {1}
    assert places(placing, [Load(0, 4, displaces=True), Load(4, 4)]) == {0}
    assert places(placing, [Load(0, 4, displaces=True)] * 2) == {0, 1}


def test_a_model_that_one_server_has_goes_there_alone() -> None:
    placing = told({"m:latest": "1"}, {"m:latest": "1", "Big:70b": "2"})
    assert places(placing, [Load(0, 4), Load(9, 4)], "big:70B") == {1}
    assert places(placing, [IDLE] * 2) == {0, 1}


def test_a_model_that_nobody_has_goes_anywhere() -> None:
    """The server tells the caller."""
    assert places(told({"m:latest": "1"}, {}), [IDLE] * 2, "other:latest") == {0, 1}


def test_a_server_that_said_nothing_yet_gets_only_what_nobody_else_is_known_to_have() -> None:
    """It may have another model of that name."""
    placing = Placing(2)
    assert places(placing, [IDLE] * 2) == {0, 1}
    placing.told(0, {"m:latest": "1"}, ())
    assert places(placing, [IDLE] * 2) == {0}
    assert places(placing, [IDLE] * 2, "other:latest") == {1}


def test_a_server_that_does_not_say_what_it_has_gets_what_nobody_else_has() -> None:
    placing = Placing(2)
    placing.told(0, {"m:latest": "1"}, ())
    placing.says_nothing(1)
    assert places(placing, [IDLE] * 2) == {0}
    assert places(placing, [IDLE] * 2, "other:latest") == {0, 1}
    placing.told(1, {"m:latest": "1"}, ())
    placing.says_nothing(1)  # now and then it does
    assert places(placing, [IDLE] * 2) == {0, 1}


def test_a_server_with_another_digest_is_left_out_for_that_model() -> None:
    placing = told(
        {"m:latest": "1", "n:latest": "5"},
        {"m:latest": "2", "n:latest": "5"},
        {"m:latest": "1", "o:latest": "7"},
    )
    assert placing.digests() == {"m:latest": "1", "n:latest": "5", "o:latest": "7"}
    assert placing.odd() == {"m:latest": [1]}
    assert places(placing, [Load(4, 1), IDLE, Load(4, 1)]) == {0, 2}
    assert places(placing, [IDLE] * 3, "n:latest") == {0, 1}


def test_it_gets_nothing_either_when_the_others_are_gone() -> None:
    """Its answers would be stored as the other model's."""
    placing = told({"m:latest": "1"}, {"m:latest": "2"})
    placing.failed(0, 0.0)
    assert places(placing, [IDLE] * 2) == {0}
    assert not placing.has_others("m:latest", {0})


def test_servers_that_failed_a_request_are_avoided_as_long_as_there_are_others() -> None:
    placing = Placing(3)
    assert {placing.choose(job(), [IDLE] * 3, {0, 2}) for _ in range(6)} == {1}
    assert placing.choose(job(), [IDLE] * 3, {0, 1, 2}) in (0, 1, 2)
    assert placing.has_others("m:latest", {0, 2})
    assert not placing.has_others("m:latest", {0, 1, 2})


def test_only_those_with_the_model_are_others() -> None:
    placing = told({"m:latest": "1"}, {"n:latest": "1"})
    assert not placing.has_others("m:latest", {0})
    assert placing.has_others("n:latest", {0})


def test_a_server_that_failed_is_left_out_and_one_that_is_asked_beside_the_queue_as_well() -> None:
    placing = Placing(2)
    assert placing.asked_on("m:latest") == 0
    assert placing.failed(0, 10.0)
    assert placing.out() == [0]
    assert placing.is_out(0)
    assert places(placing, [IDLE, Load(9, 1)]) == {1}
    assert placing.asked_on("m:latest") == 1


def test_when_all_are_left_out_the_one_that_is_due_first_is_tried() -> None:
    placing = Placing(3)
    for place, now in ((1, 5.0), (0, 6.0), (2, 7.0)):
        placing.failed(place, now)
    assert places(placing, [IDLE] * 3) == {1}
    assert placing.choose(job(), [IDLE] * 3, {1}) == 0


def test_the_pause_doubles_with_each_check_that_fails_up_to_a_minute() -> None:
    placing, now, pauses = Placing(2), 100.0, []
    placing.failed(0, now)
    for _ in range(9):
        until = now
        while not placing.to_check(until):
            until += 0.5
        pauses.append(until - now)
        now = until
        assert placing.to_check(now) == []  # it is being asked
        assert not placing.failed(0, now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_many_requests_that_find_a_server_gone_count_as_one() -> None:
    placing = Placing(2)
    assert [placing.failed(0, 100.0 + n / 100) for n in range(50)] == [True] + [False] * 49
    assert placing.to_check(100.9) == []
    assert placing.to_check(101.0) == [0]


def test_a_server_may_be_gone_for_ever() -> None:
    placing, now = Placing(2), 0.0
    for _ in range(5000):
        placing.failed(0, now)
        now += 60.0
        assert placing.to_check(now) == [0]


def test_a_server_that_answers_is_taken_in_again_and_begins_anew() -> None:
    placing = Placing(2)
    placing.failed(0, 0.0)
    placing.to_check(1.0)
    placing.failed(0, 1.0)
    assert placing.worked(0)
    assert not placing.worked(0)
    assert placing.out() == []
    assert places(placing, [IDLE] * 2) == {0, 1}
    placing.failed(0, 50.0)
    assert placing.to_check(50.9) == []
    assert placing.to_check(51.0) == [0]


def test_what_a_server_had_read_is_gone_when_it_comes_back() -> None:
    placing, loads = Placing(2), [Load(0, 4)] * 2
    home = placing.choose(job(rag("a")), loads)
    placing.failed(home, 0.0)
    placing.worked(home)
    loads[home] = Load(1, 4)
    assert placing.choose(job(rag("a")), loads) == 1 - home


@pytest.mark.parametrize("shared", [0, 1500])
def test_what_is_remembered_is_bounded(shared: int) -> None:
    placing, loads = Placing(2), [Load(0, 4)] * 2
    for number in range(4000):
        placing.choose(job(prefix_of(["x" * shared, f"{number:.<4000}"])), loads)
    assert len(placing._seen) <= 16_384
    last = placing.choose(job(prefix_of(["x" * shared, f"{3999:.<4000}", "more"])), loads)
    for _ in range(3):
        again = job(prefix_of(["x" * shared, f"{3999:.<4000}", "other"]))
        assert placing.choose(again, loads) == last


def test_a_context_that_is_asked_about_now_and_then_is_not_forgotten() -> None:
    placing, loads = Placing(2), [Load(0, 4)] * 2
    home = placing.choose(job(rag("a")), loads)
    for number in range(4000):
        placing.choose(job(prefix_of([f"{number:.<4000}"])), loads)
        if number % 100 == 0:
            assert placing.choose(job(rag("a", f"{number}")), loads) == home
