"""Who goes where and who makes room, in the simulation; lengths are as asked."""

from __future__ import annotations

import pytest

from aegis_llm.config import SchedulerConfig
from aegis_llm.simulate import Job, Load, Outcome, Scheduled, Setup, simulate
from aegis_llm.simulate.load import Arriving
from tests.unit.simulating import job, play, speed


def scheduled(setup: Setup, jobs: list[Job], **config: object) -> Outcome:
    made = SchedulerConfig(num_parallel=setup.parallel, **config)  # type: ignore[arg-type]
    return simulate(setup, Arriving(iter(jobs)), Scheduled(setup.servers, made))


def test_the_server_with_the_fewest_is_asked() -> None:
    setup = Setup(speed=speed(10), servers=2)
    jobs = [job(0, output=100), job(1, output=10), job(5, output=10), job(6.5, output=10)]
    assert play(setup, jobs).wait.p99 == 0


def test_the_scheduler_asks_the_server_that_has_the_prefix() -> None:
    setup = Setup(speed=speed(10, prefill=1000), servers=2, host_cache_tokens=0)
    jobs = [
        job(20.0 * n, 1_000, 10, prefix="ab"[n // 2 % 2], prefix_tokens=950) for n in range(20)
    ]  # aa bb aa bb: by turns each server would have to read both
    plain, placed = play(setup, jobs), scheduled(setup, jobs)
    assert placed.prefill_tokens == 2 * 1_000 + 18 * 50
    assert plain.prefill_tokens > 5 * 1_000


def test_a_light_tenant_does_not_wait_for_a_heavy_one() -> None:
    setup = Setup(speed=speed(10), parallel=2)
    jobs = [job(0, tenant="heavy") for _ in range(60)] + [job(1, tenant="light")]
    assert play(setup, jobs).tenants["light"] > 25
    assert scheduled(setup, jobs).tenants["light"] < 5


def test_a_window_that_is_always_open_delays_a_lonely_request() -> None:
    setup = Setup(speed=speed(10))
    seen = scheduled(setup, [job(0), job(5)], window="always", window_ms=200.0)
    assert seen.wait.p50 == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize("order", ["abcb", "abaca"])
def test_the_model_that_would_expire_first_makes_room(order: str) -> None:
    setup = Setup(speed=speed(10), load_s=1.0, max_loaded_models=2)
    used = [job(10.0 * n, model=name) for n, name in enumerate(order)]
    assert play(setup, used).loads == 3  # the last one is still there


def test_a_model_expires_at_the_very_end_of_its_time() -> None:
    jobs = [job(0), job(20)]  # loaded at 2, answered at 3
    for keep_alive_s, loads in ((17.0, 2), (17.5, 1)):
        setup = Setup(speed=speed(10), load_s=2.0, keep_alive_s=keep_alive_s)
        assert play(setup, jobs).loads == loads


def test_models_share_the_speed_of_reading() -> None:
    setup = Setup(speed=speed(10, prefill=100), num_batch=0)
    jobs = [job(0, prompt=100, model="a"), job(0, prompt=100, model="b")]
    assert play(setup, jobs).ttft.p50 == pytest.approx(2.2, rel=0.01)


def test_a_short_prompt_slows_writing_less_than_a_long_one() -> None:
    """100 of 1,000 tokens a second are read in a step of a tenth of a second."""
    setup = Setup(speed=speed(20, prefill=1000), parallel=2, num_batch=500)
    jobs = [job(0, prompt=1, output=40), job(1.001, prompt=100, output=1)]
    # 20 tokens in the first second, one while it is read, then the other 19.
    assert play(setup, jobs).latency.p99 == pytest.approx(0.001 + 1 + 0.1 + 0.95, rel=0.002)


@pytest.mark.parametrize("vary", [0.0, 0.5, 1.5])
def test_lengths_have_the_mean_that_was_asked(vary: float) -> None:
    load = Load(rate=2.0, requests=30_000, prompt_tokens=900, output_tokens=300, vary=vary,
                prefix_tokens=400, contexts=3, models=2)  # fmt: skip
    source, jobs = load.source(), []
    while source.next_at < float("inf"):
        jobs.append(source.pop())
    count = len(jobs)
    assert count == 30_000
    assert sum(one.prompt_tokens for one in jobs) / count == pytest.approx(900, rel=0.02)
    mean = sum(one.output_tokens for one in jobs) / count
    assert mean == pytest.approx(300, rel=0.03)
    deviation = (sum((one.output_tokens - mean) ** 2 for one in jobs) / count) ** 0.5
    assert deviation / mean == pytest.approx(vary, rel=0.1)
    assert jobs[-1].at == pytest.approx(count / 2.0, rel=0.02)
    assert {(one.prefix, one.prefix_tokens) for one in jobs} == {
        (f"context {n}", 400) for n in range(3)
    }
    assert {one.model for one in jobs} == {"model 0", "model 1"}
