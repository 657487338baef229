"""The link to Redis: first contact, breaker, probes and the one log line."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any

import pytest
import redis.exceptions as errors

from aegis_llm.errors import StoreTrouble
from aegis_llm.stores import link as link_module
from aegis_llm.stores.link import Link
from aegis_llm.testing import ManualClock

URL = "redis://user:hunter2@host:6379/0"
DOWN = errors.ConnectionError("refused by hunter2")


class Pool:
    """Runs what it is given when told to, in this thread."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Any], Any]] = []

    def submit(self, call: Any, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append((future, lambda: call(*args)))
        return future

    def run(self) -> None:
        jobs, self.jobs = self.jobs, []
        for future, call in jobs:
            try:
                future.set_result(call())
            except Exception as exc:  # noqa: BLE001 - belongs to the future
                future.set_exception(exc)


class Server:
    """A contact that can be made to fail."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.contacts = 0

    def contact(self) -> float:
        self.contacts += 1
        if self.error is not None:
            raise self.error
        return 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    clock = ManualClock()
    clock.advance(1000)
    monkeypatch.setattr(link_module.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def link(clock: ManualClock, pool: Pool, server: Server) -> Link:
    return Link(URL, server.contact, pool, 0.05)  # type: ignore[arg-type]


def opened(link: Link) -> None:
    """Fail until the breaker opens."""
    for _ in range(3):
        link.failed(DOWN)
    assert link.is_open


def test_nothing_happens_before_the_first_use(pool: Pool, server: Server, link: Link) -> None:
    assert (pool.jobs, server.contacts, link.reached) == ([], 0, False)


def test_all_callers_wait_for_one_first_contact(pool: Pool, server: Server, link: Link) -> None:
    futures = {id(link.first_contact()) for _ in range(5)}
    assert len(futures) == 1
    assert len(pool.jobs) == 1
    pool.run()
    assert link.first_contact() is None
    assert server.contacts == 1


def test_a_failed_first_contact_is_tried_again(pool: Pool, server: Server, link: Link) -> None:
    server.error = DOWN
    first = link.first_contact()
    pool.run()
    assert first is not None
    with pytest.raises(StoreTrouble, match=r"^redis_down$"):
        first.result()
    server.error = None
    second = link.first_contact()
    assert second is not first
    pool.run()
    assert link.first_contact() is None


def test_the_breaker_opens_after_three_failures_and_then_nobody_asks(
    pool: Pool, server: Server, link: Link
) -> None:
    opened(link)
    for _ in range(10):
        with pytest.raises(StoreTrouble, match=r"^redis_breaker_open$"):
            link.first_contact()
    assert (pool.jobs, server.contacts) == ([], 0)


def test_while_open_one_probe_at_a_time_runs_in_the_background(
    clock: ManualClock, pool: Pool, server: Server, link: Link
) -> None:
    opened(link)
    server.error = DOWN
    pauses = []
    for _ in range(7):
        waited = 0.0
        while not pool.jobs:
            clock.advance(0.25)
            waited += 0.25
            with pytest.raises(StoreTrouble):
                link.first_contact()
        assert len(pool.jobs) == 1
        pool.run()
        pauses.append(waited)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert server.contacts == 7


def test_a_probe_that_works_closes_the_breaker(
    clock: ManualClock, pool: Pool, server: Server, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    opened(link)
    clock.advance(0.5)
    with pytest.raises(StoreTrouble):
        link.first_contact()
    pool.run()
    assert not link.is_open
    assert link.first_contact() is None
    assert caplog.messages[-1] == "Redis at redis://host:6379/0 is back: answers are cached again"


@pytest.mark.parametrize("error", [errors.OutOfMemoryError("x"), errors.ReadOnlyError("x"),
                                   errors.ResponseError("unknown index name")])  # fmt: skip
def test_trouble_with_one_command_does_not_open_it(link: Link, error: Exception) -> None:
    for _ in range(10):
        link.failed(error)
    assert not link.is_open


def test_an_answer_in_between_starts_the_count_again(link: Link) -> None:
    for _ in range(5):
        link.failed(DOWN)
        link.failed(DOWN)
        link.worked()
    assert not link.is_open


def test_one_line_a_minute_for_each_reason_without_secrets(
    link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        assert link.failed(DOWN).reason == "redis_down"
        link.failed(errors.OutOfMemoryError("x"))
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith("Redis at redis://host:6379/0: redis_down; ")
    assert "maxmemory" in caplog.messages[1]
    assert "hunter2" not in caplog.text


def test_a_minute_later_it_is_said_again(
    clock: ManualClock, pool: Pool, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    link = Link(URL, server.contact, pool, 0.05)  # type: ignore[arg-type]
    link._quiet._now = clock.monotonic
    link.say("redis_full")
    clock.advance(59.9)
    link.say("redis_full")
    assert len(caplog.messages) == 1
    clock.advance(0.1)
    link.say("redis_full")
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("reason", ["redis_auth", "redis_full", "redis_readonly",
                                    "redis_no_permission", "no_query_engine"])  # fmt: skip
def test_what_a_person_can_repair_says_how(
    link: Link, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    link.say(reason)
    assert len(caplog.messages[0].partition("; ")[2]) > 20
    assert "resumes by itself" not in caplog.messages[0]


def test_a_trouble_keeps_its_reason(link: Link) -> None:
    assert link.failed(StoreTrouble("index_missing")).reason == "index_missing"


def test_a_private_server_that_cannot_be_says_in_the_log_what_is_missing(
    link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    trouble = link.failed(StoreTrouble("embedded_unavailable", "pip install something"))
    assert trouble.reason == "embedded_unavailable"
    assert "embedded_unavailable: pip install something; requests go to" in caplog.text
