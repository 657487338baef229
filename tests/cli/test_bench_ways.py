"""`bench --way`: the load phases around the package, through it, and both side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_llm.bench.ratios import OVER_ALL
from aegis_llm.bench.results import Results, decode
from aegis_llm.testing import OllamaSimulator
from tests.cli.bench_kit import SMALL, Command, commands, fast_server

LOADS = (*SMALL[:-2], "--cache", "0", "--no-cold")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    return commands(monkeypatch, tmp_path)


@pytest.fixture
def server() -> Iterator[OllamaSimulator]:
    with fast_server() as simulator:
        yield simulator


@pytest.fixture
def measured(run: Command, server: OllamaSimulator, tmp_path: Path, redis_url: str) -> Results:
    """Both ways, four rounds."""
    url = ("--url", server.base_url, "--redis-url", redis_url)
    result = run(*url, "--out", "both", *LOADS, "--rounds", "4", "--way", "both")
    assert result.exit_code in (0, 3), result.output  # 3: Redis too slow on a busy machine
    assert "Answer, p50, over all load phases" in " ".join(result.stdout.split())
    return decode((tmp_path / "both.json").read_bytes(), "both.json")


def test_both_ways_send_the_same_and_both_are_told(measured: Results, tmp_path: Path) -> None:
    assert not any(one.error for one in measured.requests)
    loads = [one for one in measured.phases if one.kind == "load"]
    ways = Counter(one.way for one in loads)
    assert ways["around"] == ways["through"] == 4  # baseline, 1 and 2 at once, stress
    lengths = {
        way: [one.read for one in measured.requests if measured.phases[one.phase] in loads
              and measured.phases[one.phase].way == way]
        for way in ways
    }  # fmt: skip
    assert sorted(lengths["around"]) == sorted(lengths["through"])  # the same prompts
    through = [one for one in measured.requests if measured.phases[one.phase].way == "through"]
    assert {one.outcome.partition(" ")[0] for one in through} == {"miss"}
    assert all(one.total and one.decode and one.ttft for one in through)

    told = {one.phase for one in measured.ways}
    assert told == {OVER_ALL, *(one.name for one in loads if one.way == "around")}
    whole = [one for one in measured.ways if one.phase == OVER_ALL]
    assert whole
    assert all(one.low is not None and one.paired for one in whole)
    text = (tmp_path / "both.html").read_text()
    assert "Around the package and through it" in text
    assert text.count("<svg") == 4  # speed, times, timeline, memory
    assert measured.knee.slots == 2  # by the phases that go straight to the server


def test_twins_come_one_after_the_other_and_each_first_in_turn(measured: Results) -> None:
    begun: dict[tuple[int, int], float] = {}
    for one in measured.requests:
        begun.setdefault((one.round, one.phase), one.at)
    firsts = Counter[str]()
    for turn in range(4):
        order = [measured.phases[phase] for _, phase in sorted(
            (key for key in begun if key[0] == turn), key=lambda key: begun[key])]  # fmt: skip
        loads = [one for one in order if one.kind == "load"]
        for one, other in zip(loads[::2], loads[1::2], strict=True):
            assert one.callers == other.callers
            assert one.way != other.way
            firsts[one.way] += 1
    assert firsts["around"] == firsts["through"]


def test_through_alone_has_its_pictures_and_says_nothing_of_slots(
    run: Command, server: OllamaSimulator, tmp_path: Path, redis_url: str
) -> None:
    url = ("--url", server.base_url, "--redis-url", redis_url)
    result = run(*url, "--out", "alone", *LOADS, "--way", "through")
    assert result.exit_code in (0, 3), result.output
    found = decode((tmp_path / "alone.json").read_bytes(), "alone.json")
    assert {one.way for one in found.phases if one.kind == "load"} == {"through"}
    assert len(found.knee.levels) == 2
    assert found.knee.slots is None
    assert "--way around" in found.knee.sentence
    assert found.ways == ()
    assert (tmp_path / "alone.html").read_text().count("<svg") == 4


def test_a_wait_in_the_queue_of_the_package_is_a_wait(
    run: Command, server: OllamaSimulator, tmp_path: Path, redis_url: str
) -> None:
    url = ("--url", server.base_url, "--redis-url", redis_url)
    wide = (*LOADS, "--levels", "8", "--each", "2", "--output-tokens", "32")
    result = run(*url, "--out", "wide", *wide, "--way", "through")
    assert result.exit_code in (0, 3), result.output
    found = decode((tmp_path / "wide.json").read_bytes(), "wide.json")
    place = next(n for n, one in enumerate(found.phases) if one.callers == 8)
    for one in (one for one in found.requests if one.phase == place):
        assert one.wait is not None
        known = (one.load or 0) + (one.prefill or 0) + (one.decode or 0)
        assert one.wait == pytest.approx(one.latency - known, abs=1e-5)


def test_without_redis_only_what_goes_around_is_measured(
    run: Command, server: OllamaSimulator, tmp_path: Path
) -> None:
    url = ("--url", server.base_url, "--redis-url", "redis://127.0.0.1:9")
    result = run(*url, "--out", "none", *LOADS, "--way", "both")
    assert result.exit_code == 3
    found = decode((tmp_path / "none.json").read_bytes(), "none.json")
    assert "does not answer" in found.partial
    assert {found.phases[one.phase].way for one in found.requests} == {"around"}
    nothing = run(*url, "--out", "no", *LOADS, "--way", "through", "--json")
    assert nothing.exit_code in (1, 3)
