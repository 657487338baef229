"""Two models that do not fit into the server's memory together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from aegis_llm import AegisConfig, queues
from aegis_llm.testing import Timing
from langchain_aegis import ChatAegis
from tests.langchain.kit import NO_TLS
from tests.servers import MODEL, Servers, servers_running, urls

MODELS = (MODEL, "mistral:7b")
TIMING = Timing(load=0.25)  # a shorter one is taken for none
REQUESTS = 40


@pytest.fixture
def servers() -> Iterator[Servers]:
    with servers_running() as made:
        yield made


async def alternately(models: list[Any], tag: str, count: int = REQUESTS) -> None:
    """Ask the models in turns, all at once."""
    await asyncio.gather(*(models[n % 2].ainvoke(f"{tag} {n}?") for n in range(count)))


def made(base_url: Any, **settings: Any) -> list[ChatAegis]:
    config = AegisConfig().with_options(redis_url="memory://", **settings)
    return [
        ChatAegis(model=name, base_url=base_url, aegis=config, client_kwargs=NO_TLS)
        for name in MODELS
    ]


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("given", [False, True], ids=["measured", "given"])
@pytest.mark.parametrize("room", [None, 1], ids=["learned", "told"])
def test_they_are_loaded_seldom_whoever_asks_in_which_order(
    servers: Servers, slots: int, given: bool, room: int | None
) -> None:
    """Sent at once and cold, forty requests in turns make the server load up to forty times."""
    sim = servers.start(MODELS, num_parallel=slots, max_loaded_models=1, timing=TIMING)
    settings = {"num_parallel": slots if given else None, "max_loaded_models": room}
    models = made(sim.base_url, **settings)
    asyncio.run(alternately(models, "cold"))
    cold = sim.loads
    asyncio.run(alternately(models, "warm"))
    warm = sim.loads - cold
    # To learn it takes up to five loads; a busy machine makes some replies look like loads.
    assert cold <= (4 if room else 12)
    assert warm <= 0.2 * REQUESTS
    (state,) = queues()
    assert state.room == 1


def test_many_requests_need_few_loads_from_a_cold_start_on(servers: Servers) -> None:
    sim = servers.start(MODELS, num_parallel=4, max_loaded_models=1, timing=TIMING)
    asyncio.run(alternately(made(sim.base_url), "cold", 120))
    assert sim.loads <= 24  # about five; a busy machine makes some replies look like loads


def test_models_that_fit_are_not_kept_apart(servers: Servers) -> None:
    sim = servers.start(MODELS, num_parallel=2, max_loaded_models=2, timing=TIMING)
    models = made(sim.base_url)
    for tag in "abc":
        asyncio.run(alternately(models, tag, 20))
    assert sim.loads == 2
    assert queues()[0].room is None


def test_each_of_two_servers_keeps_a_model_of_its_own(servers: Servers) -> None:
    sims = [
        servers.start(MODELS, num_parallel=2, max_loaded_models=1, timing=TIMING) for _ in range(2)
    ]
    models = made(urls(*sims), max_loaded_models=1, num_parallel=2)
    turns = [0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0] * 3
    for number, turn in enumerate(turns):
        models[turn].invoke(f"Number {number}?")
    assert [sim.loads for sim in sims] == [1, 1]
    asyncio.run(alternately(models, "many"))
    assert sum(sim.loads for sim in sims) <= 2 + 4


async def test_a_model_that_is_asked_without_end_does_not_keep_another_one_from_being_loaded(
    servers: Servers,
) -> None:
    """The server answers who asks for what is loaded first, as long as such requests come."""
    sim = servers.start(MODELS, num_parallel=2, max_loaded_models=1, timing=TIMING)
    busy, late = made(sim.base_url, num_parallel=2)
    await busy.ainvoke("Load it.")
    asked = asyncio.create_task(late.ainvoke("May I?"))
    numbers = iter(range(10_000))

    async def on_and_on() -> None:
        while not asked.done():
            await busy.ainvoke(f"Number {next(numbers)}?")

    async with asyncio.timeout(60):
        await asyncio.gather(*(on_and_on() for _ in range(4)))
    assert sim.loads <= 3
