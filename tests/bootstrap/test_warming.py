"""A warm-up of real servers: after it no request loads a model, reads a prefix, or waits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import ollama as official
import pytest
from blockbuster import blockbuster_ctx

from aegis_llm import AegisConfig, ConfigError
from aegis_llm.bootstrap.warming import Warmed, abootstrap, driving, plan, wire
from aegis_llm.errors import NotWarmError
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.testing import HashedNgrams, OllamaSimulator, Timing
from tests.bootstrap.warming_kit import MODEL, NOBODY, SYSTEM, WAYS, warm
from tests.servers import nobody

OPTIONS = {"num_ctx": 8192, "num_thread": 4}
each_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def four() -> Iterator[OllamaSimulator]:
    """A server with four slots."""
    models = (MODEL, "qwen3:8b", "all-minilm")
    with OllamaSimulator(models, num_parallel=4, embedder=HashedNgrams()) as running:
        yield running


@pytest.fixture
def hung() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that answers a byte at a time, and comes to no end."""
    over = threading.Event()

    class Drips(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            while not over.wait(0.02):
                self.wfile.write(b" ")
                self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Drips) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        over.set()
        server.shutdown()
        serving.join()


def chat(sim: OllamaSimulator, text: str, system: str = SYSTEM, **options: Any) -> Any:
    """Ask as the traffic does, beside the package."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    body = {"model": MODEL, "messages": messages, "stream": False, "options": options}
    return httpx.post(f"{sim.base_url}/api/chat", json=body, timeout=30).json()


def given(sim: OllamaSimulator, **settings: Any) -> dict[str, Any]:
    """Return what most warm-ups here are given."""
    usual = {"url": sim.base_url, "models": [MODEL], "options": OPTIONS, "redis_url": False}
    return {**usual, **settings}


def fill(sim: OllamaSimulator, way: str, **settings: Any) -> Warmed:
    """Warm up; no slot is free again before all four are taken."""
    sim.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        warming = pool.submit(warm, way, **settings)
        try:
            sim.wait_for(5, "/api/chat")
        finally:
            sim.gate.set()
        return warming.result(30)


@each_way
def test_after_it_no_request_loads_anything(four: OllamaSimulator, way: str) -> None:
    warmed = warm(way, **given(four, embed_model="all-minilm"))

    assert (warmed.ok, warmed.problems, four.loads) == (True, (), 2)
    chat(four, "How are you?", **OPTIONS)
    official.Client(four.base_url).embed("all-minilm", "How are you?")
    assert four.loads == 2
    (server,) = warmed.servers
    assert (server.url, server.version) == (four.base_url, "0.33.0")
    assert [(m.name, m.kind, m.state, m.context) for m in server.models] == [
        (MODEL, "chat", "loaded", 8192),
        ("all-minilm", "embedding", "loaded", 512),
    ]


@each_way
def test_a_second_one_loads_and_reads_nothing(four: OllamaSimulator, way: str) -> None:
    settings = given(four, prefixes=[SYSTEM], embed_model="all-minilm")
    fill(four, way, **settings)
    read = four.prefilled

    warmed = warm(way, **settings)

    assert {model.state for model in warmed.servers[0].models} == {"already"}
    assert four.loads == 2
    assert four.prefilled - read <= 4  # the last token of a prompt is read anew
    assert warmed.ok


@each_way
def test_the_prefix_is_in_every_slot(four: OllamaSimulator, way: str) -> None:
    warmed = fill(four, way, **given(four, prefixes=[SYSTEM]))
    read = four.prefilled

    with ThreadPoolExecutor(4) as pool:
        questions = [f"Question {n}?" for n in range(4)]
        answers = list(pool.map(lambda text: chat(four, text, **OPTIONS), questions))

    assert [answer["done"] for answer in answers] == [True] * 4
    assert four.prefilled - read < 4 * 20
    (prefix,) = warmed.servers[0].prefixes
    assert prefix.sent == 4
    assert prefix.tokens > 400


def test_a_prefix_waits_behind_all_traffic(four: OllamaSimulator) -> None:
    seen = []
    enter = QUEUES.dispatcher(four.base_url, AegisConfig().scheduler).enter

    def noted(job: Any, **rest: Any) -> Any:
        seen.append((job.priority, job.deadline is not None))
        return enter(job, **rest)

    QUEUES.dispatcher(four.base_url, AegisConfig().scheduler).enter = noted  # type: ignore[method-assign]
    warm("blocking", **given(four, prefixes=[SYSTEM]))
    assert seen == [(-100, True)] * 4


@each_way
def test_a_prefix_longer_than_the_context_is_told_and_not_cut(
    four: OllamaSimulator, way: str
) -> None:
    warmed = warm(way, **given(four, prefixes=[SYSTEM, "Be brief."], options={"num_ctx": 256}))
    long, short = warmed.servers[0].prefixes
    assert long.problem.startswith(f"prefix 1 is too long for {MODEL}: Ollama says: request (")
    assert (long.tokens, short.problem) == (0, "")
    assert warmed.failed


@each_way
def test_messages_and_tools_may_be_a_prefix(four: OllamaSimulator, way: str) -> None:
    document = {"role": "user", "content": "The relay valve opens under two bar. " * 40}
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]
    prefix = {"messages": [{"role": "system", "content": SYSTEM}, document], "tools": tools}

    warmed = warm(way, **given(four, prefixes=[prefix, [document]]))

    assert warmed.ok
    bodies = [call.body for call in four.calls if call.path == "/api/chat"][1:]
    assert sorted(len(body["messages"]) for body in bodies) == [1, 1, 2, 2]
    assert [body.get("tools") for body in bodies if len(body["messages"]) == 2] == [tools] * 2


async def test_nothing_blocks_the_event_loop(four: OllamaSimulator) -> None:
    with blockbuster_ctx():
        warmed = await abootstrap(**given(four, prefixes=[SYSTEM], embed_model="all-minilm"))
    assert warmed.ok


@each_way
def test_a_missing_model_costs_the_others_nothing(four: OllamaSimulator, way: str) -> None:
    warmed = warm(way, **given(four, models=["nope:1b", MODEL]))

    assert warmed.failed
    assert warmed.problems == (f"nope:1b is missing at {four.base_url}; `ollama pull nope:1b`",)
    assert [model.state for model in warmed.servers[0].models] == ["missing", "loaded"]


@each_way
def test_without_an_ollama_it_returns_and_says_so(way: str) -> None:
    url = nobody()
    warmed = warm(way, url=url, models=[MODEL], redis_url=False)
    assert warmed.problems == (
        f"no Ollama answers at {url}; start it (`ollama serve`), or give its URL",
    )
    with pytest.raises(NotWarmError, match="no Ollama answers") as caught:
        warm(way, url=url, models=[MODEL], redis_url=False, strict=True)
    assert caught.value.warmed.servers[0].problem


@each_way
def test_a_hung_ollama_costs_no_more_than_a_glance(
    hung: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "GLANCE_S", 0.05)
    warmed = warm(way, url=hung, models=[MODEL], redis_url=False)
    (problem,) = warmed.problems
    assert problem == f"Ollama at {hung} takes connections and does not answer; restart it"


@each_way
def test_an_answer_that_comes_by_drops_is_given_up(
    dripping: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "_GRACE_S", 0.1)
    settings = {"url": dripping, "models": [MODEL], "redis_url": False, "timeout_s": 0.3}
    (problem,) = warm(way, **settings).problems
    told = {
        "blocking": f"{dripping} was given up: it answers without end",
        "awaited": f"Ollama at {dripping} takes connections and does not answer; restart it",
    }
    assert problem == told[way]


@each_way
def test_a_load_without_end_is_given_up_in_time(way: str) -> None:
    with OllamaSimulator((MODEL,), timing=Timing(load=600)) as slow:
        warmed = warm(way, **given(slow, timeout_s=0.5, prefixes=[SYSTEM]))
        (model,) = warmed.servers[0].models
        assert model.state == "failed"
        assert "was not loaded in time" in model.problem
        assert warmed.servers[0].prefixes == ()
        assert slow.loads == 0


@each_way
def test_an_error_while_loading_is_told_in_the_words_of_ollama(
    four: OllamaSimulator, way: str
) -> None:
    four.faults.status(500, {"error": "llama-server process has terminated"}, path="/api/chat")

    warmed = warm(way, **given(four, models=[MODEL, "qwen3:8b"]))

    failed, loaded = warmed.servers[0].models
    assert (failed.state, loaded.state) == ("failed", "loaded")
    assert failed.problem.endswith("Ollama says: llama-server process has terminated")


@each_way
def test_an_answer_that_is_no_json_is_a_problem_and_no_error(
    four: OllamaSimulator, way: str
) -> None:
    four.faults.status(200, "<html>", path="/api/version")
    warmed = warm(way, **given(four))
    assert "is no Ollama (the answer is no JSON)" in warmed.problems[0]


@each_way
def test_every_server_of_a_list_is_warmed(four: OllamaSimulator, way: str) -> None:
    with OllamaSimulator((MODEL,)) as other:
        urls = [four.base_url, nobody(), other.base_url]
        warmed = warm(way, **given(four, url=urls, prefixes=[SYSTEM]))
        assert [four.loads, other.loads] == [1, 1]
    assert [bool(server.problem) for server in warmed.servers] == [False, True, False]
    assert [len(server.prefixes) for server in warmed.servers] == [1, 0, 1]


@each_way
def test_a_redis_that_is_down_is_told_and_costs_nothing(four: OllamaSimulator, way: str) -> None:
    warmed = warm(way, **given(four, redis_url=NOBODY))
    assert warmed.servers[0].models[0].state == "loaded"
    assert warmed.redis is not None
    assert warmed.redis.problem.startswith("Redis at redis://127.0.0.1:1: redis_down; start it")
    assert not warmed.ok
    assert not warmed.failed


def test_the_largest_context_of_one_model_is_loaded_once(four: OllamaSimulator) -> None:
    for context in (2048, 8192, 4096):
        warmed = warm("blocking", **given(four, options={"num_ctx": context}))
    assert four.loads == 2
    (model,) = warmed.servers[0].models
    assert model.options == {"num_ctx": 8192}
    assert model.note.startswith("loaded with num_ctx=8192 in place of 4096, as others")


def test_a_password_in_a_url_is_sent_and_never_shown(four: OllamaSimulator) -> None:
    url = four.base_url.replace("://", "://me:secret@")
    warmed = warm("blocking", **given(four, url=url))
    assert "secret" not in repr(warmed)
    assert warmed.ok
    assert four.calls[0].headers["authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "there is nothing to warm"),
        ({"models": MODEL, "options": {"numctx": 1}}, "did you mean 'num_ctx'"),
        ({"models": MODEL, "keep_alive": 0}, "unloads the models at once"),
        ({"models": MODEL, "num_parallel": 0}, "1 or more"),
        ({"models": MODEL, "timeout_s": -1}, "more than 0"),
        ({"models": MODEL, "timeout_s": float("nan")}, "more than 0"),
        ({"models": MODEL, "prefixes": [""]}, "prefix 1 is not usable"),
        ({"models": MODEL, "prefixes": [[{"content": "x"}]]}, "prefix 1 is not usable"),
        ({"models": MODEL, "prefixes": [{"message": "x"}]}, "prefix 1 is not usable"),
        ({"embed_model": "all-minilm", "prefixes": ["x"]}, "no chat model that reads them"),
        ({"models": MODEL, "redis_url": "nope"}, "redis_url"),
        ({"models": MODEL, "url": "ftp://x"}, "write http://HOST:PORT"),
    ],
)
def test_what_is_not_usable_is_refused_before_anything_is_sent(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        warm("blocking", **settings)


def test_objects_and_names_are_not_mixed() -> None:
    with pytest.raises(ConfigError, match="cannot warm a str"):
        warm("blocking", "llama3.1:8b")
    with pytest.raises(ConfigError, match="models= is told by the objects"):
        warm("blocking", object(), models=[MODEL])


@each_way
def test_its_connections_are_closed_in_the_end(
    four: OllamaSimulator, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    for kind in (wire.Wire, wire.AsyncWire):
        init = kind.__init__
        monkeypatch.setattr(
            kind, "__init__", lambda self, *a, init=init: (init(self, *a), made.append(self))[0]
        )
    warm(way, **given(four))
    assert [one._http.is_closed for one in made] == [True]
