"""The servers of a process: what is known of them, who asks, and what their queues share."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from ollama import ResponseError

from aegis_llm import queues
from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.config import SchedulerConfig
from aegis_llm.ollama_servers import OllamaServers, fleet_of
from aegis_llm.scheduler.fleet import Fleet, Seen, shown
from aegis_llm.scheduler.registry import QUEUES, Registry, address
from tests.langchain.kit import until


class Source:
    """A server that is what a test says."""

    def __init__(self, url: str, models: Mapping[str, str] | None = None) -> None:
        self.url = self.server = url
        self.models = {"m:latest": "1"} if models is None else models
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.looks = self.ended = 0
        self.chats: list[Any] = []

    def look(self) -> Seen:
        self.looks += 1
        self.gate.wait(20)
        self.ended += 1
        if self.error is not None:
            raise self.error
        return Seen(self.models, ())

    def chat(self, body: Any, timeout_s: float, going: Any) -> None:
        self.chats.append(body)


def made(count: int, **settings: Any) -> tuple[Fleet, list[Source]]:
    """A fleet whose servers were never asked anything."""
    names = [f"http://{os.urandom(4).hex()}:{n + 1}" for n in range(count)]
    sources = [Source(name) for name in names]
    return fleet_of(sources, SchedulerConfig(**settings)), sources


def job() -> Job:
    return Job("m:latest", time.monotonic())


def test_servers_are_looked_at_in_the_background_when_they_are_first_needed() -> None:
    fleet, sources = made(3)
    for source in sources:
        source.gate.clear()
    fleet.choose(job(), set())  # does not wait
    for source in sources:
        source.gate.set()
    until(lambda: all(source.ended for source in sources))
    until(lambda: fleet.digests() == {"m:latest": "1"})
    for _ in range(50):
        fleet.choose(job(), set())
    assert [source.looks for source in sources] == [1, 1, 1]


def test_one_server_is_never_looked_at() -> None:
    fleet, (source,) = made(1)
    assert fleet.choose(job(), set()) == 0
    fleet.lost(0)
    assert not fleet.is_out(0)
    fleet.worked(0)
    assert source.looks == 0


@pytest.mark.parametrize("count", [1, 2])
def test_a_server_that_is_gone_has_no_model_loaded_any_more(count: int) -> None:
    fleet, _ = made(count)
    dispatcher = fleet.links[0].dispatcher
    dispatcher.enter(job()).end(Reply(0.01, 0.1, 0.1, 0.0, 10, 10))
    assert dispatcher.state().models["m:latest"].loaded
    fleet.lost(0)
    assert not dispatcher.state().models["m:latest"].loaded


def test_a_server_that_is_left_out_is_asked_again_when_its_pause_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet, sources = made(2)
    fleet.look_now()
    sources[0].error = ConnectionError("gone")
    fleet.lost(0)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1.5)
    fleet.choose(job(), set())
    until(lambda: sources[0].looks == 2)
    sources[0].error = None
    monkeypatch.setattr(time, "monotonic", lambda: now + 5)
    until(lambda: fleet.choose(job(), set()) is not None and not fleet.is_out(0))
    assert sources[0].looks == 3
    assert sources[1].looks == 1


def test_a_server_that_answers_a_request_again_is_asked_what_it_has_now() -> None:
    fleet, sources = made(2)
    fleet.look_now()
    fleet.lost(0)
    sources[0].models = {"m:latest": "2", "n:latest": "3"}
    fleet.worked(0)
    until(lambda: fleet.digests() == {"m:latest": "2", "n:latest": "3"})
    assert sources[1].looks == 1


def test_who_asks_for_digests_waits_for_no_server_that_is_left_out() -> None:
    fleet, sources = made(2)
    fleet.lost(0)
    sources[0].gate.clear()
    servers = OllamaServers(sources, fleet)
    assert servers.fetch() == {"m:latest": "1"}
    assert sources[0].ended == 0
    sources[0].gate.set()


def test_digests_are_of_the_first_server_that_has_the_model() -> None:
    fleet, sources = made(2)
    sources[0].models = {"a:latest": "1"}
    sources[1].models = {"a:latest": "2", "b:latest": "3"}
    assert OllamaServers(sources, fleet).fetch() == {"a:latest": "1", "b:latest": "3"}


def test_where_nobody_can_be_asked_there_are_no_digests() -> None:
    fleet, sources = made(2)
    for source in sources:
        source.error = ConnectionError("gone")
    with pytest.raises(ConnectionError, match=sources[1].url):
        OllamaServers(sources, fleet).fetch()
    assert [fleet.is_out(place) for place in (0, 1)] == [True, True]


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (ResponseError("forbidden", 403), False),
        (ResponseError("not found", 404), False),
        (ResponseError("bad gateway", 502), True),
        (ConnectionError("refused"), True),
        (TimeoutError("slow"), True),
        (ValueError("no JSON"), True),
    ],
    ids=repr,
)
def test_a_server_is_left_out_when_it_cannot_be_asked(error: Exception, out: bool) -> None:
    fleet, sources = made(2)
    sources[0].error = error
    fleet.look(0)
    assert fleet.is_out(0) == out


def test_what_was_known_of_a_server_stays_when_it_does_not_say_it_again() -> None:
    """Another model's credentials may let less through."""
    fleet, sources = made(2)
    fleet.look_now()
    sources[0].error = ResponseError("forbidden", 403)
    fleet.look(0)
    assert {fleet.choose(job(), set()) for _ in range(6)} == {0, 1}


