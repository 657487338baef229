"""A rejected answer is gone, here and in other processes, and does not come back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakValueDictionary

import pytest

import aegis_llm
from aegis_llm import observe, rejecting
from tests.langchain.kit import Kit, outcome, reason, until
from tests.langchain.learning_kit import (
    ANSWER,
    FIRST,
    REWORDED,
    Model,
    anew,
    idle,
    verdict,
)

REJECTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "the message": lambda llm, message, origin: llm.reject(message),
    "its metadata": lambda llm, message, origin: llm.reject(message.response_metadata["aegis"]),
    "its id": lambda llm, message, origin: llm.reject(origin.entry_id),
    "its origin": lambda llm, message, origin: origin.reject(),
    "anywhere": lambda llm, message, origin: aegis_llm.reject(origin),
    "awaited": lambda llm, message, origin: asyncio.run(llm.areject(message)),
    "awaited anywhere": lambda llm, message, origin: asyncio.run(aegis_llm.areject(origin)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache of an earlier test is asked: a rejection goes to all of the process."""
    monkeypatch.setattr(rejecting, "_caches", WeakValueDictionary())


@pytest.mark.parametrize("way", REJECTIONS)
def test_a_rejected_answer_is_gone_and_never_comes_back(kit: Kit, model: Model, way: str) -> None:
    llm = kit.aegis()
    llm.invoke(FIRST)
    with observe() as seen:
        hit = llm.invoke(REWORDED)
    assert outcome(hit) == "hit_semantic"
    assert REJECTIONS[way](llm, hit, seen[0]) is True
    assert REJECTIONS[way](llm, hit, seen[0]) is False  # it is gone already
    assert llm.labels().wrong == 1
    model.says = "Ask the help desk."
    for question in (FIRST, REWORDED):
        missed = llm.invoke(question)
        assert (outcome(missed), missed.content) == ("miss", model.says)
    assert reason(missed) == "pair_refused"


def test_an_answer_from_a_local_copy_is_rejected_with_the_entry_it_came_from(
    kit: Kit, model: Model
) -> None:
    llm = kit.aegis()
    llm.invoke(FIRST)
    llm.invoke(REWORDED)
    copied = llm.invoke(REWORDED)
    assert outcome(copied) == "hit_local"
    assert llm.reject(copied)
    assert outcome(llm.invoke(FIRST)) == "miss"
    assert verdict(llm) == "different"


def test_rejecting_an_exact_hit_says_nothing_about_the_pair(kit: Kit, model: Model) -> None:
    llm = kit.aegis()
    llm.invoke(FIRST)
    llm.invoke(REWORDED)
    llm._answering.service.local.clear()
    exact = llm.invoke(FIRST)
    assert outcome(exact) == "hit_exact"
    assert llm.reject(exact)
    assert verdict(llm) is None
    assert llm.labels().wrong == 0
    assert outcome(llm.invoke(FIRST)) == "miss"


def test_only_the_rejected_of_two_rewordings_is_refused(kit: Kit, model: Model) -> None:
    llm = kit.aegis()
    llm.invoke(FIRST)
    hit = llm.invoke(REWORDED)
    llm.invoke("What is the best way to reset my password?")
    assert llm.reject(hit)
    assert verdict(llm) == "different"
    assert verdict(llm, "What is the best way to reset my password?") is None


def test_an_answer_of_the_model_has_nothing_to_reject(kit: Kit, model: Model) -> None:
    llm = kit.aegis()
    assert llm.reject(llm.invoke(FIRST)) is False
    assert llm.reject("0" * 64) is False
    assert llm.reject("*") is False
    assert outcome(llm.invoke(FIRST)) == "hit_local"
    with pytest.raises(aegis_llm.ConfigError, match="entry id"):
        llm.reject(7)


