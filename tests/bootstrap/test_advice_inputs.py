"""Profiles, models that are not installed, and traces."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from aegis_llm.bootstrap.advice import Workload
from aegis_llm.bootstrap.advising import PROFILES, advise, profile, workload_of_trace
from aegis_llm.bootstrap.advising.shapes import known_shape
from aegis_llm.bootstrap.advising.shipped import shapes
from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.bootstrap.kv import is_known
from aegis_llm.errors import ConfigError
from tests.bootstrap.advising import card, model


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_a_fact_file_that_advice_can_be_made_from(name: str) -> None:
    facts = profile(name)
    assert facts.source == f"profile {name}"
    found = advise(facts, Workload(models=("llama3.2:3b", "nomic-embed-text")))
    assert found.fits
    assert [one.what for one in found.unknown] == ["ollama.version"]


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no profile 'cray' is known; give one of dgx-spark"):
        profile("cray")


@pytest.mark.parametrize("one", shapes().models, ids=lambda one: one.name)
def test_all_is_known_of_a_model_that_comes_with_the_package(one: ModelFacts) -> None:
    assert is_known(one)
    assert one.size
    assert one.parameters
    assert one.trained_context
    assert 2 < 8 * one.size / one.parameters < 18


def test_other_names_mean_a_model_that_is_known() -> None:
    assert shapes().source
    for name in shapes().also:
        assert known_shape(name) is not None


@pytest.mark.parametrize(
    ("name", "like", "bits"),
    [
        ("llama3.1", "llama3.1:8b", None),
        ("nomic-embed-text:latest", "nomic-embed-text", None),
        ("library/mistral", "mistral:7b", None),
        ("llama3.1:8b-instruct-q8_0", "llama3.1:8b", 8.5),
        ("llama3.1:70b-instruct-q3_K_M", "llama3.1:70b", 4.0),
    ],
)
def test_a_tag_has_the_shape_of_its_model(name: str, like: str, bits: float | None) -> None:
    found, other = known_shape(name), model(like)
    assert found is not None
    assert (found.name, found.layers, found.kv_heads) == (name, other.layers, other.kv_heads)
    assert other.parameters is not None
    assert found.size == (other.size if bits is None else int(other.parameters * bits / 8))


@pytest.mark.parametrize(
    "name", ["mine", "llama3.1:9b", "llama3.1:8b-instruct-xyz", "x/llama3.1:8b"]
)
def test_nothing_is_made_up_of_another_name(name: str) -> None:
    assert known_shape(name) is None


def test_a_model_that_is_not_installed_is_said_to_be_assumed() -> None:
    found = advise(card(), Workload(models=("llama3.1:8b",)))
    assert "llama3.1:8b is not installed; counted with the figures known of it" in found.assumed
    assert not found.unknown


def test_a_model_that_is_not_known_is_asked_for() -> None:
    found = advise(card(), Workload(models=("mine:7b",)))
    (asked,) = found.unknown
    assert (asked.what, asked.why) == ("models.mine:7b", "it is not on the server")
    assert "ollama pull mine:7b" in asked.give


def test_a_model_that_the_server_does_not_describe_is_filled_and_said() -> None:
    bare = ModelFacts(name="mine:7b", size=5 * 10**9)
    found = advise(msgspec.structs.replace(card(), models=(bare,)), Workload())
    assert found.models[0].weights == 5 * 10**9
    assert found.models[0].per_token == 131_072
    assert "the KV cache of mine:7b is that of llama3.1:8b" in found.assumed
    assert [one.what for one in found.unknown] == ["models.mine:7b"]


def test_a_model_that_is_named_twice_is_counted_once() -> None:
    found = advise(card(), Workload(models=("all-minilm", "all-minilm:latest")))
    assert [one.name for one in found.models] == ["all-minilm"]


def trace(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines))
    return path


def test_a_trace_tells_lengths_models_prefixes_and_how_many_come_together(tmp_path: Path) -> None:
    line = '{{"at": {}, "prompt_tokens": {}, "output_tokens": {}, "model": "{}"{}}}'
    shared = ', "prefix": "{}", "prefix_tokens": 500'
    lines = [line.format(0, 1000, 300, "m", shared.format("a"))] * 10
    lines += [line.format(100 + i, 1000, 30, "m", shared.format("b")) for i in range(9)]
    lines += [line.format(500, 4000, 900, "n", "")]
    found = workload_of_trace(trace(tmp_path / "t.jsonl", lines))
    assert found.prompt_tokens == 1000
    assert found.output_tokens == 900
    assert found.models == ("m", "n")
    assert (found.prefix_tokens, found.prefixes) == (500, 2)
    assert found.concurrent == 9  # the 95th percentile: one of twenty sees ten
    assert found.source.startswith("t.jsonl, 20 requests; 9 at the same time")


def test_a_trace_without_models_names_none(tmp_path: Path) -> None:
    lines = ['{"at": 0.5, "prompt_tokens": 900, "output_tokens": 200}']
    found = workload_of_trace(trace(tmp_path / "t.jsonl", lines))
    assert found.models == ()
    assert (found.concurrent, found.prefix_tokens, found.prefixes) == (1, 0, 1)
    assert advise(card(models=(model(),)), found).fits


def test_a_trace_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        workload_of_trace(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match=r"t\.jsonl, line 1: "):
        workload_of_trace(trace(tmp_path / "t.jsonl", ["{}"]))


def test_a_model_with_absurdly_many_layers_is_refused() -> None:
    odd = model(layers=2**31 - 1)
    with pytest.raises(ConfigError, match="layers=2147483647 is not usable; give layers, from 1"):
        advise(card(models=(odd,)), Workload())


def test_absurd_sizes_are_no_error() -> None:
    odd = model(size=2**61, parameters=0, key_length=2**31 - 1)
    found = advise(card(models=(odd,)), Workload())
    assert not found.fits
    assert found.budget.used <= found.budget.usable