def test_a_judge_is_asked_where_its_model_is() -> None:
    fleet, sources = made(3)
    sources[2].models = {"judge:latest": "1"}
    fleet.look_now()
    servers = OllamaServers(sources, fleet)
    servers.chat({"model": "judge"}, 1.0, lambda: True)
    servers.chat({"model": "m"}, 1.0, lambda: True)
    fleet.lost(0)
    servers.chat({"model": "m:latest"}, 1.0, lambda: True)
    assert [len(source.chats) for source in sources] == [1, 1, 1]


def test_fleets_of_the_same_servers_share_what_is_known() -> None:
    fleet, sources = made(2)
    again = fleet_of(sources, SchedulerConfig())
    fleet.lost(1)
    assert again.is_out(1)
    other = fleet_of(sources[::-1], SchedulerConfig())
    assert other.links[1].dispatcher is fleet.links[0].dispatcher


def test_a_child_has_locks_of_its_own() -> None:
    fleet, _ = made(2)
    with fleet._group.lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads
        child = os.fork()
        if not child:
            free = fleet._group.lock.acquire(timeout=0)
            os._exit(0 if free else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_settings_of_a_queue_are_those_of_the_first_who_gives_some(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, url = Registry(), f"http://{os.urandom(4).hex()}:1"
    dispatcher = registry.dispatcher(url, SchedulerConfig(retries=0, schedule=False))
    for config in (
        SchedulerConfig(normalise_options=False, single_flight=False),
        SchedulerConfig(num_parallel=4, retries=1),
        SchedulerConfig(num_parallel=4),
        SchedulerConfig(),
    ):
        assert registry.dispatcher(url, config) is dispatcher
    assert dispatcher.config.num_parallel == 4
    assert caplog.messages == []
    for _ in range(3):
        registry.dispatcher(url, SchedulerConfig(num_parallel=2))
    assert dispatcher.config.num_parallel == 4
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_the_queue_of_a_new_server_has_the_settings_of_its_caller() -> None:
    url = f"http://{os.urandom(4).hex()}:1"
    assert QUEUES.dispatcher(url, SchedulerConfig(max_queue=3)).config.max_queue == 3
    assert [state.server for state in queues()] == [url]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://localhost", "127.0.0.1:80"),
        ("http://localhost:11434/", "127.0.0.1:11434"),
        ("http://user:pw@[::1]:11434", "127.0.0.1:11434"),
        ("https://Host.example/ollama/", "host.example:443/ollama"),
        ("host:1234", "host:1234"),
        ("host", "host:11434"),
    ],
)
def test_the_address_tells_servers_apart(url: str, told: str) -> None:
    assert address(url) == told


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://user:pw@host:1/", "http://host:1"),
        ("user:pw@host:1", "host:1"),
        ("host:1", "host:1"),
        ("http://user:p#w@host:1", "<unreadable url>"),
    ],
)
def test_a_name_shows_no_secret(url: str, name: str) -> None:
    assert shown(url) == name
