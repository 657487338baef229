"""The simulation beside closed forms, a second opinion and the simulated server."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from math import factorial, log
from random import Random

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.simulate import Job, Load, Setup, simulate
from aegis_llm.simulate.load import Asking
from aegis_llm.testing import HashedNgrams, ManualClock, OllamaSimulator, Timing
from aegis_llm.testing.generating import chat_prompt
from aegis_llm.testing.models import SimulatedModel
from aegis_llm.testing.slots import common_prefix
from tests.unit.simulating import SecondOpinion, job, play, speed


def exponential(rate: float, n: int) -> Iterator[Job]:
    """Arrivals and answers of exponential length: 1,000 tokens in the mean."""
    random, now = Random(1), 0.0
    for _ in range(n):
        now += random.expovariate(rate)
        yield job(now, output=max(1, round(random.expovariate(1 / 1000))))


def erlang_c(slots: int, load: float) -> float:
    """The probability that a request waits."""
    last = load**slots / factorial(slots) * slots / (slots - load)
    return last / (sum(load**k / factorial(k) for k in range(slots)) + last)


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_waits_are_those_of_erlang(slots: int) -> None:
    use = 0.6
    rate = use * slots  # the mean answer takes one second
    seen = play(Setup(speed=speed(1000), parallel=slots), exponential(rate, 80_000))
    waits = erlang_c(slots, rate)
    spare = slots - rate
    assert seen.wait.mean == pytest.approx(waits / spare, rel=0.05)
    assert seen.wait.p99 == pytest.approx(log(waits / 0.01) / spare, rel=0.05)
    assert seen.slot_use == pytest.approx(use, rel=0.02)
    assert seen.latency.mean == pytest.approx(waits / spare + 1, rel=0.02)


@pytest.mark.parametrize(("slots", "use"), [(1, 0.9), (2, 0.95), (8, 0.99), (3, 1.2)])
def test_every_wait_is_that_of_the_recursion(slots: int, use: float) -> None:
    """First come, first served: who comes takes the slot that is free first."""
    jobs = list(exponential(use * slots, 5_000))
    seen = play(Setup(speed=speed(1000), parallel=slots), jobs)
    free, waits = [0.0] * slots, []
    for one in jobs:
        begins = max(heappop(free), one.at)
        waits.append(begins - one.at)
        heappush(free, begins + one.output_tokens / 1000)
    waits.sort()
    assert seen.wait.mean == pytest.approx(sum(waits) / len(waits), rel=1e-6)
    for share, told in ((0.5, seen.wait.p50), (0.95, seen.wait.p95), (0.99, seen.wait.p99)):
        assert told == pytest.approx(waits[round(share * len(waits)) - 1], rel=0.002, abs=1e-6)


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_equal_answers_at_once_are_done_wave_by_wave(slots: int) -> None:
    setup = Setup(speed=speed(10), parallel=slots)
    seen = play(setup, [job(output=20) for _ in range(4 * slots)])
    assert seen.seconds == pytest.approx(8.0)
    assert seen.requests_per_s == pytest.approx(slots / 2)
    assert seen.tokens_per_s == pytest.approx(10 * slots)
    assert seen.latency.p50 == pytest.approx(4.0, rel=0.002)
    assert seen.longest_queue == 3 * slots
    assert seen.slot_use == pytest.approx(1.0)


def test_equal_gaps_and_answers_wait_only_when_slots_are_too_few() -> None:
    jobs = [job(n * 0.5, output=10) for n in range(1000)]  # one second each, two a second
    assert play(Setup(speed=speed(10), parallel=2), jobs).wait.p99 == pytest.approx(0, abs=1e-6)
    alone = play(Setup(speed=speed(10), parallel=1), jobs)
    assert alone.wait.p50 == pytest.approx(250, rel=0.01)  # half a second more for each


def test_phases_of_one_request() -> None:
    setup = Setup(speed=speed(10, prefill=100), load_s=2.0)
    seen = play(setup, [job(prompt=300, output=20)])
    assert seen.wait.p50 == pytest.approx(2.0, rel=0.002)
    assert seen.ttft.p50 == pytest.approx(5.1, rel=0.002)
    assert seen.latency.p50 == pytest.approx(7.0, rel=0.002)


def test_prompts_are_read_one_after_the_other() -> None:
    setup = Setup(speed=speed(10, prefill=100), parallel=3, num_batch=0)
    seen = play(setup, [job(prompt=100, output=10) for _ in range(3)])
    assert seen.seconds == pytest.approx(4.0)
    assert seen.ttft.p99 == pytest.approx(3.1, rel=0.002)


def test_contention_lengthens_each_step() -> None:
    setup = Setup(speed=speed(10, contention=0.5), parallel=3)
    assert play(setup, [job(output=10)] * 3).seconds == pytest.approx(2.0)
    # Two of 10 tokens at 6.67/s, until one token a second later ... all piecewise.
    setup = Setup(speed=speed(10, contention=1.0), parallel=2)
    assert play(setup, [job(output=10), job(output=20)]).seconds == pytest.approx(3.0)


def test_reading_slows_writing() -> None:
    setup = Setup(speed=speed(10, prefill=1000), parallel=2, num_batch=500)
    jobs = [job(prompt=1, output=20), job(1.001, prompt=2000, output=1)]
    # 10 tokens in the first second; then 2 tokens a second while 2,000 are read; then the rest.
    assert play(setup, jobs).latency.p99 == pytest.approx(0.001 + 1 + 2 + 0.6, rel=0.002)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from([0, 64, 512]),
    st.sampled_from([0, 400, 100_000]),
    st.lists(
        st.builds(
            lambda at, prefix, shared, own, output: job(
                at, shared + own, output, prefix=prefix, prefix_tokens=shared
            ),
            st.floats(0, 20), st.sampled_from("ab"), st.sampled_from([0, 100, 300]),
            st.integers(20, 200), st.integers(1, 30),
        ),
        min_size=1, max_size=12,
    ),
)  # fmt: skip
def test_small_steps_of_time_tell_the_same(
    parallel: int, num_batch: int, memory: int, jobs: list[Job]
) -> None:
    jobs = sorted((one for one in jobs if one.prompt_tokens >= num_batch), key=lambda one: one.at)
    setup = Setup(
        speed=speed(20, prefill=150, contention=0.1), parallel=parallel, num_batch=num_batch,
        host_cache_tokens=memory,
    )  # fmt: skip
    slowly = SecondOpinion(setup)
    slowly.play(jobs)
    seen = play(setup, jobs)
    assert seen.requests == len(jobs)
    assert seen.prefill_tokens == slowly.read
    if jobs:
        near = 0.01 + 0.01 * len(jobs)
        assert seen.wait.mean == pytest.approx(sum(slowly.waits) / len(jobs), abs=near, rel=0.01)
        assert seen.ttft.mean == pytest.approx(sum(slowly.ttfts) / len(jobs), abs=near, rel=0.01)
        assert seen.latency.mean == pytest.approx(
            sum(slowly.latencies) / len(jobs), abs=near, rel=0.01
        )


def test_the_simulated_server_takes_as_long() -> None:
    """One request after the other over HTTP, with a clock that only moves when it is told to."""
    timing = Timing(load=2.0, prefill=100.0, decode=10.0)
    bodies = [
        {"model": "llama3.1:8b", "stream": False,
         "messages": [{"role": "user", "content": "word " * 150 + question}]}
        for question in ("first?", "second?", "and the third?")
    ]  # fmt: skip
    clock = ManualClock()
    sim = OllamaSimulator(["llama3.1:8b"], timing=timing, clock=clock, embedder=HashedNgrams())
    with sim, httpx.Client(base_url=sim.base_url, timeout=10) as client:
        replies = [client.post("/api/chat", json=body).json() for body in bodies]
        took = clock.monotonic()
    prompts = [chat_prompt(body, SimulatedModel(), {}).tokens for body in bodies]
    shared = min(common_prefix(prompts[0], prompt) for prompt in prompts[1:])
    jobs = [
        job(0, len(prompt), reply["eval_count"], prefix="words", prefix_tokens=shared)
        for prompt, reply in zip(prompts, replies, strict=True)
    ]
    assert [one.prompt_tokens for one in jobs] == [r["prompt_eval_count"] for r in replies]
    setup = Setup(speed=speed(10, prefill=100), load_s=2.0)
    seen = simulate(setup, Asking(iter(jobs), 1, 0.0))
    assert seen.seconds == pytest.approx(took, abs=0.05)
    assert seen.prefill_saved > 0.6


def test_hits_thin_out_what_reaches_the_server() -> None:
    setup = Setup(speed=speed(100), parallel=2)
    half = simulate(setup, Load(rate=1.0, hit_rate=0.5, requests=40_000).source())
    plain = simulate(setup, Load(rate=0.5, requests=20_000).source())
    assert half.hits == pytest.approx(20_000, rel=0.03)
    assert half.requests == 40_000
    assert half.ttft.p95 == pytest.approx(plain.ttft.p95, rel=0.1)
    assert half.latency.p95 == pytest.approx(plain.latency.p95, rel=0.05)
