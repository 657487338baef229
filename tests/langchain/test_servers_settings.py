"""ChatAegis with a list of servers: what is shared, copied, shown, refused, and what stays."""

from __future__ import annotations

import asyncio
import base64
import copy
import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from aegis_llm import AegisConfig, ConfigError, cache_control, queues
from aegis_llm.testing import SimulatedModel
from langchain_aegis import ChatAegis, cache_chain
from tests.langchain.kit import MODEL, PATIENT, Kit, auntil, outcome, until
from tests.langchain.learning_kit import FIRST, REWORDED, Model, verdict
from tests.langchain.test_secrets import SECRET, SHOWN, USER, clean
from tests.servers import Servers, asked, nobody, servers_running, urls

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def servers() -> Iterator[Servers]:
    with servers_running() as made:
        yield made


def test_answers_are_shared_whichever_server_made_them_and_however_they_are_listed(
    kit: Kit, servers: Servers
) -> None:
    first, second = servers.several(2)
    lists = [urls(first, second), urls(second, first), first.base_url, [second.base_url]]
    answers = {kit.aegis(base_url=lists[0]).invoke("What is the number?").content}
    for each in lists:
        model = kit.aegis(base_url=each, local_max_bytes=0)
        said = model.invoke("What is the number?")
        assert outcome(said) == "hit_exact", each
        answers.add(said.content)
    assert sum(asked(first, second)) == 1
    assert len(answers) == 1


def test_answers_are_there_when_the_server_that_made_them_is_gone(
    kit: Kit, servers: Servers
) -> None:
    sims = servers.several(2)
    both = urls(*sims)
    model = kit.aegis(base_url=both)
    model.invoke("What is the number?")
    sims[asked(*sims).index(1)].stop()
    assert outcome(model.invoke("What is the number?")).startswith("hit")
    assert outcome(model.invoke("What is the letter?")) == "miss"
    again = kit.aegis(base_url=both, local_max_bytes=0)
    assert outcome(again.invoke("What is the letter?")) == "hit_exact"


def test_a_model_that_is_pulled_anew_everywhere_is_another_one(kit: Kit, servers: Servers) -> None:
    sims = servers.several(2)
    model = kit.aegis(base_url=urls(*sims))
    model.invoke("What is the number?")
    for sim in sims:
        sim.repull(MODEL)
    digests, server = model._answering.service.digests, model._source.server
    digests._servers[server].next_fetch = 0.0
    digests.look(server, MODEL)[1].result(10)
    assert outcome(model.invoke("What is the number?")) == "miss"


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda m: m.model_copy(),
    "model_copy deep": lambda m: m.model_copy(deep=True),
    "model_copy update": lambda m: m.model_copy(update={"temperature": 0.5}),
    "another namespace": lambda m: m.model_copy(update={"namespace": "elsewhere"}),
}


@pytest.mark.parametrize("how", COPIES)
async def test_a_copy_asks_the_same_servers(kit: Kit, servers: Servers, how: str) -> None:
    sims = servers.several(2)
    made = COPIES[how](kit.aegis(base_url=urls(*sims)))
    await asyncio.gather(*(made.ainvoke(f"Number {n}?") for n in range(8)))
    assert sum(asked(*sims)) == 8
    assert min(asked(*sims)) >= 2
    assert made.base_url == urls(*sims)
    assert len(queues()) == 2


@pytest.mark.parametrize("how", ["copy", "assignment"])
def test_other_settings_of_a_copy_leave_the_original_as_it_is(
    kit: Kit, servers: Servers, how: str
) -> None:
    (sim,) = servers.several(1)
    original = kit.aegis(base_url=sim.base_url, num_ctx=2048)
    original.invoke("Number 1?")
    off = AegisConfig().with_options(**PATIENT, schedule=False)
    if how == "copy":
        made = original.model_copy(update={"aegis": off})
    else:
        made = original.model_copy()
        made.aegis = off
    assert made._fleet is None
    other = original.model_copy(update={"num_ctx": 4096})
    other.invoke("Number 2?")
    assert sim.calls[-1].body["options"]["num_ctx"] == 2048