def test_refusals_hold_after_a_restart(kit: Kit, model: Model) -> None:
    llm = kit.aegis()
    llm.invoke(FIRST)
    assert llm.reject(llm.invoke(REWORDED))
    llm.invoke(FIRST)
    anew(llm)
    again = kit.aegis()
    assert verdict(again) is None
    missed = again.invoke(REWORDED)
    assert (outcome(missed), reason(missed)) == ("miss", "pair_refused")


def test_other_processes_hear_of_a_rejection(kit: Kit, model: Model) -> None:
    llm, other = kit.aegis(), kit.aegis(ttl=1234.0)  # a service of its own
    llm.invoke(FIRST)
    hit = llm.invoke(REWORDED)
    for _ in range(2):
        assert outcome(other.invoke(REWORDED)).startswith("hit_")
    service = other._answering.service
    assert service is not llm._answering.service
    assert llm.reject(hit)
    until(lambda: verdict(other) == "different" and not len(service.local))


def test_a_cache_for_any_model_takes_back_an_answer(kit: Kit, model: Model) -> None:
    cache = kit.cache()
    identity = "[('model', 'x')]"
    from langchain_core.outputs import Generation

    done = {"generation_info": {"finish_reason": "stop"}}
    cache.update(FIRST, identity, [Generation(text=ANSWER, **done)])
    with observe() as seen:
        assert cache.lookup(REWORDED, identity) is not None
    assert cache.reject(seen[0])
    assert cache.lookup(FIRST, identity) is None
    assert cache.lookup(REWORDED, identity) is None
    assert cache.labels().wrong == 1


def test_with_redis_gone_a_rejection_says_so_and_holds_here(
    ollama: Any, embeddings: Any, namespace: str, model: Model
) -> None:
    from tests.redis_server import RedisServer

    with RedisServer() as server:
        kit = Kit(ollama, server.url, namespace, embeddings)
        llm = kit.aegis()
        llm.invoke(FIRST)
        hit = llm.invoke(REWORDED)
        kit.close()
    if not server.private:
        assert llm.reject(hit)
        return
    with pytest.raises(aegis_llm.StoreTrouble):
        llm.reject(hit)
    assert verdict(llm) == "different"
    kit.close()


@pytest.mark.parametrize("way", ["reject", "areject"])
def test_with_redis_hung_a_rejection_ends_and_is_shared_when_it_is_back(
    ollama: Any,
    embeddings: Any,
    namespace: str,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    from tests.redis_server import RedisServer

    monkeypatch.setattr("aegis_llm.stores.redis._ADMIN_TIMEOUT_S", 0.5)
    monkeypatch.setattr("aegis_llm.scheduler.rejections.PATIENCE_S", 0.5)
    with RedisServer() as server:
        server.pid  # noqa: B018 - skips where there is no server of our own
        kit = Kit(ollama, server.url, namespace, embeddings)
        llm = kit.aegis()
        llm.invoke(FIRST)
        hit = llm.invoke(REWORDED)
        server.hang()
        with pytest.raises(aegis_llm.StoreTrouble, match="redis_timeout"):
            llm.reject(hit) if way == "reject" else asyncio.run(llm.areject(hit))
        assert verdict(llm) == "different"
        server.resume()
        service = llm._answering.service
        service.learner.notebook.write()
        assert set(service.store.notes.pairs(0).values()) == {"rejected"}
        kit.close()


def test_thirty_two_threads_ask_reject_and_learn(kit: Kit, model: Model) -> None:
    llm = kit.aegis(check_hits=1.0)
    llm.invoke(FIRST)
    barrier = threading.Barrier(32)

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(4):
            message = llm.invoke(f"{REWORDED[:-1]} on machine {number % 8}?")
            assert message.content == ANSWER
            if turn == 2 and number % 4 == 0:
                llm.reject(message)
            llm.labels()

    with ThreadPoolExecutor(32) as pool:
        for done in [pool.submit(work, number) for number in range(32)]:
            done.result(120)
    idle(llm)
    told = llm.labels()
    notebook = llm._answering.service.learner.notebook
    notebook.write()
    notebook.read()
    assert llm.labels().right == told.right
    assert llm.labels().wrong == told.wrong
