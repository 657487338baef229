"""Runner options that the callers of a model share."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.batching.agreeing import Agreed, SharedOptions
from aegis_llm.values import RUNNER_OPTIONS


def agreed(**options: Any) -> Agreed:
    """Callers of a model of which the first one had these options."""
    made = Agreed()
    assert made.settle(options, 10).options == options
    return made


def test_the_first_caller_says_what_the_model_is_loaded_with() -> None:
    made = agreed(num_ctx=8192, temperature=0.5)
    settled = made.settle({"num_ctx": 4096, "temperature": 0.9, "seed": 1}, 10)
    assert settled.options == {"num_ctx": 8192, "temperature": 0.9, "seed": 1}
    assert settled.changed == {"num_ctx": (4096, 8192)}


def test_the_same_options_change_nothing() -> None:
    made = agreed(num_ctx=8192, num_thread=4)
    settled = made.settle({"num_thread": 4, "num_ctx": 8192, "top_p": 0.5}, 10)
    assert settled.options == {"num_thread": 4, "num_ctx": 8192, "top_p": 0.5}
    assert settled.changed == {}


@pytest.mark.parametrize("name", RUNNER_OPTIONS)
def test_every_option_that_a_model_is_loaded_with_is_shared(name: str) -> None:
    made = agreed(**{name: 40})
    settled = made.settle({name: 50, "num_predict": 5}, 10)
    assert settled.options == {name: 40, "num_predict": 5}
    assert settled.changed == {name: (50, 40)}


def test_an_option_that_the_others_do_not_have_is_left_out() -> None:
    settled = agreed().settle({"num_thread": 4, "num_gpu": 0}, 10)
    assert settled.options == {}
    assert settled.changed == {"num_thread": (4, None), "num_gpu": (0, None)}


def test_an_option_that_the_others_have_is_added() -> None:
    settled = agreed(num_ctx=8192).settle({"temperature": 0}, 10)
    assert settled.options == {"temperature": 0, "num_ctx": 8192}
    assert settled.changed == {"num_ctx": (None, 8192)}


def test_an_option_that_is_none_is_absent() -> None:
    made = agreed(num_ctx=None, seed=None)
    assert made.settle({}, 10).options == {}
    assert agreed(num_gpu=None).settle({"num_gpu": 1}, 10).options == {}
    assert agreed(num_ctx=4096).settle({"num_ctx": None}, 10).options == {"num_ctx": 4096}


def test_a_prompt_that_does_not_fit_keeps_its_own_context_and_the_others_follow() -> None:
    made = agreed(num_ctx=2048)
    settled = made.settle({"num_ctx": 16_384}, 9000)
    assert settled.options == {"num_ctx": 16_384}
    assert settled.changed == {}
    assert made.settle({"num_ctx": 2048}, 10).options == {"num_ctx": 16_384}


def test_a_prompt_fits_when_its_answer_does_as_well_and_every_byte_were_a_token() -> None:
    long = {"num_ctx": 8192, "num_predict": 3000}
    assert agreed(num_ctx=4096).settle(long, 1000).changed == {"num_ctx": (8192, 4096)}
    assert agreed(num_ctx=4096).settle(long, 1100).changed == {}
    usual = {"num_ctx": 8192}
    assert agreed(num_ctx=4096).settle(usual, 3000).changed == {"num_ctx": (8192, 4096)}
    assert agreed(num_ctx=4096).settle(usual, 3100).changed == {}


@pytest.mark.parametrize("most", [-1, -2, 0, "many"])
def test_an_answer_without_limit_does_not_fit(most: Any) -> None:
    options = {"num_ctx": 8192, "num_predict": most}
    assert agreed(num_ctx=4096).settle(options, 10).changed == {}


def test_an_answer_that_filled_the_context_of_others_makes_its_callers_the_one() -> None:
    made = agreed(num_ctx=2048)
    sent = made.settle({"num_ctx": 8192}, 500).options
    assert isinstance(sent, SharedOptions)
    assert not sent.filled(1900)
    assert sent.filled(2040)
    made.outgrown(sent)
    assert made.settle({"num_ctx": 2048}, 500).options == {"num_ctx": 8192}
    larger = made.settle({"num_ctx": 2048}, 500).options
    assert isinstance(larger, SharedOptions)
    assert not larger.filled(8192)  # its caller would have had less


def test_a_caller_that_asked_for_less_may_be_cut_by_its_own_wish_alone() -> None:
    settled = agreed(num_ctx=8192).settle({"num_ctx": 2048}, 1_000_000)
    assert settled.options == {"num_ctx": 8192}


def test_the_context_of_a_server_that_nobody_told_one_is_not_known() -> None:
    made = agreed()
    assert made.settle({"num_ctx": 2048}, 10).options == {"num_ctx": 2048}
    assert made.settle({}, 10).options == {"num_ctx": 2048}


def test_who_says_no_context_keeps_the_servers_own_when_the_prompt_is_long() -> None:
    made = agreed(num_ctx=2048)
    assert made.settle({}, 3300).options == {}


def test_who_insists_keeps_its_own_and_the_others_follow() -> None:
    made = agreed(num_ctx=8192)
    settled = made.settle({"num_ctx": 2048}, 10**6, insist=True)
    assert settled.options == {"num_ctx": 2048}
    assert settled.changed == {}
    assert made.settle({"num_ctx": 8192}, 10).options == {"num_ctx": 2048}


@pytest.mark.parametrize("insist", [True, False])
def test_what_is_only_rehearsed_changes_nothing(insist: bool) -> None:
    made = Agreed()
    assert made.settle({"num_ctx": 2048}, 10, rehearsed=True, insist=insist).changed == {}
    assert made.settle({"num_ctx": 4096}, 10).options == {"num_ctx": 4096}
    own = made.settle({"num_ctx": 9999}, 10**6, rehearsed=True, insist=insist)
    assert own.options == {"num_ctx": 9999}
    assert made.settle({"num_ctx": 2048}, 10, rehearsed=True).options == {"num_ctx": 4096}
    assert made.settle({"num_ctx": 2048}, 10).options == {"num_ctx": 4096}


def test_the_options_of_a_caller_stay_as_they_are() -> None:
    options = {"num_ctx": 2048, "stop": ["x"]}
    agreed(num_ctx=4096).settle(options, 10)
    assert options == {"num_ctx": 2048, "stop": ["x"]}


@pytest.mark.parametrize("bad", ["8192", "", [], {}])
def test_what_no_server_takes_is_the_trouble_of_its_caller_alone(bad: Any) -> None:
    made = Agreed()
    assert made.settle({"num_ctx": bad}, 10).options == {"num_ctx": bad}
    assert made.settle({"num_ctx": 4096}, 10).options == {"num_ctx": 4096}
    assert made.settle({"num_ctx": bad}, 10).options == {"num_ctx": bad}
    assert made.settle({"num_ctx": 2048}, 10).options == {"num_ctx": 4096}


def test_options_that_the_server_failed_are_given_to_nobody_else() -> None:
    made = agreed(num_ctx=10_000_000)
    made.failed({"num_ctx": 10_000_000, "seed": 1})
    assert made.settle({"num_ctx": 4096}, 10).options == {"num_ctx": 4096}
    made.worked({"num_ctx": 4096, "seed": 2})
    made.settle({"num_ctx": 10_000_000}, 10, insist=True)
    made.failed({"num_ctx": 10_000_000})
    assert made.settle({"num_ctx": 2048}, 10).options == {"num_ctx": 4096}


def test_options_that_worked_once_are_not_to_blame_for_a_failure() -> None:
    made = agreed(num_ctx=4096)
    made.worked({"num_ctx": 4096})
    made.worked({"num_ctx": 1024})  # it was sent before
    made.failed({"num_ctx": 4096})
    assert made.settle({"num_ctx": 2048}, 10).options == {"num_ctx": 4096}


def test_a_failure_with_other_options_says_nothing() -> None:
    made = agreed(num_ctx=4096)
    made.failed({"num_ctx": 2048})
    made.failed({})
    made.worked({"num_ctx": 1024})
    assert made.settle({"num_ctx": 2048}, 10).options == {"num_ctx": 4096}


runner = st.fixed_dictionaries(
    {},
    optional={
        "num_ctx": st.sampled_from([2048, 4096, 8192]),
        "num_thread": st.integers(1, 4),
        "temperature": st.sampled_from([0, 1]),
    },
)


@given(st.lists(st.tuples(runner, st.integers(0, 30_000), st.booleans()), max_size=40))
def test_callers_one_after_the_other_load_the_model_anew_only_for_a_reason(callers) -> None:
    """Those with room for their prompt never; no option of an answer is ever lost."""
    made, loaded = Agreed(), None
    for options, size, insist in callers:
        settled = made.settle(options, size, insist=insist)
        sent = {name: settled.options.get(name) for name in RUNNER_OPTIONS}
        if loaded is not None and sent != loaded:
            context, asked = loaded["num_ctx"], options.get("num_ctx")
            enough = asked is not None and context is not None and asked <= context
            told_none = context is None and asked is not None
            assert insist or told_none or (size + 1024 > (context or 0) and not enough)
        loaded = sent
        assert settled.options.get("temperature") == options.get("temperature")
        for name, (own, shared) in settled.changed.items():
            assert (options.get(name), settled.options.get(name)) == (own, shared)
        unchanged = {n: v for n, v in options.items() if n not in settled.changed}
        assert unchanged.items() <= settled.options.items()
