"""Loads, queues, models and servers of the simulation; the same seed gives the same result."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.config import SchedulerConfig
from aegis_llm.errors import ConfigError
from aegis_llm.simulate import (
    MACHINES,
    Job,
    Load,
    Scheduled,
    Setup,
    Speed,
    Targets,
    machine,
    rows,
    simulate,
)
from aegis_llm.simulate.load import Arriving
from aegis_llm.simulate.tally import Spread
from tests.unit.simulating import job, play, speed

LOADS = st.lists(
    st.builds(
        lambda at, prompt, output, prefix, tenant: job(
            at, prompt, output, prefix=prefix, prefix_tokens=prompt - 1 if prefix else 0,
            tenant=tenant, model=f"m{output % 2}",
        ),
        st.floats(0, 30), st.integers(1, 500), st.integers(1, 60), st.sampled_from(["", "a", "b"]),
        st.sampled_from(["", "x", "y"]),
    ),
    min_size=1, max_size=40,
).map(lambda jobs: sorted(jobs, key=lambda one: one.at))  # fmt: skip


@settings(deadline=None)
@given(LOADS, st.integers(1, 4), st.integers(1, 2), st.integers(1, 3), st.booleans())
def test_nothing_is_lost_and_nothing_is_early(
    jobs: list[Job], parallel: int, room: int, servers: int, scheduler: bool
) -> None:
    setup = Setup(
        speed=speed(20, prefill=300, contention=0.1), parallel=parallel, servers=servers,
        max_loaded_models=room, load_s=1.0, keep_alive_s=5.0,
    )  # fmt: skip
    config = SchedulerConfig(num_parallel=parallel, max_loaded_models=room)
    policy = Scheduled(servers, config) if scheduler else None
    seen = simulate(setup, Arriving(iter(jobs)), policy)
    assert (seen.requests, seen.hits, seen.refused) == (len(jobs), 0, 0)
    assert 0 <= seen.wait.p50 <= seen.ttft.p99
    assert seen.ttft.mean <= seen.latency.mean
    written = sum(one.output_tokens for one in jobs)
    assert seen.tokens_per_s * seen.seconds == pytest.approx(written)
    assert seen.seconds >= written / (20 * parallel * servers * 2)
    assert 0 <= seen.prefill_saved < 1
    assert seen.slot_use <= 1 + 1e-9
    assert seen.loads >= len({one.model for one in jobs})


@settings(deadline=None)
@given(LOADS, st.integers(1, 6))
def test_one_more_slot_without_contention_is_never_slower(jobs: list[Job], parallel: int) -> None:
    plain = [msgspec.structs.replace(one, model="m", prefix="", prefix_tokens=0) for one in jobs]
    fewer, more = (
        play(Setup(speed=speed(20, prefill=300), parallel=slots, num_batch=0), plain)
        for slots in (parallel, parallel + 1)
    )
    assert more.seconds <= fewer.seconds * (1 + 1e-9)
    assert more.latency.mean <= fewer.latency.mean * (1 + 1e-9)
    assert more.wait.mean <= fewer.wait.mean + 1e-9


def test_capacity_rises_with_slots() -> None:
    made = rows(Setup(speed=speed(30)), Load(rate=1, requests=800), [1, 2, 4], Targets(ttft=1.0))
    for less, more in pairwise(made):
        assert more.capacity == pytest.approx(2 * less.capacity, rel=0.02)
        assert (more.sustained or 0) > (less.sustained or 0)


@pytest.mark.parametrize("scheduler", [False, True])
def test_the_same_seed_gives_the_same_result(scheduler: bool) -> None:
    setup = Setup(speed=machine("dgx-spark").speed(600), parallel=4)

    def seen(seed: int) -> object:
        load = Load(rate=0.4, requests=1_000, prefix_tokens=300, contexts=6, seed=seed)
        config = SchedulerConfig(num_parallel=4)
        return simulate(setup, load.source(), Scheduled(1, config) if scheduler else None)

    assert seen(3) == seen(3)
    assert seen(3) != seen(4)


def test_another_process_gives_the_same_result() -> None:
    """No decision hangs on the order of a set or on the hash of a text."""
    code = (
        "from aegis_llm.config import SchedulerConfig as C\n"
        "from aegis_llm.simulate import *\n"
        "setup = Setup(speed=machine('dgx-spark').speed(600), parallel=4)\n"
        "load = Load(rate=0.5, requests=1_000, prefix_tokens=300, contexts=6, models=2)\n"
        "print(simulate(setup, load.source(), Scheduled(1, C(num_parallel=4))))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, timeout=60,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1


def test_callers_who_wait_for_their_answers() -> None:
    setup = Setup(speed=speed(10), parallel=2)
    load = Load(concurrent=3, requests=30, output_tokens=10, vary=0, think_s=0.0)
    seen = simulate(setup, load.source())
    assert seen.seconds == pytest.approx(15.0)
    assert (seen.requests, seen.longest_queue) == (30, 1)
    idle = simulate(setup, Load(concurrent=1, requests=5, output_tokens=10, vary=0, think_s=9.0)
                    .source())  # fmt: skip
    assert idle.seconds == pytest.approx(5 + 4 * 9)


def test_two_servers_answer_twice_as_much() -> None:
    load = Load(concurrent=32, requests=2_000)
    one, two = (
        simulate(Setup(speed=speed(30), servers=n, parallel=2), load.source()) for n in (1, 2)
    )
    assert two.requests_per_s == pytest.approx(2 * one.requests_per_s, rel=0.02)


def test_models_that_do_not_fit_together_are_loaded_again_and_again() -> None:
    jobs = [job(n * 10.0, model=f"m{n % 2}") for n in range(10)]
    setup = Setup(speed=speed(10), load_s=2.0, max_loaded_models=1)
    assert play(setup, jobs).loads == 10
    assert play(Setup(speed=speed(10), load_s=2.0), jobs).loads == 2
    assert play(Setup(speed=speed(10), load_s=2.0, keep_alive_s=15.0), jobs).loads == 10
    assert play(Setup(speed=speed(10), load_s=2.0, keep_alive_s=20.0), jobs).loads == 2


def test_a_load_waits_until_the_model_in_the_way_is_idle() -> None:
    setup = Setup(speed=speed(10), load_s=2.0, max_loaded_models=1)
    jobs = [job(0, output=20, model="a"), job(1, output=10, model="b"), job(2.5, model="a")]
    # a: load to 2, answer to 4, and the third, whose model is there, before b: to 5. b: load to 7.
    assert play(setup, jobs).seconds == pytest.approx(8.0)


def test_models_at_work_share_the_speed_of_their_server() -> None:
    setup = Setup(speed=speed(10))
    jobs = [job(0, output=10, model="a"), job(0.5, output=10, model="b")]
    # Alone for half a second, then half as fast each: a ends at 1.5, b has 5 more at full speed.
    seen = play(setup, jobs)
    assert seen.seconds == pytest.approx(2.0)
    assert seen.latency.mean == pytest.approx(1.5)


def test_too_many_that_wait_for_a_load_are_refused() -> None:
    setup = Setup(speed=speed(10), load_s=5.0, max_queue=3)
    seen = play(setup, [job(0.1 * n) for n in range(10)])
    assert (seen.requests, seen.refused) == (4, 6)
    assert seen.longest_queue == 4


def test_tenants_are_told_apart() -> None:
    jobs = [job(0, output=100, tenant="slow"), job(0, output=10, tenant="quick")]
    seen = play(Setup(speed=speed(10), parallel=2), jobs)
    assert seen.tenants == {
        "quick": pytest.approx(1, rel=0.01),
        "slow": pytest.approx(10, rel=0.01),
    }


def test_memory_stays_flat() -> None:
    setup = Setup(speed=speed(100), parallel=4)

    def peak(requests: int) -> int:
        load = Load(rate=1.5, requests=requests, prefix_tokens=100, contexts=50)
        tracemalloc.start()
        try:
            simulate(setup, load.source())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(12_000) < peak(3_000) + 150_000


@given(st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=200), st.floats(0.01, 1))
def test_percentiles_are_right_to_a_thousandth(values: list[float], share: float) -> None:
    spread = Spread()
    for value in values:
        spread.add(value)
    values.sort()
    told = spread.at(share)
    assert any(abs(told - value) <= 0.0011 * value for value in values)
    below = sum(value <= told * 1.0011 for value in values)
    assert below >= share * len(values) - 1e-6
    assert sum(value < told * 0.9989 for value in values) < share * len(values) + 1e-6


def test_speeds_between_measured_ones_are_interpolated() -> None:
    table = Speed(prefill=1000, decode=((1, 30.0), (4, 90.0), (8, 100.0)))
    assert [table.all_slots(n) for n in (1, 2, 4, 6, 8, 20)] == pytest.approx(
        [30, 50, 90, 95, 100, 100]
    )
    slowed = Speed(prefill=1000, decode=((1, 30.0),), contention=0.5)
    assert slowed.all_slots(3) == pytest.approx(45)


def test_machines_are_measured_ones() -> None:
    spark = MACHINES["dgx-spark"]
    assert [spark.speed(512).all_slots(n) for n in (1, 2, 4, 8)] == [29.24, 54.46, 104.33, 195.67]
    assert spark.speed(1) == spark.speed(512)
    assert spark.speed(99_999) == spark.speed(8192)
    assert spark.speed(512).prefill > spark.speed(2000).prefill > spark.speed(4096).prefill
    assert all(one.source and one.about for one in MACHINES.values())
    with pytest.raises(ConfigError, match="dgx-spark-gpt-oss-20b"):
        machine("cray-1")


@pytest.mark.parametrize(
    "given",
    [
        {"rate": 0.0}, {"rate": -1.0}, {"rate": float("nan")}, {"rate": float("inf")}, {},
        {"rate": 1.0, "concurrent": 2}, {"concurrent": 0}, {"trace": []},
        {"rate": 1.0, "requests": 0}, {"rate": 1.0, "prompt_tokens": 0},
        {"rate": 1.0, "output_tokens": -3}, {"rate": 1.0, "vary": -0.1},
        {"rate": 1.0, "prefix_tokens": 500}, {"rate": 1.0, "hit_rate": 1.0},
        {"rate": 1.0, "contexts": 0}, {"rate": 1.0, "models": 0}, {"rate": 1.0, "seed": -1},
        {"concurrent": 1, "think_s": -1.0},
    ],
    ids=str,
)  # fmt: skip
def test_a_load_that_cannot_be_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"not usable; give"):
        Load(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [{"parallel": 0}, {"parallel": -1}, {"servers": 0}, {"load_s": -1}, {"keep_alive_s": -1},
     {"max_loaded_models": 0}, {"max_queue": -1}, {"num_batch": -1}, {"host_cache_tokens": -1}],
    ids=str,
)  # fmt: skip
def test_a_server_that_cannot_be_is_refused(given: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"not usable; give"):
        Setup(speed=speed(), **given)  # type: ignore[arg-type]


def test_speeds_that_cannot_be_are_refused() -> None:
    for prefill, decode, contention in (
        (0.0, ((1, 1.0),), None), (1.0, (), None), (1.0, ((2, 1.0),), None),
        (1.0, ((1, 1.0), (1, 2.0)), None), (1.0, ((1, 0.0),), None), (1.0, ((1, 1.0),), -1.0),
        (1.0, ((1, 1.0), (2, 2.0)), 0.1),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="not usable"):
            Speed(prefill=prefill, decode=decode, contention=contention)
    with pytest.raises(ConfigError, match="no target"):
        Targets()
