"""A simulator for every test that asks for one."""

from collections.abc import Iterator

import httpx
import pytest

from aegis_llm.testing import HashedNgrams, ManualClock, OllamaSimulator

MODELS = ("llama3.1:8b", "all-minilm", "qwen3:8b", "llava")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sim(clock: ManualClock) -> Iterator[OllamaSimulator]:
    with OllamaSimulator(MODELS, clock=clock, embedder=HashedNgrams()) as running:
        yield running


@pytest.fixture
def http(sim: OllamaSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sim.base_url, timeout=10) as client:
        yield client
