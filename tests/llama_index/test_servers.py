"""AegisOllama on several servers: who is asked, what happens when one is gone, what stays."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle  # noqa: TID251 - models are pickled by their users
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from aegis_llm import ConfigError, cache_control, observe, queues
from aegis_llm.testing import SimulatedModel
from llama_index.llms.aegis import AegisOllama
from tests.langchain.kit import auntil, error_awaited
from tests.llama_index.engine_kit import cached, plain
from tests.llama_index.kit import MODEL, Kit, ask, outcome
from tests.llama_index.ways import WAYS
from tests.servers import Servers, asked, context, nobody, servers_running, urls

CHATS = ["chat", "achat", "stream_chat", "astream_chat"]
SECRET, USER = "hunter2-secret", "someone-secret"


@pytest.fixture
def servers() -> Iterator[Servers]:
    with servers_running() as made:
        yield made


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("way", WAYS)
async def test_requests_are_spread(kit: Kit, servers: Servers, way: str) -> None:
    sims = servers.several(3)
    llm = kit.aegis(base_url=urls(*sims), embed_model=None)
    await asyncio.gather(*(WAYS[way](llm, f"What is the number {n}?") for n in range(18)))
    assert sum(asked(*sims)) == 18
    assert min(asked(*sims)) >= 3


async def test_requests_of_one_context_stay_on_one_server(kit: Kit, servers: Servers) -> None:
    sims = servers.several(2, num_parallel=4)
    llm = kit.aegis(base_url=urls(*sims), embed_model=None, num_parallel=4)
    names = [f"item {n}" for n in range(8)]

    async def one(name: str, number: int) -> None:
        await llm.achat(ask(f"{number}?", ChatMessage(role="system", content=context(name))))

    await asyncio.gather(*(one(name, number) for number in range(6) for name in names))
    homes = {
        (place, next(name for name in names if f"Context: {name} " in str(call.body)))
        for place, sim in enumerate(sims)
        for call in sim.calls
        if call.path == "/api/chat"
    }
    assert sum(asked(*sims)) == 48
    assert min(asked(*sims)) >= 16
    assert len(homes) <= 11


@pytest.mark.parametrize("way", CHATS)
async def test_requests_go_on_when_a_server_dies_and_it_is_used_again_when_it_is_back(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    stays, dies = servers.several(2)
    llm = kit.aegis(base_url=urls(dies, stays), embed_model=None)
    port, name = dies.port, dies.base_url
    numbers = iter(range(10_000))

    async def several(times: int) -> None:
        await asyncio.gather(*(WAYS[way](llm, f"Number {next(numbers)}?") for _ in range(times)))

    await several(8)
    assert min(asked(stays, dies)) > 0
    dies.stop()
    await several(8)
    assert sum(asked(stays, dies)) == 16
    (said,) = [line for line in warnings_of(caplog) if "cannot be reached" in line]
    assert name in said

    back = servers.start(port=port)
    async with asyncio.timeout(30):
        while not asked(back)[0]:
            await several(2)
            await asyncio.sleep(0.05)
    await auntil(lambda: any("answers again" in line for line in warnings_of(caplog)))


@pytest.mark.parametrize("way", CHATS)
async def test_an_answer_that_breaks_before_its_first_part_comes_from_another_server(
    kit: Kit, servers: Servers, way: str
) -> None:
    sims = servers.several(3)
    llm = kit.aegis(base_url=urls(*sims), embed_model=None)
    for sim in sims[:2]:
        sim.faults.reset(after=0, path="/api/chat")
    for number in range(3):
        assert outcome(await WAYS[way](llm, f"Number {number}?")) == "miss"
    assert [sim.faults.pending for sim in sims] == [0, 0, 0]
    assert sum(asked(*sims)) == 5


@pytest.mark.parametrize("way", CHATS)
async def test_where_all_are_gone_the_caller_gets_the_error_of_one(kit: Kit, way: str) -> None:
    llm = kit.aegis(base_url=[nobody(), nobody()], warm=False)
    one = kit.aegis(base_url=nobody(), warm=False)
    stock = kit.stock(base_url=nobody(), context_window=4096)
    errors = [await error_awaited(lambda: WAYS[way](m, "Hello?")) for m in (llm, one, stock)]  # noqa: B023 - called here
    if stock._async_client is not None:
        await stock._async_client.close()
    assert errors[0] == errors[1] == errors[2] is not None


def test_a_server_that_never_answered_is_said_and_left_out(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    (sim,), gone = servers.several(1), nobody()
    llm = kit.aegis(base_url=[gone, sim.base_url])
    for number in range(4):
        assert outcome(llm.chat(ask(f"Number {number}?"))) == "miss"
    assert outcome(llm.chat(ask("Number 1?"))).startswith("hit")
    assert [line for line in warnings_of(caplog) if "cannot be reached" in line] == [
        f"{gone} cannot be reached; requests go to the other servers"
    ]


def test_the_window_is_asked_of_a_server_in_service_that_has_the_model(
    kit: Kit, servers: Servers
) -> None:
    small = servers.start()
    large = servers.start({"other:7b": SimulatedModel(options={"num_ctx": 2222})})
    llm = kit.aegis(base_url=[nobody(), *urls(small, large)], model="other:7b")
    assert llm.metadata.context_window == 2222
    assert (small.count("/api/show"), large.count("/api/show")) == (0, 1)


def test_an_engine_knows_its_models_digest_when_the_first_server_is_gone(
    kit: Kit, servers: Servers
) -> None:
    (sim,) = servers.several(1)
    llm = kit.aegis(base_url=[nobody(), sim.base_url], embed_model=None, context_window=4096)
    engine = cached(kit, plain(kit, llm=llm))
    with observe() as seen:
        for _ in range(2):
            engine.query("How long does shipping take?")
    assert [each.outcome for each in seen][-1].startswith("hit")
    assert asked(sim) == [1]


def test_answers_are_shared_with_one_server_and_with_another_order(
    kit: Kit, servers: Servers
) -> None:
    first, second = servers.several(2)
    kit.aegis(base_url=urls(first, second)).chat(ask("Who?"))
    for each in (urls(second, first), first.base_url, second.base_url):
        llm = kit.aegis(base_url=each, local_max_bytes=0)
        assert outcome(llm.chat(ask("Who?"))) == "hit_exact"
    assert sum(asked(first, second)) == 1


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda llm: llm.model_copy(),
    "model_copy deep": lambda llm: llm.model_copy(deep=True),
    "model_copy update": lambda llm: llm.model_copy(update={"namespace": "elsewhere"}),
    "pickle": lambda llm: pickle.loads(pickle.dumps(llm)),
    "dictionary": lambda llm: AegisOllama.from_dict(llm.to_dict(), redis_url=llm.redis_url),
}


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize("how", COPIES)
async def test_a_copy_asks_the_same_servers(
    kit: Kit, servers: Servers, how: str, used: bool
) -> None:
    sims = servers.several(2)
    llm = kit.aegis(base_url=urls(*sims), embed_model=None)
    if used:
        llm.chat(ask("Who?"))
        await llm.achat(ask("When?"))
    before = sum(asked(*sims))
    made = COPIES[how](llm)
    kit._open.append(made)
    await asyncio.gather(*(made.achat(ask(f"Number {n}?")) for n in range(8)))
    assert sum(asked(*sims)) == before + 8
    assert min(asked(*sims)) >= 2
    assert made.base_url == urls(*sims)


def test_servers_that_are_assigned_are_asked_from_then_on(kit: Kit, servers: Servers) -> None:
    first, second, third = servers.several(3)
    llm = kit.aegis(base_url=urls(first), embed_model=None)
    llm.chat(ask("Number 1?"))
    llm.base_url = urls(second, third)
    for number in range(6):
        llm.chat(ask(f"Letter {number}?"))
    assert asked(first) == [1]
    assert sum(asked(second, third)) == 6
    with pytest.raises(ConfigError):
        llm.base_url = []
    assert llm.base_url == urls(second, third)
    llm.chat(ask("Number 2?"))
    assert sum(asked(second, third)) == 7


def test_explain_and_invalidate_know_the_list(kit: Kit, servers: Servers) -> None:
    sims = servers.several(2)
    llm = kit.aegis(base_url=urls(*sims))
    assert llm.explain(ask("Who?")).outcome == "miss"
    with cache_control(tags=["doc:1"]):
        llm.chat(ask("Who?"))
    assert llm.explain(ask("Who?")).outcome.startswith("hit")
    assert llm.invalidate(tag="doc:1") == 1
    assert llm.explain(ask("Who?")).outcome == "miss"
    assert sum(asked(*sims)) == 1


@pytest.mark.parametrize("given", [[], (), 5, [5], [None], [""], {"a": 1}, ["redis://a"]], ids=str)
@pytest.mark.parametrize("positional", [True, False])
def test_a_list_that_names_no_servers_is_refused(given: Any, positional: bool) -> None:
    make = (
        partial(AegisOllama, "m", given)
        if positional
        else partial(AegisOllama, "m", base_url=given)
    )
    with pytest.raises(ConfigError, match="base_url"):
        make()


def test_credentials_are_shown_nowhere(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (sim,) = servers.several(1)
    given = [
        each.replace("//", f"//{USER}:{SECRET}@") for each in (nobody(), *urls(sim), *urls(sim))
    ]
    llm = kit.aegis(base_url=given)
    llm.chat(ask("Who?"))
    sim.stop()
    with pytest.raises(ConnectionError) as caught:
        llm.chat(ask("When?"))
    shown = [
        repr(llm), str(llm), llm.to_payload(), llm.metadata, list(llm.__rich_repr__()), queues(),
        repr(caught.value), caplog.text, repr(llm.client), repr(llm._links),
        llm.server(awaited=True),
    ]  # fmt: skip
    for text in map(str, shown):
        assert SECRET not in text
        assert USER not in text
    assert "cannot be reached" in caplog.text
    assert "twice" in caplog.text


def test_servers_that_are_one_of_many_are_given_up_when_they_take_no_connection() -> None:
    limits = []
    for given in ("http://a:1", ["http://a:1", "http://b:1"]):
        links = AegisOllama("m", given, redis_url="memory://", request_timeout=60.0)._links
        loop_clients = [client._make() for client in links.async_client()._clients]
        limits += [c._client.timeout for c in (*links.client()._clients, *loop_clients)]
    assert [(each.connect, each.read) for each in limits] == [(60, 60)] * 2 + [(5, 60)] * 4


async def test_each_framework_knows_what_the_other_found_out(kit: Kit, servers: Servers) -> None:
    from langchain_aegis import ChatAegis

    both = [*urls(*servers.several(1)), nobody()]
    llm = kit.aegis(base_url=both, embed_model=None)
    await asyncio.gather(*(llm.achat(ask(f"Number {n}?")) for n in range(4)))
    model = ChatAegis(model=MODEL, base_url=both, redis_url="memory://")
    assert model._fleet is not None
    assert model._fleet.is_out(1)
    assert len(queues()) == 2
