"""An Ollama that answers, hangs, babbles or is not there, asked over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing import probe, with_server
from aegis_llm.errors import ConfigError
from aegis_llm.testing import OllamaSimulator, SimulatedModel

LONG = 1100


def asked(url: str, root: Path, *models: str, timeout_s: float = 5.0) -> Facts:
    """Return the facts of a machine without files, whose server has this address."""
    return probe(url, root=root, models=models, timeout_s=timeout_s)


def why(facts: Facts, what: str) -> str:
    """Return the reason of something unknown."""
    return next(one.why for one in facts.unknown if one.what == what)


@contextmanager
def speaking(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve HTTP with one answer to everything; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def saying(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    """Send one answer."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_version_models_and_what_is_loaded_are_asked_for(tmp_path: Path) -> None:
    models = {
        "llama3.1:8b": SimulatedModel(options={"num_ctx": 8192}),
        "all-minilm": SimulatedModel.guess("all-minilm"),
    }
    with OllamaSimulator(models, version="0.31.2") as server:
        httpx.post(f"{server.base_url}/api/generate", json={"model": "llama3.1:8b"})
        facts = asked(server.base_url, tmp_path)
    assert (facts.ollama.version, facts.ollama.running) == ("0.31.2", True)
    chat, embedder = facts.models
    assert (chat.name, chat.size, chat.quantization) == ("llama3.1:8b", 4_920_753_328, "Q4_K_M")
    assert (chat.layers, chat.kv_heads, chat.options) == (32, (8,), {"num_ctx": 8192})
    assert embedder.embeds
    (loaded,) = facts.loaded
    assert (loaded.name, loaded.context) == ("llama3.1:8b", 8192)


def test_a_list_that_is_left_out_is_asked_for_again(tmp_path: Path) -> None:
    heads = [0, 4] * (LONG // 2)
    model = SimulatedModel(
        family="jamba", info={"jamba.block_count": LONG, "jamba.attention.head_count_kv": heads}
    )
    with OllamaSimulator({"deep": model}) as server:
        (found,) = asked(server.base_url, tmp_path).models
        assert [call.body.get("verbose") for call in server.calls if call.method == "POST"] == [
            None,
            True,
        ]
    assert found.kv_heads == tuple(heads)
    assert found.recurrent


def test_the_models_that_are_named_are_looked_at_in_that_order(tmp_path: Path) -> None:
    with OllamaSimulator(["a", "b:1b", "c"]) as server:
        facts = asked(server.base_url, tmp_path, "c:latest", "b:1b", "absent:3b")
        assert server.count("/api/show") == 2
    assert [one.name for one in facts.models] == ["c:latest", "b:1b"]
    assert "no model of that name" in why(facts, "models.absent:3b")


def test_models_of_the_cloud_take_no_memory_here(tmp_path: Path) -> None:
    cloud = SimulatedModel(remote_host="https://ollama.com")
    with OllamaSimulator({"here": SimulatedModel(), "there": cloud}) as server:
        facts = asked(server.base_url, tmp_path)
    assert [one.name for one in facts.models] == ["here:latest"]


def test_a_server_that_fails_for_one_model_still_tells_of_the_others(tmp_path: Path) -> None:
    with OllamaSimulator(["a", "b"]) as server:
        server.faults.status(500, {"error": "broken blob"}, path="/api/show")
        facts = asked(server.base_url, tmp_path)
    broken, whole = facts.models
    assert (broken.layers, whole.layers) == (None, 32)
    assert "broken blob" in why(facts, "models.a:latest.layers")


def test_no_server_is_said_with_its_address_and_without_its_password(tmp_path: Path) -> None:
    facts = asked("http://me:secret@127.0.0.1:9", tmp_path)
    assert facts.ollama.running is False
    assert facts.ollama.url == "http://127.0.0.1:9"
    assert "no Ollama answers at http://127.0.0.1:9" in why(facts, "ollama.version")
    assert "secret" not in repr(facts)


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not usable"):
        asked("http://[::1", tmp_path)


def test_a_server_that_hangs_costs_one_timeout_not_one_for_each_model(tmp_path: Path) -> None:
    left = threading.Event()
    shows = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/api/show":
            shows.append(handler.path)
            left.wait(30)
            return
        names = b'[{"name":"a:1","size":1},{"name":"b:1","size":2}]'
        saying(handler, b'{"version":"0.33.0","models":' + names + b"}")

    try:
        with speaking(answer) as url:
            facts = asked(url, tmp_path, timeout_s=0.2)
            left.set()
    finally:
        left.set()
    assert len(shows) == 1
    assert [one.size for one in facts.models] == [1, 2]
    assert "within 0.2 s" in why(facts, "models.a:1.layers")
    assert "not asked for" in why(facts, "models.b:1.layers")


def test_a_server_that_trickles_is_given_up_after_the_same_time(tmp_path: Path) -> None:
    left = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not left.wait(0.05):
                handler.wfile.write(b" ")
        except OSError:
            left.set()

    with speaking(answer) as url:
        facts = asked(url, tmp_path, timeout_s=0.3)
        left.set()
    assert "did not answer /api/version" in why(facts, "ollama.version")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>It works!</html>", 200),
        (b"[]", 200),
        (b'{"version": 7}', 200),
        (b'{"version": ""}', 200),
        (b"\xff\xfe", 200),
        (b'{"error": "who are you"}', 401),
        (b"[" * 100_000, 200),
        (b"", 200),
    ],
)
def test_something_else_that_answers_is_not_taken_for_ollama(
    tmp_path: Path, body: bytes, status: int
) -> None:
    with speaking(lambda handler: saying(handler, body, status)) as url:
        facts = asked(url, tmp_path)
    assert facts.ollama.running is False
    assert facts.models == ()
    assert why(facts, "ollama.version")


@pytest.mark.parametrize(
    "models", [b"7", b'["a"]', b"[{}]", b'[{"name": 3}]', b'[{"name":"a","size":-5}]', b"null"]
)
def test_rubbish_among_the_models_is_no_traceback(tmp_path: Path, models: bytes) -> None:
    said = b'{"version":"0.33.0","models":' + models + b"}"
    with speaking(lambda handler: saying(handler, said)) as url:
        facts = asked(url, tmp_path)
    assert facts.ollama.version == "0.33.0"
    assert all(one.size is None for one in facts.models)


def test_nothing_of_this_machine_is_said_about_another_one() -> None:
    # An address for documentation (RFC 5737), to which nothing is routed.
    facts = probe("http://192.0.2.1:11434", timeout_s=0.1)
    assert facts.gpus is None
    assert facts.memory.total is None
    assert "another machine" in why(facts, "memory")


def test_a_server_adds_its_models_to_the_facts_of_another_machine(tmp_path: Path) -> None:
    unit = tmp_path / "etc/systemd/system/ollama.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nUser=ollama\n")
    with OllamaSimulator(["a"], version="0.32.0") as server:
        facts = with_server(Facts(os="linux", source="spark.json"), server.base_url, tmp_path, ())
    assert (facts.source, facts.ollama.version) == ("spark.json", "0.32.0")
    assert (facts.ollama.installed, facts.ollama.user) == ("systemd", "ollama")
    assert [one.name for one in facts.models] == ["a:latest"]
