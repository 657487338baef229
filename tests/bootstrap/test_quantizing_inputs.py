"""Facts that are missing, absurd or of nothing that is known."""

from __future__ import annotations

import pytest

from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.errors import ConfigError
from tests.bootstrap.quantizing import LLAMA, SMALL, SPARK, asked, changed


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size": None}, "its size is not known"),
        ({"parameters": None}, "the number of its parameters is not known"),
        ({"size": 2**61, "parameters": 1}, "cannot both be true"),
        ({"size": 1, "parameters": 2**61}, "cannot both be true"),
        ({"size": 0}, "its size is not known"),
        ({"model_format": "safetensors"}, "for the MLX engine"),
    ],
)
def test_absurd_and_missing_facts_are_said_and_not_computed_with(
    fields: dict[str, object], said: str
) -> None:
    found = asked(changed(LLAMA, **fields), SPARK)
    assert said in found.installed.remark
    if fields.get("model_format") is None and found.installed.size:
        assert (found.installed.bits, found.offers) == (None, ())
        assert found.recommended.label is None


def test_a_size_that_is_not_known_still_gives_estimates() -> None:
    found = asked(changed(LLAMA, size=None), SPARK)
    assert not any(one.installed for one in found.offers)
    assert found.recommended.label == "Q4_K_M"


def test_a_cache_that_is_not_told_is_taken_from_a_known_model_which_is_said() -> None:
    bare = ModelFacts(name="own:8b", size=4_920_000_000, parameters=8_030_000_000)
    found = asked(bare, SMALL)
    assert any("the KV cache of own:8b is that of llama3.1:8b" in one for one in found.assumed)
    assert found.recommended.kv_type == "q8_0"


def test_nothing_known_of_a_machine_gives_no_recommendation() -> None:
    found = asked(LLAMA, Facts())
    assert found.recommended.label is None
    assert "no memory is known to be there" in found.recommended.reason
    assert {one.what for one in found.unknown} >= {"gpus", "memory.total"}


@pytest.mark.parametrize("least", [0, -1, float("nan"), float("inf")])
def test_a_speed_that_cannot_be_is_refused(least: float) -> None:
    with pytest.raises(ConfigError, match="least_tokens_per_second"):
        asked(LLAMA, SPARK, least)
