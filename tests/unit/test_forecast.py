"""How long answers will be, and how fast a model reads and writes."""

from __future__ import annotations

import pytest

from aegis_llm.batching.forecast import DECODE_RATE, PREFILL_RATE, Forecast
from aegis_llm.batching.jobs import Job, Reply, reply_of


def reply(said: int = 40, *, read: int = 300, prefill_s: float = 0.1, decode_s: float = 1.0):
    return Reply(0.01, prefill_s, decode_s, 0.0, read, said)


def test_an_answer_is_taken_to_be_as_long_as_those_of_its_template() -> None:
    forecast = Forecast()
    for _ in range(30):
        forecast.note(Job("m", 0.0, template=1), reply(10), cold=False)
        forecast.note(Job("m", 0.0, template=2), reply(500), cold=False)
    assert forecast.tokens(1, None) == pytest.approx(10)
    assert forecast.tokens(2, None) == pytest.approx(500)
    assert 10 < forecast.tokens(3, None) < 500


@pytest.mark.parametrize(("most", "expected"), [(5, 5), (10_000, 256), (None, 256), (-1, 256)])
def test_an_answer_is_no_longer_than_it_may_be(most: int | None, expected: float) -> None:
    assert Forecast().tokens(0, most) == expected


def test_it_follows_answers_that_become_longer() -> None:
    forecast = Forecast()
    for said in (10, 10, 10, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200):
        forecast.note(Job("m", 0.0, template=1), reply(said), cold=False)
    assert forecast.tokens(1, None) > 150


def test_only_prompts_that_were_read_whole_tell_how_fast_the_model_reads() -> None:
    forecast = Forecast()
    assert forecast.prefill_rate == PREFILL_RATE
    forecast.note(Job("m", 0.0), reply(read=3000, prefill_s=0.001), cold=False)
    assert forecast.prefill_rate == PREFILL_RATE
    forecast.note(Job("m", 0.0), reply(read=3000, prefill_s=1.0), cold=True)
    assert forecast.prefill_rate == 3000


def test_a_token_of_an_answer_costs_as_much_as_it_takes() -> None:
    forecast = Forecast()
    assert forecast.output_cost == PREFILL_RATE / DECODE_RATE
    forecast.note(Job("m", 0.0), reply(100, read=1000, prefill_s=1.0, decode_s=2.0), cold=True)
    assert forecast.output_cost == 1000 / 50
    assert forecast.service_s == 3.0


def test_a_reply_without_times_tells_no_rate() -> None:
    forecast = Forecast()
    forecast.note(Job("m", 0.0), Reply(0.0, 0.0, 0.0, 0.0, 0, 0), cold=True)
    assert forecast.output_cost == PREFILL_RATE / DECODE_RATE
    assert forecast.service_s == 0.0


def test_templates_are_forgotten_before_they_fill_the_memory() -> None:
    forecast = Forecast()
    for template in range(2000):
        forecast.note(Job("m", 0.0, template=template), reply(99), cold=False)
        if template % 100 == 0:
            assert 0 in forecast._said  # it is in use
            forecast.note(Job("m", 0.0, template=0), reply(7), cold=False)
    assert len(forecast._said) <= 512


def test_a_last_line_tells_the_wait_as_what_its_parts_leave_of_the_total() -> None:
    line = {
        "total_duration": 5_000_000_000, "load_duration": 1_000_000_000,
        "prompt_eval_duration": 500_000_000, "eval_duration": 1_500_000_000,
        "prompt_eval_count": 12, "eval_count": 34,
    }  # fmt: skip
    assert reply_of(line) == Reply(1.0, 0.5, 1.5, 2.0, 12, 34)
    assert reply_of(line).total_s == 5.0
    assert reply_of({"total_duration": 10, "eval_duration": 20}).wait_s == 0.0
    assert reply_of({"done": True}) is None
