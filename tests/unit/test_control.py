"""`cache_control` and `observe`: what they change, for whom, and how they travel."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from aegis_llm import ConfigError, Observation, Origin, cache_control, observe
from aegis_llm.control import Surroundings, current_control, report
from aegis_llm.values import Control


def test_outside_of_a_block_nothing_is_asked_for() -> None:
    assert current_control() == Control()


def test_a_block_changes_what_it_names_until_it_ends() -> None:
    with cache_control(
        bypass=True,
        ttl=60,
        tenant="acme",
        user="u1",
        tags=["a"],
        documents=["d"],
        corpus_version="7",
    ) as c:
        assert c == current_control()
        assert c == Control(
            bypass=True,
            ttl=60,
            tenant="acme",
            user="u1",
            tags=("a",),
            documents=("d",),
            corpus_version="7",
            since=c.since,
        )
        assert c.since is not None
    assert current_control() == Control()


def test_an_inner_block_inherits_and_adds() -> None:
    with cache_control(refresh=True, tenant="acme", tags=["a", "b"], documents=["d"]):
        with cache_control(refresh=False, user="u1", tags=["b", "c", "c"]) as inner:
            assert inner == Control(
                tenant="acme",
                user="u1",
                tags=("a", "b", "c"),
                documents=("d",),
                since=inner.since,
            )
        assert current_control().refresh
        assert current_control().tags == ("a", "b")
        with cache_control() as same:
            assert same == current_control()


def test_the_first_block_that_names_documents_counts() -> None:
    with cache_control(tags=["a"]) as outer:
        assert outer.since is None
        with cache_control(documents=["d"]) as first, cache_control(documents=["e"]) as second:
            assert first.since is not None
            assert second.since == first.since


def test_a_block_that_fails_ends_too() -> None:
    with pytest.raises(ZeroDivisionError), cache_control(bypass=True):
        raise ZeroDivisionError
    assert not current_control().bypass


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("bypass", "yes", "give True or False"),
        ("refresh", 1, "give True or False"),
        ("only_if_cached", "no", "give True or False"),
        ("ttl", 0, "give seconds, more than 0"),
        ("ttl", -1, "give seconds, more than 0"),
        ("ttl", float("nan"), "give seconds, more than 0"),
        ("ttl", float("inf"), "give seconds, more than 0"),
        ("ttl", "60", "give seconds, more than 0"),
        ("ttl", True, "give seconds, more than 0"),
        ("tenant", "", "give a text that is not empty"),
        ("tenant", 7, "give a text that is not empty"),
        ("user", "", "give a text that is not empty"),
        ("tags", "doc:42", "give a list of printable texts, none empty"),
        ("tags", [""], "give a list of printable texts, none empty"),
        ("tags", [7], "give a list of printable texts, none empty"),
        ("tags", 7, "give a list of printable texts, none empty"),
        ("tags", ["\ud800"], "give a list of printable texts, none empty"),
        ("tags", ["a\x1fb"], "give a list of printable texts, none empty"),
        ("documents", b"x", "give a list of printable texts, none empty"),
        ("documents", [None], "give a list of printable texts, none empty"),
    ],
)
def test_a_wrong_value_says_what_to_give(option: str, value: Any, advice: str) -> None:
    with pytest.raises(ConfigError) as caught, cache_control(**{option: value}):
        pass
    assert option in str(caught.value)
    assert advice in str(caught.value)
    assert current_control() == Control()


@pytest.mark.parametrize("words", [{"a": 1}, ("a",), iter(["a"]), (w for w in "a"), {"a"}])
def test_words_may_come_in_any_collection(words: Any) -> None:
    with cache_control(tags=words) as control:
        assert control.tags == ("a",)


def test_it_travels_into_a_thread_with_a_copied_context() -> None:
    """As LangChain starts its threads; a bare thread starts without."""
    seen: list[str | None] = []

    def look() -> None:
        seen.append(current_control().tenant)

    with cache_control(tenant="acme"):
        copied = contextvars.copy_context()
        for thread in (
            threading.Thread(target=copied.run, args=(look,)),
            threading.Thread(target=look),
        ):
            thread.start()
            thread.join()
    assert seen == ["acme", None]


async def test_tasks_inherit_it_and_do_not_disturb_each_other() -> None:
    started = asyncio.Event()

    async def inner(name: str) -> str | None:
        with cache_control(user=name):
            started.set()
            await asyncio.sleep(0)
            assert current_control().user == name
        await asyncio.sleep(0)
        return current_control().tenant

    with cache_control(tenant="acme"):
        tasks = [asyncio.create_task(inner(f"u{i}")) for i in range(8)]
        await started.wait()
        assert current_control().user is None
    assert await asyncio.gather(*tasks) == ["acme"] * 8
    assert current_control() == Control()


def test_what_holds_here_can_be_restored_elsewhere() -> None:
    """A stream is read later, maybe by a thread that knows of no block."""
    with cache_control(tenant="acme"), observe() as seen:
        here = Surroundings()
    with observe() as other:
        with here.restored():
            assert current_control().tenant == "acme"
            report(HIT)
        report(MISS)
        with pytest.raises(ZeroDivisionError), here.restored():
            raise ZeroDivisionError
        assert current_control() == Control()
    assert (seen, other) == ([HIT], [MISS])


HIT = Origin("hit_exact", saved_tokens=5)
MISS = Origin("miss", "no_entry")


def test_an_observation_collects_what_is_reported_inside() -> None:
    report(HIT)
    with observe() as seen:
        report(MISS)
        report(HIT)
        report(Origin("coalesced", saved_tokens=2))
    report(HIT)
    assert isinstance(seen, Observation)
    assert seen.outcomes == ["miss", "hit_exact", "coalesced"]
    assert seen.hits == 2
    assert seen.saved_tokens == 7


def test_every_enclosing_observation_sees_it() -> None:
    with observe() as outer:
        with observe() as inner:
            report(HIT)
        report(MISS)
    assert (inner, outer) == ([HIT], [HIT, MISS])


async def test_an_observation_sees_the_tasks_and_threads_that_start_inside() -> None:
    with observe() as seen:
        await asyncio.gather(*(asyncio.to_thread(report, HIT) for _ in range(8)))
        task = asyncio.create_task(asyncio.sleep(0))
        task.add_done_callback(lambda _: report(MISS))
        await task
        await asyncio.sleep(0)
    assert sorted(seen.outcomes) == ["hit_exact"] * 8 + ["miss"]


@pytest.mark.parametrize(
    ("outcome", "hit"),
    [("hit_local", True), ("hit_exact", True), ("hit_semantic", True), ("coalesced", True),
     ("miss", False), ("bypass", False)],
)  # fmt: skip
def test_a_hit_is_an_answer_without_a_call_of_its_own(outcome: Any, hit: bool) -> None:
    assert Origin(outcome).hit is hit


def test_an_origin_is_told_as_a_plain_dictionary() -> None:
    assert Origin("hit_semantic", similarity=0.9).as_dict() == {
        "outcome": "hit_semantic", "reason": "", "similarity": 0.9, "age_s": None,
        "entry_id": None, "matched_question": None, "lookup_ms": 0.0, "saved_tokens": 0,
        "queued_ms": 0.0, "server": "", "saved_s": 0.0,
    }  # fmt: skip
