"""ChatAegis on several servers: who is asked, and what happens when one is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from aegis_llm import queues
from tests.langchain.kit import MODEL, Kit, auntil, error_awaited, outcome, warm_up
from tests.langchain.ways import WAYS
from tests.servers import Servers, asked, context, nobody, servers_running, urls


@pytest.fixture
def servers() -> Iterator[Servers]:
    with servers_running() as made:
        yield made


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


async def test_requests_are_spread(kit: Kit, servers: Servers) -> None:
    sims = servers.several(3)
    model = kit.aegis(base_url=urls(*sims), embeddings=None)
    await asyncio.gather(*(model.ainvoke(f"What is the number {n}?") for n in range(30)))
    assert sum(asked(*sims)) == 30
    assert min(asked(*sims)) >= 5


def test_requests_one_after_the_other_go_to_the_server_that_has_the_model_loaded(
    kit: Kit, servers: Servers
) -> None:
    sims = servers.several(2)
    for name in (sims[1].base_url, sims[1].base_url):
        kit.stock(base_url=name).invoke("Load it.")
    model = kit.aegis(base_url=urls(*sims), embeddings=None)
    for number in range(6):
        model.invoke(f"What is the number {number}?")
    assert asked(*sims) == [0, 8]


async def test_requests_of_one_context_stay_on_one_server(kit: Kit, servers: Servers) -> None:
    sims = servers.several(2, num_parallel=4)
    model = kit.aegis(base_url=urls(*sims), embeddings=None, num_parallel=4)
    names = [f"item {n}" for n in range(8)]
    questions = [(name, n) for n in range(6) for name in names]
    await asyncio.gather(
        *(model.ainvoke([("system", context(name)), ("user", f"{n}?")]) for name, n in questions)
    )
    homes = {
        (place, next(name for name in names if f"Context: {name} " in str(call.body)))
        for place, sim in enumerate(sims)
        for call in sim.calls
        if call.path == "/api/chat"
    }
    assert sum(asked(*sims)) == 48
    assert min(asked(*sims)) >= 16
    assert len(homes) <= 11  # 16 if they went anywhere


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_requests_go_on_when_a_server_dies_and_it_is_used_again_when_it_is_back(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    stays, dies = servers.several(2)
    model = kit.aegis(base_url=urls(dies, stays), embeddings=None)
    port, name = dies.port, dies.base_url
    numbers = iter(range(10_000))

    async def ask(times: int) -> None:
        await asyncio.gather(*(WAYS[way](model, f"Number {next(numbers)}?") for _ in range(times)))

    await ask(8)
    assert min(asked(stays, dies)) > 0
    dies.stop()
    await ask(8)
    assert sum(asked(stays, dies)) == 16
    (said,) = [line for line in warnings_of(caplog) if "cannot be reached" in line]
    assert name in said

    back = servers.start(port=port)
    async with asyncio.timeout(30):
        while not asked(back)[0]:
            await ask(2)
            await asyncio.sleep(0.05)
    await auntil(lambda: any("answers again" in line for line in warnings_of(caplog)))


async def test_what_waits_for_a_server_that_dies_is_answered_by_the_other(
    kit: Kit, servers: Servers
) -> None:
    stays, dies = servers.several(2)
    model = kit.aegis(base_url=urls(dies, stays), embeddings=None, num_parallel=1)
    for sim in (stays, dies):
        sim.gate.clear()
    going = [asyncio.create_task(model.ainvoke(f"Number {n}?")) for n in range(12)]
    await auntil(lambda: dies.in_flight == stays.in_flight == 1)
    dies.stop()
    stays.gate.set()
    answers = await asyncio.gather(*going)
    assert len(answers) == 12
    assert asked(stays) == [12]
    assert asked(dies) == [1]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_stream_that_breaks_before_its_first_part_moves(
    kit: Kit, servers: Servers, way: str
) -> None:
    sims = servers.several(3)
    model = kit.aegis(base_url=urls(*sims), embeddings=None)
    for sim in sims[:2]:
        sim.faults.reset(after=0, path="/api/chat")
    for number in range(3):
        assert outcome(await WAYS[way](model, f"Number {number}?")) == "miss"
    assert [sim.faults.pending for sim in sims] == [0, 0, 0]
    assert sum(asked(*sims)) == 5


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_stream_that_breaks_after_its_first_part_ends_with_its_error(
    kit: Kit, servers: Servers, way: str
) -> None:
    sims = servers.several(2)
    model = kit.aegis(base_url=urls(*sims), embeddings=None)
    for sim in sims:
        sim.faults.reset(after=2, path="/api/chat")
    assert await error_awaited(lambda: WAYS[way](model, "Number 1?")) is not None
    assert sum(asked(*sims)) == 1


async def test_a_server_that_never_answered_is_said_and_left_out(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    (sim,), gone = servers.several(1), nobody()
    model = kit.aegis(base_url=[gone, sim.base_url], embeddings=None)
    for number in range(4):
        assert outcome(await model.ainvoke(f"Number {number}?")) == "miss"
    assert outcome(await model.ainvoke("Number 1?")) in ("hit_exact", "hit_local")
    assert asked(sim) == [4]
    assert [line for line in warnings_of(caplog) if "cannot be reached" in line] == [
        f"{gone} cannot be reached; requests go to the other servers"
    ]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_where_all_are_gone_the_caller_gets_the_error_of_one(kit: Kit, way: str) -> None:
    model = kit.aegis(base_url=[nobody(), nobody()], embeddings=None, warm=False)
    one = kit.aegis(base_url=nobody(), embeddings=None, warm=False)
    stock = kit.stock(base_url=nobody())
    errors = [await error_awaited(lambda: WAYS[way](m, "Hello?")) for m in (model, one, stock)]  # noqa: B023 - called here
    assert errors[0] == errors[1] == errors[2] is not None


def test_a_server_named_twice_is_one_and_this_is_said_once(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    (sim,) = servers.several(1)
    names = [f"http://localhost:{sim.port}", f"http://127.0.0.1:{sim.port}/", sim.base_url]
    for _ in range(2):
        model = kit.aegis(base_url=names, embeddings=None)
        model.invoke("Number 1?")
    assert [line for line in warnings_of(caplog) if "twice" in line] == [
        f"base_url names http://127.0.0.1:{sim.port} twice; it is one server"
    ]
    assert [state.server for state in queues()] == [f"http://localhost:{sim.port}"]


async def test_a_model_that_one_server_has_is_asked_there(kit: Kit, servers: Servers) -> None:
    small, large = servers.start(), servers.start((MODEL, "Qwen2.5:72b"))
    both = urls(small, large)
    model = kit.aegis(base_url=both, model="qwen2.5:72B", embeddings=None)
    warm_up(model)
    await asyncio.gather(*(model.ainvoke(f"Number {n}?") for n in range(8)))
    assert asked(small, large) == [0, 8]
    other = kit.aegis(base_url=both, embeddings=None)
    await asyncio.gather(*(other.ainvoke(f"Number {n}?") for n in range(8)))
    assert asked(small)[0] > 0


async def test_a_server_with_another_model_of_the_same_name_gets_nothing_and_this_is_said(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = servers.several(2)
    second.repull(MODEL)
    model = kit.aegis(base_url=urls(first, second), embeddings=None)
    await asyncio.gather(*(model.ainvoke(f"Number {n}?") for n in range(8)))
    assert asked(first, second) == [8, 0]
    assert [line for line in warnings_of(caplog) if "not the same model" in line] == [
        f"{MODEL} is not the same model on every server: no request for it goes to "
        f"{second.base_url}; pull it there again"
    ]


async def test_a_server_that_does_not_say_what_it_has_is_no_server_that_is_gone(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    sims = servers.several(2)
    for sim in sims:
        sim.faults.status(403, {"error": "no"}, n=9, path="/api/tags")
    model = kit.aegis(base_url=urls(*sims), embeddings=None)
    await asyncio.gather(*(model.ainvoke(f"Number {n}?") for n in range(8)))
    assert min(asked(*sims)) >= 2
    assert not [line for line in warnings_of(caplog) if "cannot be reached" in line]
    assert sum("does not say which models it has (status 403)" in s for s in caplog.messages) == 2


async def test_where_another_one_says_what_it_has_that_one_is_asked(
    kit: Kit, servers: Servers
) -> None:
    """An answer is stored as that of a model whose digest is known."""
    sims = servers.several(2)
    sims[0].faults.status(403, {"error": "no"}, n=9, path="/api/tags")
    model = kit.aegis(base_url=urls(*sims), embeddings=None)
    await asyncio.gather(*(model.ainvoke(f"Number {n}?") for n in range(8)))
    assert asked(*sims) == [0, 8]


async def test_models_of_the_same_servers_share_what_is_known_of_them(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    """An application may make a model for each request."""
    stays, dies = servers.several(2, num_parallel=4)
    both = urls(stays, dies)
    homes = set()
    for number in range(6):
        model = kit.aegis(base_url=both, embeddings=None, num_parallel=4)
        before = asked(stays, dies)
        model.invoke([("system", context("item")), ("user", f"{number}?")])
        homes.add(asked(stays, dies)[0] - before[0])
    assert len(homes) == 1
    dies.stop()
    calls = []
    for number in range(6):
        model = kit.aegis(base_url=both, embeddings=None)
        calls.append(model._fleet.is_out(1))
        await asyncio.gather(*(model.ainvoke(f"Number {number} {n}?") for n in range(4)))
    assert calls[1:] == [True] * 5
    assert sum("cannot be reached" in line for line in warnings_of(caplog)) == 1
    assert stays.count("/api/tags") <= 4


async def test_a_server_that_cannot_say_what_is_loaded_is_used(kit: Kit, servers: Servers) -> None:
    sims = servers.several(2)
    for sim in sims:
        sim.faults.status(404, "404 page not found", n=9, path="/api/ps")
    model = kit.aegis(base_url=urls(*sims), embeddings=None)
    assert all(server.models for server in model._fleet._placing._servers)
    await asyncio.gather(*(model.ainvoke(f"Number {n}?") for n in range(8)))
    assert min(asked(*sims)) >= 2
