"""Small rules of the queue in front of a server, and of what it learns."""

from __future__ import annotations

from aegis_llm.batching.fair import Shares
from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.limit import Limit
from aegis_llm.batching.placing import Placing
from aegis_llm.batching.prefix import PLACES, Prefix
from aegis_llm.batching.queue import Queue
from aegis_llm.batching.warm import Slots
from aegis_llm.config import SchedulerConfig

REPLY = Reply(0.0, 0.1, 0.5, 0.0, 100, 10)


def prompt(*marks: int) -> Prefix:
    return Prefix(marks, PLACES[len(marks) - 1])


def test_a_window_begins_with_the_oldest_that_still_waits() -> None:
    queue = Queue(SchedulerConfig(num_parallel=1, window="always", window_ms=50))
    gone = Job("a", 0.0)
    queue.submit(gone, 0.0)
    queue.leave(gone)
    queue.submit(Job("a", 1.0), 1.0)
    assert queue.due_at() == 1.05
    assert queue.next(1.0) is None


def test_who_cannot_wait_does_not_put_off_the_window_of_the_others() -> None:
    queue = Queue(SchedulerConfig(num_parallel=4, window="always", window_ms=50))
    waits, hurried = Job("a", 0.0), Job("a", 0.04)
    queue.submit(waits, 0.0)
    queue.submit(hurried, 0.04)
    queue.push(hurried, 0.04)
    assert queue.due_at() == 0.05
    assert queue.next(0.05) is waits


def test_who_cannot_wait_leaves_the_gathered_ones_their_turn() -> None:
    queue = Queue(SchedulerConfig(num_parallel=1, window="always", window_ms=50))
    jobs = [Job("a", 0.0) for _ in range(3)]
    for job in jobs:
        queue.submit(job, 0.0)
    assert queue.next(0.05) is jobs[0]
    hurried = Job("a", 0.06)
    queue.submit(hurried, 0.06)
    queue.push(hurried, 0.06)
    for job in (hurried, jobs[0]):
        queue.done(job, 0.07)
    assert queue.next(0.07) is jobs[1]
    queue.done(jobs[1], 0.08)
    assert queue.next(0.08) is jobs[2]


def test_a_model_that_answered_without_times_is_known_to_be_loaded() -> None:
    queue = Queue(SchedulerConfig())
    jobs = [Job(model, 0.0) for model in "abaab"]
    for job in jobs[:2]:
        queue.submit(job, 0.0)
        assert queue.next(0.0) is job
        job.answered = True
        queue.done(job, 1.0)
    for job in jobs[2:]:
        queue.submit(job, 2.0)
    assert sum(queue.next(2.0) is not None for _ in range(4)) == 3


def test_the_expected_wait_for_a_model_that_nobody_asked_is_not_known() -> None:
    queue = Queue(SchedulerConfig(num_parallel=1))
    assert queue.expected_wait("a") == 0.0
    assert queue.state().models == {}


def test_models_with_requests_are_never_forgotten() -> None:
    queue = Queue(SchedulerConfig(num_parallel=1))
    flying, waits = Job("a", 0.0), Job("a", 0.0)
    queue.submit(flying, 0.0)
    assert queue.next(0.0) is flying
    queue.submit(waits, 0.0)
    for number in range(1000):
        other = Job(f"m{number}", 0.0)
        queue.submit(other, 0.0)
        queue.push(other, 0.0)
        queue.done(other, 1.0, REPLY)
    queue.done(flying, 2.0, REPLY)
    assert queue.next(2.0) is waits
    assert len(queue.state().models) < 500


def test_nothing_is_noted_of_the_slots_until_their_number_is_known() -> None:
    slots = Slots()
    for number in range(100):
        job = Job("a", 0.0, prompt(number, number + 1))
        slots.take(job, None)
        slots.give_back(job, None)
    assert slots.idle() == []
    first, second = Job("a", 0.0, prompt(1, 2)), Job("a", 0.0, prompt(3, 4))
    slots.take(first, None)
    slots.take(second, 2)
    slots.give_back(first, 2)
    assert slots.idle() == []
    slots.give_back(second, 2)
    assert slots.idle() == [prompt(3, 4)]


def test_tenants_that_came_once_are_forgotten_those_that_got_most_last() -> None:
    shares = Shares()
    heavy = Job("a", 0.0, Prefix((), 400_000), tenant="heavy")
    shares.joined(heavy)
    shares.sent(heavy)
    shares.left(heavy, 5000.0)
    got = shares.of("heavy")
    for number in range(2000):
        job = Job("a", 0.0, Prefix((), 400), tenant=f"t{number}")
        shares.joined(job)
        shares.sent(job)
        shares.left(job, 10.0)
    assert len(shares._counters) < 300
    assert shares.of("heavy") == got


def test_a_request_that_began_before_the_slots_were_given_is_not_taken_to_fly_for_ever() -> None:
    limit = Limit()
    job = Job("a", 0.0, number=1, rank=1)
    limit.sent(job)
    limit.given = 2
    limit.ended(job, REPLY, 1.0)
    limit.given = None
    assert limit._flying == {}


def test_another_server_that_lacks_the_model_is_no_other_server() -> None:
    placing = Placing(2)
    assert placing.has_others("m:latest", {0})
    placing.told(0, {"m:latest": "sha256:1"}, ())
    placing.told(1, {"n:latest": "sha256:2"}, ())
    assert not placing.has_others("m:latest", {0})
    assert placing.has_others("m:latest", ())
