"""Whole pieces of advice, each reviewed by hand; `why` in each file says what it shows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aegis_llm.bootstrap.advice import Advice, Workload
from aegis_llm.bootstrap.advising import advise
from aegis_llm.bootstrap.facts import Facts
from tests.bootstrap.advising import GOLDEN, golden

CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))


def given(case: dict[str, Any]) -> Advice:
    return advise(
        msgspec.convert(case["facts"], Facts), msgspec.convert(case["workload"], Workload)
    )


def told(advice: Advice) -> dict[str, Any]:
    return {
        "environment": advice.environment,
        "unset": [one.name for one in advice.settings if one.value is None],
        "fits": advice.fits,
        "usable": advice.budget.usable,
        "used": advice.budget.used,
        "models": {
            one.name: {
                "slots": one.slots,
                "context": one.context,
                "kv_type": one.kv_type,
                "weights": one.weights,
                "kv": one.kv,
                "compute": one.compute,
            }
            for one in advice.models
        },
        "warnings": list(advice.warnings),
        "options": advice.options,
    }


@pytest.mark.parametrize("name", CASES)
def test_the_advice_is_what_was_reviewed(name: str) -> None:
    case = golden(name)
    assert case["why"]
    assert told(given(case)) == case["expected"]


def test_there_is_a_case_for_each_machine_and_model_that_was_asked_for() -> None:
    assert {
        "dgx-spark", "nvidia-8gb", "nvidia-12gb", "nvidia-16gb-moe", "nvidia-24gb", "nvidia-48gb",
        "nvidia-80gb", "two-gpus", "apple-16gb", "apple-64gb", "cpu-2", "cpu-16-docker",
        "sliding-window", "mla", "hybrid", "embedding-only", "too-large", "version-0.9.6",
        "version-0.10.1", "version-0.12.6", "version-0.15.5", "version-0.30.0",
    } <= set(CASES)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_setting_has_a_reason_and_what_happens_without_it(name: str) -> None:
    for one in given(golden(name)).settings:
        assert one.reason.endswith("."), one
        assert one.default, one
        if one.study is not None and one.study != one.value:
            assert one.study_differs, one


def test_the_cache_is_computed_before_the_eyes_of_the_reader() -> None:
    slots = given(golden("dgx-spark")).settings[0]
    assert slots.arithmetic.startswith("4 slots x 7,168 tokens x 128 KiB = 3.50 GiB")


@pytest.mark.parametrize("name", CASES)
def test_the_lines_of_the_budget_add_up(name: str) -> None:
    """What is used is what its lines say, less what is over, for the models that stay."""
    advice = given(golden(name))
    budget, plans = advice.budget, advice.models
    lines = {what: sum(one.bytes for one in budget.lines if one.what == what)
             for what in ("weights", "compute buffers", "does not fit")}  # fmt: skip
    assert lines["weights"] == sum(one.weights for one in plans)
    assert lines["compute buffers"] == sum(one.compute for one in plans)
    loaded = int(advice.environment.get("OLLAMA_MAX_LOADED_MODELS", len(plans)))
    most = sum(sorted((one.total for one in plans), reverse=True)[:loaded])
    assert budget.used == most - lines["does not fit"]
