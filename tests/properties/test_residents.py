"""Models that do not fit together: every request is answered, and loads stay few."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.batching.jobs import Job
from tests.unit.model_server import ModelServer

servers = st.builds(
    lambda room, slots, given, takes: ModelServer(
        room, slots=slots, takes=takes, **({} if given is None else {"max_loaded_models": given})
    ),
    st.integers(1, 3),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([None, None, 1, 2, 4]),
    st.sampled_from([0.3, 1.0, 9.0]),
)
asked = st.tuples(st.sampled_from("abcd"), st.integers(1, 90), st.sampled_from([-1, 0, 0, 3]))
steps = st.lists(
    st.one_of(asked, st.sampled_from(["step", "step", "leave", "gone", "expire"])),
    min_size=1,
    max_size=30,
)


@given(servers, steps)
@settings(max_examples=200, deadline=None)
def test_every_request_is_answered_whatever_came_before(server, steps) -> None:
    jobs: list[Job] = []
    for step in steps:
        match step:
            case (model, count, priority):
                for _ in range(count):
                    job = Job(model, server.now, priority=priority)
                    server.queue.submit(job, server.now)
                    jobs.append(job)
                server.move()
            case "step":
                for _ in range(20):
                    server.step()
            case "leave":
                for job in [job for job in jobs if not job.turn][::2]:
                    server.queue.leave(job)
                    jobs.remove(job)
                server.move()
            case "gone":
                server.queue.went_away()
            case "expire":
                server.expire("a")
    server.drain()
    assert {*server.answered} == {*jobs}


@given(
    st.integers(1, 2),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([None, 1]),
    st.lists(st.sampled_from("ab"), min_size=64, max_size=400),
)
@settings(max_examples=60, deadline=None)
def test_two_models_are_loaded_once_for_many_requests(room, slots, given, models) -> None:
    server = ModelServer(
        room, slots=slots, **({} if given is None else {"max_loaded_models": given})
    )
    server.ask(*models)
    server.drain()
    assert server.loads <= 5 + len(models) / 40