async def test_without_a_schedule_nothing_waits_and_requests_are_spread_all_the_same(
    kit: Kit, servers: Servers
) -> None:
    sims = servers.several(2, num_parallel=1)
    config = {"schedule": False, "num_parallel": 1, "retries": 1}
    model = kit.aegis(base_url=urls(*sims), embeddings=None, **config)
    for sim in sims:
        sim.gate.clear()
    going = [asyncio.create_task(model.ainvoke(f"Number {n}?")) for n in range(8)]
    await auntil(lambda: asked(*sims) == [4, 4])
    for sim in sims:
        sim.gate.set()
    await asyncio.gather(*going)


def test_explain_and_invalidate_know_the_list(kit: Kit, servers: Servers) -> None:
    sims = servers.several(2)
    model = kit.aegis(base_url=urls(*sims))
    assert model.explain("Number 1?").outcome == "miss"
    with cache_control(tags=["doc:1"]):
        model.invoke("Number 1?")
    assert model.explain("Number 1?").outcome.startswith("hit")
    assert sum(asked(*sims)) == 1
    assert model.invalidate(tag="doc:1") == 1
    assert model.explain("Number 1?").outcome == "miss"


def test_the_judge_is_asked_on_a_server_in_service_that_has_its_model(
    kit: Kit, servers: Servers, grey: Model
) -> None:
    gone, small = nobody(), servers.start()
    large = servers.start((MODEL, "judge:7b"))
    llm = kit.aegis(base_url=[gone, *urls(small, large)], judge_model="judge:7b")
    llm.invoke(FIRST)
    llm.invoke(REWORDED)
    until(lambda: verdict(llm) == "same")
    assert [c.body["model"] for c in large.calls if c.path == "/api/chat"].count("judge:7b") == 1
    assert all(c.body["model"] == MODEL for c in small.calls if c.path == "/api/chat")


def test_a_chain_is_cached_by_the_models_digest_whichever_server_has_it(
    kit: Kit, servers: Servers
) -> None:
    gone, (sim,) = nobody(), servers.several(1)
    prompt = ChatPromptTemplate.from_template("About {question}")
    for turn, each in enumerate(([gone, sim.base_url], [sim.base_url, gone])):
        model = kit.aegis(base_url=each, embeddings=None)
        chain = cache_chain(
            prompt | model | StrOutputParser(),
            question="question",
            redis_url=kit.redis_url,
            namespace=kit.namespace,
            aegis=AegisConfig().with_options(**PATIENT),
        )
        chain.invoke({"question": "ships"})
        assert asked(sim) == [1], turn


def test_a_model_of_one_slot_gets_one_on_every_server(kit: Kit, servers: Servers) -> None:
    models = {"tiny-moe:1b": SimulatedModel(family="qwen3next")}
    sims = [servers.start(models) for _ in range(2)]
    model = kit.aegis(base_url=urls(*sims), model="tiny-moe:1b", embeddings=None)
    model.invoke("Number 1?")
    slots = [state.models["tiny-moe:1b"].slots for state in queues()]
    assert slots == [1, 1]


BAD: dict[str, Any] = {
    "empty": [],
    "empty tuple": (),
    "number": 5,
    "numbers": [11434],
    "none inside": ["http://127.0.0.1:1", None],
    "empty inside": ["http://127.0.0.1:1", ""],
    "nested": [["http://127.0.0.1:1"]],
    "mapping": {"http://127.0.0.1:1": 1},
    "bytes": b"http://127.0.0.1:1",
    "set": {"http://127.0.0.1:1"},
    "port": [f"http://{USER}:{SECRET}@127.0.0.1:port"],
    "large port": ["http://127.0.0.1:99999"],
    "slash in the password": [f"http://{USER}:{SECRET}/x@127.0.0.1:1"],
    "hash in the password": [f"http://{USER}:{SECRET}#x@127.0.0.1:1"],
    "hash in the user": [f"http://{USER}#{SECRET}@127.0.0.1:1"],
    "scheme": ["redis://127.0.0.1:1"],
    "no host": ["http://:11434"],
}


