"""The pure parts of a bench: plan, prompts, statistics, cache figures, reports."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.bench import prompts
from aegis_llm.bench.caching import cached
from aegis_llm.bench.claims import claims
from aegis_llm.bench.markdown import markdown
from aegis_llm.bench.page import page
from aegis_llm.bench.plan import Speed, check, cost, fitted, order, phases_of, quick
from aegis_llm.bench.results import results
from aegis_llm.bench.shown import seconds
from aegis_llm.bench.slots import knee
from aegis_llm.bench.statistics import estimate, mean_of_rounds
from aegis_llm.bench.values import Machine, Model, Phase, Recorded, Sample, Sent, Settings
from aegis_llm.errors import ConfigError

MODEL = Settings(model="m:1b")


def test_each_round_has_every_phase_once_and_rounds_differ_in_order() -> None:
    phases = phases_of(MODEL)
    steps = order(phases, MODEL)
    for turn in range(1, MODEL.rounds):
        own = Counter(one.phase for one in steps if one.round == turn)
        wanted = {n for n, one in enumerate(phases) if one.kind != "keep_alive"}
        assert own == dict.fromkeys(wanted, 1)
    loads = [one for one in steps if phases[one.phase].kind == "load"]
    orders = {tuple(s.phase for s in loads if s.round == n) for n in range(MODEL.rounds)}
    assert len(orders) > 1
    assert order(phases, MODEL) == steps


def test_the_ways_through_the_cache_traffic_go_first_in_turn() -> None:
    phases = phases_of(MODEL)
    steps = order(phases, MODEL)
    firsts = [
        next(
            phases[s.phase].way for s in steps if s.round == n and phases[s.phase].kind == "cache"
        )
        for n in range(2)
    ]
    assert firsts == ["around", "through"]


@pytest.mark.parametrize("speed", [Speed(2000, 60), Speed(300, 12), Speed(200, 10)])
def test_a_quick_run_fits_into_its_minute_on_slow_machines_too(speed: Speed) -> None:
    small = fitted(quick(MODEL), speed)
    assert cost(phases_of(small), small, speed).seconds < 60


@pytest.mark.parametrize(
    "change",
    [{"levels": ()}, {"levels": (0,)}, {"rounds": 0}, {"shares": (0.5, 0.5, 0.5)},
     {"shares": (0.5, 0.5, 0.0)}, {"pause_s": -1.0}, {"documents": 0}],
)  # fmt: skip
def test_settings_that_cannot_be_measured_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        check(Settings(**{"model": "m", **change}))  # type: ignore[arg-type]


@given(st.integers(1, 80), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_traffic_repeats_only_what_was_asked_and_keeps_its_shares(count: int, seed: int) -> None:
    asks = prompts.traffic(seed, count, (0.5, 0.3, 0.2))
    assert len(asks) == count
    said: dict[str, str] = {}
    for ask in asks:
        assert (ask.label == "exact") == (ask.question in said)
        assert (ask.label == "new") == (ask.meaning not in said.values())
        said[ask.question] = ask.meaning
    assert sum(ask.label == "new" for ask in asks) == max(1, round(count * 0.2))


def test_prompts_of_two_runs_begin_differently_and_go_on_alike() -> None:
    one, other = (prompts.cold(0, "4 at once 0 1", 50, run)[0]["content"] for run in "ab")
    assert one != other
    assert one.partition(":")[2] == other.partition(":")[2]
    assert len(one) == len(other)


def test_the_length_of_prompts_is_by_the_models_own_tokens() -> None:
    ruler = prompts.ruler((20, 60), (120, 260))
    assert ruler == prompts.Ruler(2.0, 20.0)
    assert ruler.words(420) == 200
    assert prompts.ruler((20, 60), (120, 60)) == prompts.Ruler()


def test_an_interval_holds_its_figure_and_is_the_same_each_time() -> None:
    rounds = [[1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 5.0], [2.5, 2.6, 2.7]]
    one = estimate(rounds, 0.5, seed=3)
    assert one is not None
    assert one.low is not None
    assert one.high is not None
    assert one.low <= one.value <= one.high
    assert estimate(rounds, 0.5, seed=3) == one


def test_rounds_that_differ_widen_the_interval_though_each_is_steady() -> None:
    steady = estimate([[1.0] * 20, [1.0] * 20, [1.0] * 20], 0.5)
    drifting = estimate([[1.0] * 20, [2.0] * 20, [3.0] * 20], 0.5)
    assert steady is not None
    assert drifting is not None
    assert (steady.low, steady.high) == (1.0, 1.0)
    assert drifting.low is not None
    assert drifting.high is not None
    assert drifting.low < 1.0 < 3.0 < drifting.high


def test_an_interval_of_95_percent_holds_the_truth_95_times_of_a_hundred() -> None:
    random = np.random.default_rng(5)
    medians = means = 0
    for _ in range(200):
        rounds = np.exp(random.normal(0, 0.1, (4, 1)) + random.normal(0, 0.1, (4, 12)))
        median = estimate([list(each) for each in rounds], 0.5, draws=200)
        mean = mean_of_rounds(list(random.normal(5, 1, 4)))
        assert median is not None
        assert mean is not None
        medians += (median.low or 9) <= 1.0 <= (median.high or 0)
        means += (mean.low or 9) <= 5.0 <= (mean.high or 0)
    assert medians >= 184
    assert 184 <= means <= 197


@pytest.mark.parametrize(("share", "n"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_an_interval_needs_values_beyond_it_and_three_rounds(share: float, n: int) -> None:
    def one(count: int, rounds: int) -> float | None:
        numbers = [float(1 + k % 7) for k in range(count)]
        found = estimate([numbers[k::rounds] for k in range(rounds)], share, draws=50)
        assert found is not None
        return found.high

    assert one(n - 1, 3) is None
    assert one(n, 3) is not None
    assert one(n, 2) is None


def test_a_p99_of_few_values_has_no_interval() -> None:
    one = estimate([[1.0, 2.0, 3.0]], 0.99)
    assert one is not None
    assert (one.low, one.high, one.n) == (None, None, 3)


CACHE = (Phase(name="around", kind="cache"), Phase(name="through", kind="cache", way="through"))


def hit(
    n: int, label: str, outcome: str, *, right: bool | None = None, took: float = 0.01
) -> Sent:
    return Sent(1, 0, n, 0.0, took, took, took, label=label, outcome=outcome, right=right)


def test_wrong_hits_troubles_and_what_was_not_stored_are_counted() -> None:
    sent = [
        Sent(0, 0, 0, 0.0, 1.0, 1.0, 1.0, label="new"),
        hit(0, "new", "miss not_cached; not stored: done_reason_length", took=1.0),
        hit(1, "exact", "hit_exact", right=True),
        hit(2, "reworded", "hit_semantic", right=False),
        hit(3, "new", "miss redis_down", took=1.0),
    ]
    found = cached(CACHE, sent, 0, semantic=True)
    assert found is not None
    assert found.wrong == 1
    assert found.hits == {"exact": 1, "reworded": 1}
    assert found.troubles == {"redis_down": 1}
    assert found.unstored == {"done_reason_length": 1}
    assert found.repeats == 0.5
    assert found.hit_rate is not None
    assert found.hit_rate.value == 0.5


def test_every_promise_of_the_study_has_a_row_though_nothing_was_measured() -> None:
    rows = claims((), knee((), ()), None, None)
    assert [one.claimed[:8] for one in rows] == [
        "+30 % (4", "50 ms, t", "3 to 5 s", "500 ms t", "under 5 ", "85 to 90",
    ]  # fmt: skip
    assert {one.measured for one in rows} == {"not measured"}


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.found += [str(v) for k, v in attrs if k in ("src", "href", "srcset", "action")]


def test_the_page_needs_nothing_else_and_shows_what_it_is_given_as_text() -> None:
    name = "<script>alert(1)</script>:1b"
    recorded = Recorded(settings=Settings(model=name), phases=phases_of(MODEL))
    recorded.sent += [Sent(0, n, 0, n, 0.1, 1.0, 1.0, 100, 20, 1.0, 0.0, 0.1, 0.9) for n in (0, 1)]
    recorded.notes.append(name)
    recorded.partial = "stopped by Ctrl-C"
    found = results(recorded)
    links = _Links()
    links.feed(page(found))
    assert links.found == []
    assert not {"script", "link", "img", "iframe"} & set(links.tags)
    assert "url(" not in page(found)
    assert "PARTIAL: stopped by Ctrl-C" in page(found)
    assert "PARTIAL: stopped by Ctrl-C" in markdown(found)


def test_a_report_of_nothing_is_a_report() -> None:
    found = results(Recorded(settings=MODEL, partial="no answer"))
    assert "no answer" in markdown(found)
    assert "no answer" in page(found)


def test_markdown_holds_what_a_server_says_as_text_on_one_line() -> None:
    recorded = Recorded(settings=MODEL, model=Model(name="a<b>|c\nd"), partial="x\n# <i>y</i>")
    text = markdown(results(recorded))
    assert text.startswith("# aegis-llm bench: a&lt;b>|c d\n")
    assert "<i>" not in text
    assert "\n# " not in text[1:]


def test_a_figure_and_its_unit_and_an_interval_stay_on_one_line_of_the_page() -> None:
    recorded = Recorded(settings=Settings(model="m"), phases=phases_of(MODEL))
    recorded.sent += [
        Sent(0, n % 3, n, n, 0.1, 1.0, 1.0 + n, 100, 20, 1.0, 0.0, 0.1, 0.9) for n in range(9)
    ]
    text = page(results(recorded))
    assert "\xa0to\xa0" in text
    assert "100\xa0ms\xa0/ 100\xa0ms\xa0/ 100\xa0ms" in text


def test_a_gpu_that_shares_the_main_memory_is_said_to() -> None:
    recorded = Recorded(settings=MODEL, machine=Machine(gpus=("NVIDIA GB10",)))
    recorded.samples += [Sample(at=0.0, when="rest", vram=5 << 30, host=9 << 30)]
    assert "shares the main memory" in markdown(results(recorded))
    recorded.samples += [Sample(at=1.0, when="load", gpu=6 << 30, host=9 << 30)]
    assert "shares the main memory" not in markdown(results(recorded))


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.00008, "80 us"), (0.0099996, "10 ms"), (0.99996, "1.00 s"), (9.996, "10.0 s"),
     (119.99, "2.0 min"), (0.4, "400 ms")],
)  # fmt: skip
def test_times_have_their_unit_and_no_rounding_to_the_next_one(value: float, said: str) -> None:
    assert seconds(value) == said
