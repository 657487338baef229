"""What holds for every machine, model and workload."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.bootstrap.advice import Advice, Workload
from aegis_llm.bootstrap.advising import advise, study_2025
from aegis_llm.bootstrap.advising.knee import gaining
from aegis_llm.bootstrap.advising.shipped import shapes
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.errors import ConfigError
from aegis_llm.simulate.machines import MACHINES
from tests.bootstrap.advising import QUALITY, card, model, processor, spark

NAMES = [one.name for one in shapes().models]
VERSIONS = ["0.4.0", "0.9.6", "0.12.6", "0.15.5", "0.29.0", "0.30.0", None]
KINDS = {"card": card, "spark": spark, "processor": processor}
LOOKED_AT = settings(max_examples=80, deadline=None)

workloads = st.builds(
    dict,
    concurrent=st.integers(1, 64),
    prompt_tokens=st.integers(1, 200_000),
    output_tokens=st.integers(1, 8000),
    goal=st.sampled_from(["throughput", "latency", "memory"]),
    prefixes=st.integers(1, 40),
)
chosen = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)
kinds = st.sampled_from(sorted(KINDS))
sizes = st.floats(0.5, 160)


def asked(
    kind: str, gib: float, names: list[str], workload: dict[str, Any], **more: Any
) -> Advice:
    facts = KINDS[kind](gib, **more)
    facts = msgspec.structs.replace(facts, models=tuple(model(name) for name in names))
    return advise(facts, Workload(models=tuple(names), **workload))


def worth(advice: Advice) -> tuple[int, int, int]:
    """Return models that fit, slots times context, and the quality of the cache."""
    tokens = sum(one.slots * one.context for one in advice.models)
    fitting = sum(one.fits for one in advice.models)
    return fitting, tokens, min(QUALITY.index(one.kv_type) for one in advice.models)


@LOOKED_AT
@given(kinds, sizes, chosen, workloads, st.sampled_from(VERSIONS))
def test_advice_never_exceeds_the_budget(
    kind: str, gib: float, names: list[str], workload: dict[str, Any], version: str | None
) -> None:
    advice = asked(kind, gib, names, workload, version=version)
    budget = advice.budget
    assert budget.total is not None
    assert 0 <= budget.used <= budget.usable <= budget.total
    loaded = int(advice.environment.get("OLLAMA_MAX_LOADED_MODELS", len(names)))
    if advice.fits:
        assert loaded >= len(names)
        assert sum(one.total for one in advice.models) <= budget.usable
    else:
        assert advice.warnings
    if kind != "card":
        caches = sum(one.bytes for one in budget.lines if one.what == "prompt cache")
        assert budget.used + caches <= budget.total
    for one in advice.models:
        known = model(one.name)
        assert known.trained_context is not None
        assert one.context <= known.trained_context
    assert {"OLLAMA_NUM_PARALLEL", "OLLAMA_CONTEXT_LENGTH"} <= set(advice.environment)
    assert "OLLAMA_NUM_THREADS" not in advice.environment
    assert msgspec.json.decode(msgspec.json.encode(advice), type=Advice) == advice


@LOOKED_AT
@given(kinds, sizes, st.floats(0, 60), chosen, workloads)
def test_more_memory_never_gives_less(
    kind: str, gib: float, more: float, names: list[str], workload: dict[str, Any]
) -> None:
    less, greater = (asked(kind, size, names, workload) for size in (gib, gib + more))
    assert worth(less) <= worth(greater)
    assert less.fits <= greater.fits


@LOOKED_AT
@given(kinds, sizes, st.integers(0, 50_000), chosen, workloads)
def test_a_longer_prompt_never_gives_more_slots(
    kind: str, gib: float, more: int, names: list[str], workload: dict[str, Any]
) -> None:
    longer = {**workload, "prompt_tokens": workload["prompt_tokens"] + more}
    shorter, other = (asked(kind, gib, names, one) for one in (workload, longer))
    for one, two in zip(shorter.models, other.models, strict=True):
        assert two.slots <= one.slots


@LOOKED_AT
@given(kinds, sizes, chosen, workloads)
def test_nobody_gets_more_slots_than_ask(
    kind: str, gib: float, names: list[str], workload: dict[str, Any]
) -> None:
    advice = asked(kind, gib, names, workload)
    assert int(advice.environment["OLLAMA_NUM_PARALLEL"]) <= workload["concurrent"]


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_the_knee_of_a_measured_machine_comes_earlier_with_more_context(machine: Any) -> None:
    knees = [gaining(machine.speed(context)) for context in range(256, 12_000, 64)]
    assert knees == sorted(knees, reverse=True)


@pytest.mark.parametrize(
    "asked_for",
    [
        {"concurrent": 0},
        {"concurrent": -4},
        {"concurrent": 10**12},
        {"concurrent": 2.5},
        {"prompt_tokens": 0},
        {"prompt_tokens": -1},
        {"prompt_tokens": 10**12},
        {"prompt_tokens": True},
        {"output_tokens": 0},
        {"output_tokens": 10**12},
        {"prefix_tokens": -1},
        {"prefix_tokens": 3001},
        {"prefixes": 0},
        {"goal": "speed"},
        {"models": ("",)},
        {"models": ("two words",)},
        {"keep_alive": "30min"},
        {"keep_alive": "1d"},
        {"keep_alive": ""},
    ],
)
@pytest.mark.parametrize("make", [advise, study_2025])
def test_what_cannot_be_meant_is_refused_with_a_sentence(make: Any, asked_for: Any) -> None:
    name = next(iter(asked_for))
    with pytest.raises(ConfigError, match=f"{name}=.* is not usable; give "):
        make(card(), Workload(**{"models": ("llama3.1:8b",), **asked_for}))


def test_no_model_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"name them: --models llama3\.1:8b"):
        advise(card(), Workload())


@pytest.mark.parametrize("gib", [0, 2**-30])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_machine_without_memory_is_no_error(kind: str, gib: float) -> None:
    advice = asked(kind, gib, ["llama3.1:8b"], {})
    assert not advice.fits
    assert advice.environment["OLLAMA_NUM_PARALLEL"] == "1"


def test_what_is_not_known_is_said_and_not_guessed() -> None:
    advice = advise(Facts(), Workload(models=("own:small",)))
    assert {one.what for one in advice.unknown} == {
        "gpus", "memory.total", "models.own:small", "ollama.version",
    }  # fmt: skip
    assert not advice.fits
    assert "own:small is not known; it is counted as if it were llama3.1:8b" in advice.assumed
    assert advice.warnings[0].startswith("how much memory there is is not known")
    assert advice.environment["OLLAMA_NUM_PARALLEL"] == "1"
