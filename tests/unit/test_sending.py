"""How a request gets to a server: the plan alone; a test says what the servers do."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from ollama import ResponseError

from aegis_llm.batching.jobs import Job
from aegis_llm.config import SchedulerConfig
from aegis_llm.drivers import run
from aegis_llm.errors import QueueFullError
from aegis_llm.scheduler.dispatch import Dispatcher, _Place
from aegis_llm.scheduler.fleet import Fleet, Group, Link, Seen
from aegis_llm.scheduler.sending import (
    Call,
    Enter,
    Pause,
    Sent,
    is_busy,
    is_lost,
    pause_after,
    send_plan,
)
from tests.races.kit import until

GONE = ConnectionError("gone")
BUSY = ResponseError("server busy, please try again.", 503)
ENDED = ResponseError("llama-server process no longer running: -1 ", 500)
FATAL = [
    ResponseError("model 'x' not found", 404),
    ResponseError("bad think", 400),
    ResponseError("unable to load model", 500),
    ResponseError("too slow", 504),
    httpx.ReadTimeout("slow"),
    httpx.WriteTimeout("slow"),
    httpx.PoolTimeout("slow"),
    httpx.UnsupportedProtocol("no scheme"),
    httpx.LocalProtocolError("bad header"),
    ValueError("what is this"),
    KeyError("this"),
]
AGAIN = [
    GONE,
    BUSY,
    ENDED,
    ResponseError("llama runner process no longer running: 3221225785"),  # the first line says so
    ResponseError("<html>Bad Gateway</html>", 502),
    ConnectionResetError("reset"),
    BrokenPipeError("pipe"),
    httpx.ConnectError("refused"),
    httpx.ConnectTimeout("nobody there"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
]


class Lookout:
    """Says what its server has, if it is up."""

    def __init__(self) -> None:
        self.up = True
        self.models = {"m:latest": "1"}

    def look(self) -> Seen:
        if not self.up:
            raise GONE
        return Seen(self.models, ())


class Rig:
    """Servers that do what they are told, and a record of what the plan asked for."""

    def __init__(self, count: int, **settings: Any) -> None:
        config = SchedulerConfig(**settings)
        group = Group(count)
        group.looked_at = math.inf  # only a test asks what the servers have
        self.lookouts = [Lookout() for _ in range(count)]
        self.dispatchers = [Dispatcher(config, f"http://{n}") for n in range(count)]
        self.fleet = Fleet(
            [
                Link(f"http://{n}", str(n), *pair)
                for n, pair in enumerate(zip(self.dispatchers, self.lookouts, strict=True))
            ],
            config,
            group,
        )
        for place in range(count):
            self.fleet.look(place)
        self.entered: list[Job] = []
        self.called: list[int] = []
        self.pauses: list[float] = []

    def send(
        self, answer: Callable[[int], Any], job: Job | None = None, retries: int = 2
    ) -> tuple[Sent, int]:
        """Send a request; `answer` gets the place and returns or raises."""
        job = job or Job("m:latest", time.monotonic())
        sent = run(
            send_plan(self.fleet, job, retries, lambda: 1.0),
            lambda effect: self._perform(effect, answer),
        )
        return sent, self.called[-1]

    def failing(self, error: BaseException, *places: int) -> Callable[[int], Any]:
        """An answer that fails at some places."""

        def answer(place: int) -> str:
            if place in places:
                raise error
            return "answer"

        return answer

    @property
    def flying(self) -> int:
        return sum(d.state().models["m:latest"].flying for d in self.dispatchers if _has(d))

    def _perform(self, effect: Any, answer: Callable[[int], Any]) -> Any:
        match effect:
            case Enter(place, job):
                self.entered.append(job)
                return self.dispatchers[place].enter(job)
            case Call(place):
                self.called.append(place)
                return answer(place)
            case Pause(seconds):
                self.pauses.append(seconds)
        return None


def _has(dispatcher: Dispatcher) -> bool:
    return "m:latest" in dispatcher.state().models


@pytest.fixture(params=[1, 2, 3])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(request.param)
    yield made
    assert made.flying == 0


def test_an_answer_keeps_its_slot_until_it_is_ended(rig: Rig) -> None:
    sent, _ = rig.send(lambda _: "answer")
    assert sent.answer == "answer"
    assert rig.flying == 1
    sent.hold.end()
    assert (len(rig.called), rig.pauses) == (1, [])


@pytest.mark.parametrize("error", AGAIN, ids=repr)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    rig = Rig(1)
    answers = iter([error, error, "answer"])

    def answer(_: int) -> Any:
        said = next(answers)
        if isinstance(said, Exception):
            raise said
        return said

    sent, _ = rig.send(answer)
    assert sent.answer == "answer"
    assert rig.pauses == pytest.approx([0.1, 0.2])
    assert rig.flying == 1
    sent.hold.end()


@pytest.mark.parametrize("error", FATAL, ids=repr)
@pytest.mark.parametrize("count", [1, 2])
def test_what_stays_wrong_is_not_tried_again(count: int, error: Exception) -> None:
    rig = Rig(count)
    with pytest.raises(type(error)) as caught:
        rig.send(rig.failing(error, 0, 1))
    assert caught.value is error
    assert len(rig.called) == 1
    assert rig.flying == 0
    assert not rig.fleet.is_out(rig.called[0])


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()], ids=repr)
def test_a_request_that_is_given_up_frees_its_slot(rig: Rig, error: BaseException) -> None:
    with pytest.raises(type(error)):
        rig.send(rig.failing(error, 0, 1, 2))
    assert len(rig.called) == 1


@pytest.mark.parametrize("error", [GONE, BUSY, ENDED], ids=repr)
def test_it_moves_to_another_server_at_once(error: Exception) -> None:
    rig = Rig(3)
    for _ in range(3):
        sent, place = rig.send(rig.failing(error, 0, 1))
        sent.hold.end()
        assert place == 2
    assert rig.pauses == []
    assert len(rig.called) <= 3 + 4


def test_a_server_that_is_gone_gets_no_more_requests_and_one_that_is_busy_does() -> None:
    rig = Rig(2)
    for _ in range(2):
        rig.send(rig.failing(BUSY, 0))[0].hold.end()
    assert not rig.fleet.is_out(0)
    rig = Rig(2)
    for _ in range(6):
        rig.send(rig.failing(GONE, 0))[0].hold.end()
    assert rig.fleet.is_out(0)
    assert rig.called.count(0) == 1


@pytest.mark.parametrize(("retries", "calls"), [(0, 1), (1, 2), (2, 3), (4, 5)])
def test_the_error_of_the_last_try_is_the_callers(retries: int, calls: int) -> None:
    for error in (GONE, BUSY):
        rig = Rig(1)
        with pytest.raises(type(error)) as caught:
            rig.send(rig.failing(error, 0), retries=retries)
        assert caught.value is error
        assert len(rig.called) == calls
        assert len(rig.pauses) == calls - 1
        assert rig.flying == 0


def test_every_server_is_tried_before_the_caller_gets_an_error() -> None:
    rig = Rig(5)
    sent, place = rig.send(rig.failing(GONE, 0, 1, 3, 4), retries=1)
    sent.hold.end()
    assert place == 2
    assert rig.pauses == []


def test_who_wants_no_other_try_gets_none_on_another_server_either() -> None:
    rig = Rig(2)
    with pytest.raises(ConnectionError):
        rig.send(rig.failing(GONE, 0, 1), retries=0)
    assert len(rig.called) == 1


def test_when_all_are_gone_the_caller_is_told_after_as_many_tries_as_with_one() -> None:
    rig = Rig(2)
    with pytest.raises(ConnectionError) as caught:
        rig.send(rig.failing(GONE, 0, 1))
    assert caught.value is GONE
    assert len(rig.called) == 3
    assert sum(rig.pauses) <= 0.3


def test_after_a_pause_all_servers_are_tried_again() -> None:
    rig = Rig(3)
    with pytest.raises(ResponseError):
        rig.send(rig.failing(BUSY, 0, 1, 2), retries=5)
    assert sorted(rig.called) == [0, 0, 1, 1, 2, 2]
    assert len(rig.pauses) == 1


def test_pauses_double_up_to_two_seconds_and_are_not_the_same_for_all() -> None:
    assert [pause_after(n, 1.0) for n in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert pause_after(2, 0.0) == 0.2
    assert pause_after(2, 0.5) == pytest.approx(0.3)


def test_a_busy_server_that_alone_has_the_model_is_given_time() -> None:
    rig = Rig(2)
    rig.lookouts[1].models = {"other:latest": "1"}
    rig.fleet.look(1)
    with pytest.raises(ResponseError):
        rig.send(rig.failing(BUSY, 0, 1))
    assert rig.called == [0, 0, 0]
    assert rig.pauses == pytest.approx([0.1, 0.2])


def test_another_try_is_a_request_of_its_own_that_came_when_the_first_one_did() -> None:
    rig = Rig(1)
    job = Job("m:latest", time.monotonic(), priority=3, tenant="t")
    with pytest.raises(ConnectionError):
        rig.send(rig.failing(GONE, 0), job)
    assert rig.entered[0] is job
    assert len({id(one) for one in rig.entered}) == 3
    assert {(one.arrived, one.priority, one.tenant) for one in rig.entered} == {
        (job.arrived, 3, "t")
    }


def test_no_other_try_begins_after_the_deadline() -> None:
    rig = Rig(1)
    job = Job("m:latest", time.monotonic(), deadline=time.monotonic() + 0.09)
    with pytest.raises(ConnectionError):
        rig.send(rig.failing(GONE, 0), job)
    assert len(rig.called) == 1
    job = Job("m:latest", time.monotonic(), deadline=time.monotonic() + 60)
    with pytest.raises(ConnectionError):
        rig.send(rig.failing(GONE, 0), job)
    assert len(rig.called) == 4


def test_a_request_whose_server_is_gone_when_its_turn_comes_goes_to_another() -> None:
    """It is not called there: that may take as long as a connection does that nobody takes."""
    rig = Rig(2)
    plan = send_plan(rig.fleet, Job("m:latest", time.monotonic()), 0, lambda: 1.0)
    first = next(plan)
    assert isinstance(first, Enter)
    hold = rig.dispatchers[first.place].enter(first.job)
    rig.fleet.lost(first.place)
    second = plan.send(hold)
    assert isinstance(second, Enter)
    assert second.place == 1 - first.place
    assert second.job is not first.job
    assert rig.flying == 0
    call = plan.send(rig.dispatchers[second.place].enter(second.job))
    assert isinstance(call, Call)
    with pytest.raises(StopIteration) as stop:
        plan.send("answer")
    stop.value.value.hold.end()


def test_where_no_other_is_left_it_is_called_all_the_same() -> None:
    rig = Rig(2)
    rig.fleet.lost(0)
    rig.fleet.lost(1)
    sent, place = rig.send(lambda _: "answer")
    sent.hold.end()
    until(lambda: not rig.fleet.is_out(place))  # it was asked what it has, and answers again


def test_what_the_queue_says_is_the_callers() -> None:
    rig = Rig(2, num_parallel=1, max_queue=1)
    holds = [rig.send(lambda _: "answer")[0].hold for _ in range(2)]
    for dispatcher in rig.dispatchers:
        place = _Place(Job("m:latest", time.monotonic()), None)
        dispatcher._submit(place, may_wait=True)
        assert not place.done()
    with pytest.raises(QueueFullError):
        rig.send(lambda _: "answer")
    for hold in holds:
        hold.end()


@pytest.mark.parametrize("error", AGAIN, ids=repr)
def test_who_is_gone_and_who_is_busy(error: Exception) -> None:
    assert is_lost(error) != is_busy(error)
    assert is_busy(error) == isinstance(error, ResponseError)


def test_a_server_that_is_not_there_is_named_with_what_to_do() -> None:
    rig = Rig(1)
    with pytest.raises(httpx.ConnectError) as caught:
        rig.send(rig.failing(httpx.ConnectError("Connection refused"), 0), retries=1)
    (note,) = caught.value.__notes__
    assert note.startswith("No Ollama can be reached at http://0: start it")


def test_a_connection_that_is_lost_later_gets_no_such_advice() -> None:
    rig = Rig(1)
    with pytest.raises(httpx.ReadError) as caught:
        rig.send(rig.failing(httpx.ReadError("reset"), 0), retries=1)
    assert not hasattr(caught.value, "__notes__")
