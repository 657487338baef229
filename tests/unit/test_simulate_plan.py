"""Plans: capacity, the highest rate that keeps the targets, traces, and the sentences."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from aegis_llm.errors import ConfigError
from aegis_llm.simulate import Load, Row, Setup, Targets, machine, read_trace, rows, simulate
from aegis_llm.simulate.words import LANGCHAIN, LLAMA_INDEX, answers, assumptions, per_s, seconds
from tests.unit.simulating import job, speed

SETUP = Setup(speed=speed(50, prefill=2000))
LOAD = Load(rate=0.3, requests=1_200, prompt_tokens=400, output_tokens=100)


def row(parallel: int = 4, load: Load = LOAD, setup: Setup = SETUP, ttft: float = 1.0) -> Row:
    return rows(setup, load, [parallel], Targets(ttft=ttft))[0]


def test_the_highest_rate_keeps_the_targets_and_more_does_not() -> None:
    found = row()
    assert found.sustained is not None
    assert 0 < found.sustained < found.capacity
    setup = replace(SETUP, parallel=4)
    for times, kept in ((1.0, True), (1.05, False)):
        seen = simulate(setup, LOAD.at_rate(times * found.sustained).source())
        assert (seen.ttft.p95 <= 1.0) is kept


def test_both_targets_count() -> None:
    loose = rows(SETUP, LOAD, [4], Targets(ttft=5.0, latency=60.0))[0]
    tight = rows(SETUP, LOAD, [4], Targets(ttft=5.0, latency=5.0))[0]
    assert 0 < (tight.sustained or 0) < (loose.sustained or 0)


def test_hits_divide_the_rate_that_reaches_the_server() -> None:
    plain, cached = row(), row(load=replace(LOAD, hit_rate=0.5))
    assert cached.sustained == plain.sustained
    assert cached.sustained_with_cache == pytest.approx(2 * (plain.sustained or 0))
    assert cached.capacity == plain.capacity


def test_a_target_below_an_idle_server_is_never_kept() -> None:
    found = row(ttft=0.01)
    assert found.sustained is found.sustained_with_cache is None
    said = answers([found], SETUP, LOAD, Targets(ttft=0.01))
    assert any("a single request on an idle server takes longer" in one for one in said)


def test_too_much_is_told() -> None:
    load = replace(LOAD, rate=50.0)
    found = row(load=load)
    assert found.overloaded
    said = "\n".join(answers([found], SETUP, load, Targets(ttft=1.0)))
    assert "the queue grows without end" in said
    assert re.search(r"about \d+ such servers \(try --servers \d+\)", said)
    assert not row(load=replace(load, hit_rate=0.99)).overloaded


def test_the_servers_that_are_advised_suffice() -> None:
    load = replace(LOAD, rate=9.0)
    said = answers([row(load=load)], SETUP, load, Targets(ttft=1.0))
    advised = re.search(r"--servers (\d+)", said[-1])
    assert advised
    more = row(load=load, setup=replace(SETUP, servers=int(advised[1])))
    assert (more.sustained or 0) >= 9.0 * 0.98


def test_what_one_more_slot_gives_is_said() -> None:
    made = rows(SETUP, LOAD, [1, 2, 4], Targets(ttft=1.0))
    said = answers(made, SETUP, LOAD, Targets(ttft=1.0))
    assert said[0].startswith("NUM_PARALLEL=1 gives at most ")
    times = re.search(r"NUM_PARALLEL=2 gives .*, ([\d.]+) times that of 1", said[1])
    assert times
    assert float(times[1]) == pytest.approx(made[1].capacity / made[0].capacity, abs=0.01)
    assert "outgrown above" in said[3]
    assert "try --num-parallel 8,16" in said[4]


def test_more_slots_are_advised_only_where_they_are_faster() -> None:
    table = Setup(speed=machine("dgx-spark").speed(500))
    load = Load(rate=0.1, requests=300)
    for most, advised in ((8, True), (32, False)):
        said = answers(rows(table, load, [4, most], Targets(ttft=2)), table, load, Targets(ttft=2))
        assert any("More slots go further" in one for one in said) is advised


def test_slots_that_gain_nothing_are_said_to() -> None:
    flat = replace(SETUP, speed=speed(50, prefill=2000, contention=1.0))
    made = rows(flat, LOAD, [1, 8], Targets(ttft=1.0))
    assert "hardly worth its memory" in answers(made, flat, LOAD, Targets(ttft=1.0))[1]


def test_the_scheduler_is_compared_with_none() -> None:
    setup = Setup(speed=machine("dgx-spark").speed(2100), host_cache_tokens=0)
    load = Load(rate=0.1, requests=600, prompt_tokens=2035, prefix_tokens=2000, contexts=8)
    targets = Targets(ttft=2.0)
    off, on = rows(setup, load, [4], targets, schedulers=[False, True])
    assert (off.scheduler, on.scheduler) == (False, True)
    assert on.capacity > 1.15 * off.capacity
    said = answers([off, on], setup, load, targets)
    assert re.search(r"with the scheduler gives .* 1\.\d\d times that without it", said[1])


def test_what_is_assumed_is_said() -> None:
    load = replace(LOAD, hit_rate=0.3, prefix_tokens=10, contexts=3, models=2)
    setup = replace(SETUP, servers=2, num_batch=0, speed=machine("dgx-spark").speed(500))
    said = "\n".join(assumptions(setup, load, [False, True]))
    for word in ("benches/dgx-spark.md", "Reading does not slow writing", "Poisson", "30.0%",
                 "3 prefixes", "share its speed evenly", "the package's own", "fewest",
                 "Not modelled"):  # fmt: skip
        assert word in said
    assert "Reading does not" not in "\n".join(assumptions(SETUP, LOAD, [False]))
    short = assumptions(SETUP, Load(trace=[job()]), [False])
    assert "The trace has 1 requests: too few for its rates to say much." in short


def test_the_change_is_one_line() -> None:
    for text in (LANGCHAIN, LLAMA_INDEX):
        assert [line[0] for line in text.splitlines()].count("-") == 1


def test_a_trace_is_played_as_it_is() -> None:
    trace = [job(2 * n, output=40) for n in range(50)]
    load = Load(trace=trace)
    assert load.arrival_rate == pytest.approx(0.5)
    setup = Setup(speed=speed(10))
    seen = simulate(setup, load.source())
    assert seen.wait.p99 == pytest.approx(98, rel=0.05)  # four seconds each, two in between
    assert simulate(setup, load.at_rate(0.25).source()).wait.p99 == pytest.approx(0, abs=1e-6)
    found = rows(setup, load, [1], Targets(ttft=0.5))[0]
    assert found.sustained == pytest.approx(0.25, rel=0.05)
    assert not found.overloaded
    assert load.source().pop() == trace[0]


def test_a_burst_has_no_rate() -> None:
    load = Load(trace=[job() for _ in range(20)])
    found = rows(SETUP, load, [4], Targets(ttft=1.0))[0]
    assert (load.arrival_rate, found.sustained) == (None, None)
    assert found.outcome.requests == 20
    assert any("no rate" in one for one in answers([found], SETUP, load, Targets(ttft=1.0)))
    with pytest.raises(ConfigError, match="has no rate"):
        load.at_rate(1.0)


def test_a_file_of_requests() -> None:
    lines = [
        b'{"at": 3.5, "prompt_tokens": 900, "output_tokens": 20, "prefix": "a", "model": "x",'
        b' "prefix_tokens": 800, "tenant": "t"}',
        b"",
        b'{"at": 1, "prompt_tokens": 5, "output_tokens": 1}',
    ]
    first, second = read_trace(lines, "day.jsonl")
    assert first == job(1.0, 5, 1)
    assert second == job(3.5, 900, 20, prefix="a", prefix_tokens=800, model="x", tenant="t")


GOOD = b'{"at": 1, "prompt_tokens": 5, "output_tokens": 1}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "day.jsonl: no requests"),
        (b"\n \n", "day.jsonl: no requests"),
        (GOOD + b"\n{", "day.jsonl, line 2: "),
        (GOOD + b"\n\n[1]", "line 3: Expected `object`"),
        (b"\xff\xfe", "line 1: "),
        (
            b'{"at": 1, "prompt_tokens": 5}',
            "line 1: Object missing required field `output_tokens`",
        ),
        (GOOD.replace(b"5", b"0"), "`prompt_tokens`|prompt_tokens"),
        (GOOD.replace(b"5", b"-5"), "prompt_tokens"),
        (GOOD.replace(b"5", b'"5"'), "Expected `int`, got `str`"),
        (GOOD.replace(b"5", b"5.5"), "Expected `int`"),
        (GOOD.replace(b'"at": 1', b'"at": -1'), "at"),
        (GOOD.replace(b'"at": 1', b'"at": NaN'), "line 1: "),
        (GOOD.replace(b"}", b', "prefx": "a"}'), "unknown field `prefx`"),
        (GOOD.replace(b"}", b', "prefix": "a", "prefix_tokens": 5}'), "is not less than"),
        (GOOD.replace(b"}", b', "prefix_tokens": 3}'), "without a prefix"),
        (b"[" * 100_000, "line 1: "),
    ],
    ids=range(16),
)
def test_a_bad_line_is_told_with_its_number(text: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_trace(text.splitlines(), "day.jsonl")


def test_numbers_for_reading() -> None:
    assert [seconds(value) for value in (0, 0.0351, 1.24, 119, 600)] == [
        "0 ms", "35 ms", "1.2 s", "119 s", "10 min",
    ]  # fmt: skip
    assert [per_s(value) for value in (0.05214, 2.514, 12.3456, 1310.4)] == [
        "0.0521", "2.51", "12.3", "1,310",
    ]  # fmt: skip