@pytest.mark.parametrize("name", BAD)
def test_a_list_that_names_no_servers_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        ChatAegis(model="m", base_url=BAD[name], redis_url="memory://")
    clean(str(caught.value))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["gpu1", "gpu2:1234"], ["http://gpu1:11434", "http://gpu2:1234"]),
        (["http://gpu1", "https://gpu1"], ["http://gpu1", "https://gpu1"]),
        (["http://gpu1", "http://gpu1:11434"], ["http://gpu1", "http://gpu1:11434"]),
        (["http://gpu1:80", "http://gpu1/"], ["http://gpu1"]),
        (["http://gpu1/a", "http://gpu1/b/"], ["http://gpu1/a", "http://gpu1/b/"]),
        (["localhost", "http://[::1]:11434", "0.0.0.0:11434"], ["http://localhost:11434"]),
        (("gpu1:1", "GPU1:1"), ["http://gpu1:1"]),
    ],
)
def test_servers_are_told_apart_by_host_port_and_path(given: Any, meant: list[str]) -> None:
    model = ChatAegis(model="m", base_url=given, redis_url="memory://")
    asked = [source.url.rstrip("/") for source in model._clients._sources]
    assert asked == [url.rstrip("/") for url in meant]
    assert len(queues()) == len(meant)


def test_a_model_is_looked_for_on_every_server_when_it_is_made(kit: Kit, servers: Servers) -> None:
    both = [nobody(), *urls(servers.start(["other:7b"]), servers.start())]
    kit.aegis(base_url=both, validate_model_on_init=True, warm=False).invoke("Number 1?")
    for given in (both, both[1], both[0], both[:2]):
        with pytest.raises((ValueError, ConnectionError), match=r"not found|Failed to connect"):
            ChatAegis(model="absent:7b", base_url=given, validate_model_on_init=True)


@pytest.mark.parametrize("kwargs", [{}, {"headers": {"x-team": "a"}}], ids=str)
def test_credentials_go_to_their_server_alone_and_are_shown_nowhere(
    kit: Kit, servers: Servers, caplog: pytest.LogCaptureFixture, kwargs: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    sims = servers.several(2)
    secret = sims[0].base_url.replace("//", f"//{USER}:{SECRET}@")
    gone = nobody().replace("//", f"//{USER}:{SECRET}@")
    given = {"verify": False, **kwargs}
    model = kit.aegis(
        base_url=[secret, sims[1].base_url, gone, secret], embeddings=None, client_kwargs=given
    )
    asyncio.run(several(model))
    assert min(asked(*sims)) > 0
    coded = base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
    for sim, credentials in zip(sims, (f"Basic {coded}", None), strict=True):
        assert {call.headers.get("authorization") for call in sim.calls} == {credentials}
        team = kwargs.get("headers", {}).get("x-team")
        assert {call.headers.get("x-team") for call in sim.calls} == {team}
    assert given == {"verify": False, **kwargs}
    for name, how in SHOWN.items():
        if not name.startswith("model_dump"):  # that is what a model can be made of again
            clean(how(model))
            assert coded not in str(how(model)), name
    clean(queues())
    clean(repr(model._client) + repr(model._fleet) + repr(model._source))
    clean(caplog.text)
    sims[0].stop()
    sims[1].stop()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it shows no secret
        model.invoke("Number 99?")
    clean(repr(caught.value))


async def several(model: ChatAegis) -> None:
    await asyncio.gather(*(model.ainvoke(f"Number {n}?") for n in range(8)))
    for number in range(8):
        await asyncio.to_thread(model.invoke, f"Letter {number}?")


def test_servers_that_are_one_of_many_are_given_up_when_they_take_no_connection() -> None:
    timeouts = []
    for given, kwargs in (("http://a:1", {}), (["http://a:1", "http://b:1"], {"timeout": 60})):
        model = ChatAegis(model="m", base_url=given, redis_url="memory://", client_kwargs=kwargs)
        clients = [*model._clients._blocking, model._clients._awaited[0]._first]
        limits = [client._client.timeout for client in clients]
        timeouts += [(limit.connect, limit.read) for limit in limits]
    assert timeouts == [(None, None)] * 2 + [(5.0, 60)] * 3


def test_a_process_ends_while_servers_are_being_looked_for() -> None:
    script = f"""
        import socket
        from langchain_aegis import ChatAegis
        deaf = socket.create_server(("127.0.0.1", 0))  # takes connections and says nothing
        model = ChatAegis(
            model="m", redis_url="memory://",
            base_url=[f"http://127.0.0.1:{{deaf.getsockname()[1]}}", {nobody()!r}, {nobody()!r}],
        )
        for _ in range(2):
            model._fleet._look_after()
        model._fleet.lost(1)
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n")
