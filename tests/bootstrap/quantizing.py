"""Shorthands for the tests of quantizations."""

from __future__ import annotations

import msgspec

from aegis_llm.bootstrap.advice import Workload
from aegis_llm.bootstrap.advising import profile
from aegis_llm.bootstrap.advising.shapes import known_shape
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.quantizing import Offer, Quantizations, quantizations

GIB = 1 << 30


def known(name: str) -> ModelFacts:
    found = known_shape(name)
    assert found is not None
    return found


def asked(model: ModelFacts | None, facts: Facts, least: float | None = None,
          **workload: object) -> Quantizations:  # fmt: skip
    assert model is not None
    wanted = msgspec.convert(workload, Workload)
    return quantizations(model, facts, wanted, least_tokens_per_second=least)


def changed(model: ModelFacts | None, **fields: object) -> ModelFacts:
    assert model is not None
    return msgspec.structs.replace(model, **fields)


def on_server(facts: Facts, *models: ModelFacts) -> Facts:
    return msgspec.structs.replace(facts, models=models)


def row(found: Quantizations, label: str) -> Offer:
    return next(one for one in found.offers if one.label == label)


LLAMA = known("llama3.1:8b")
SPARK, SMALL, LARGE = profile("dgx-spark"), profile("rtx-4060-8gb"), profile("rtx-4090")
