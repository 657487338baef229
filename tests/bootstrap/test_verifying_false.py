"""What looks like a proof and is none: verdicts that would be false."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from aegis_llm.bootstrap.facts import Facts, Loaded, ModelFacts, Ollama
from aegis_llm.bootstrap.linting import lint
from aegis_llm.bootstrap.probing import probe
from aegis_llm.bootstrap.probing.processes import Process, serving
from aegis_llm.bootstrap.verifying import Measured, Round, verify
from aegis_llm.bootstrap.verifying.evidence import Child, Evidence
from aegis_llm.bootstrap.verifying.judging import judge
from aegis_llm.testing import OllamaSimulator, SimulatedModel, Timing

MODEL = "llama3.1:8b"
PARALLEL, CONTEXT, STAY = "OLLAMA_NUM_PARALLEL", "OLLAMA_CONTEXT_LENGTH", "OLLAMA_KEEP_ALIVE"
TYPE, FLASH = "OLLAMA_KV_CACHE_TYPE", "OLLAMA_FLASH_ATTENTION"
LINE = 'time={} level=INFO msg="server config" env="map[OLLAMA_NUM_PARALLEL:4]"\n'
QUICK = Timing(prefill=200_000.0, decode=2500.0)


def far(url: str) -> Facts:
    """Return the facts of a server on another machine."""
    found = probe(url)
    return msgspec.structs.replace(found, ollama=Ollama(url=url, version="0.33.0", running=True))


def state(
    name: str, wanted: str, seen: Evidence, models: Sequence[ModelFacts] = (), **facts: Any
) -> str:
    (verdict,) = judge(Facts(models=tuple(models), **facts), {name: wanted}, seen).verdicts
    return verdict.state


def test_the_log_of_this_machine_is_not_that_of_a_server_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".ollama" / "logs"
    folder.mkdir(parents=True)
    (folder / "server.log").write_text(LINE.format("2026-01-01T00:00:00Z"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with OllamaSimulator([MODEL]) as server:
        seen = verify(far(server.base_url), {PARALLEL: "4"})
    assert seen.of(PARALLEL).state == "cannot tell"


def test_the_log_of_a_server_that_has_ended_proves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(LINE.format("2026-01-01T00:00:00Z"))
    facts = Facts(ollama=Ollama(url="http://127.0.0.1:9", installed="docker", unit="box"))
    assert verify(facts, {PARALLEL: "4"}, log=log).of(PARALLEL).state == "cannot tell"


@pytest.mark.parametrize("when", ["2023-11-14T20:00:00Z", "2023-11-15T20:00:00Z"])
def test_the_log_of_another_start_is_not_believed_when_it_is_given_either(
    tmp_path: Path, when: str
) -> None:
    put(tmp_path, "stat", "btime 1700000000\n")
    put(tmp_path, "7/stat", f"7 (a) S 1 {' '.join(['0'] * 17)} 0 0\n")
    put(tmp_path, "7/cmdline", "ollama\0serve\0")
    log = tmp_path / "log"
    facts = Facts(ollama=Ollama(pid=7, url="http://127.0.0.1:9"))
    log.write_text(LINE.format("2023-11-14T22:13:30Z"))
    assert verify(facts, {PARALLEL: "4"}, root=tmp_path, log=log).in_force
    assert verify(facts, {PARALLEL: "4"}, root=tmp_path, log=log).of(PARALLEL).state == "in force"
    log.write_text(LINE.format(when))
    seen = verify(facts, {PARALLEL: "4"}, root=tmp_path, log=log)
    assert seen.of(PARALLEL).state == "cannot tell"


def test_a_number_that_is_now_another_programs_is_not_the_server(tmp_path: Path) -> None:
    put(tmp_path, "stat", "btime 1700000000\n")
    put(tmp_path, "7/cmdline", "postgres\0-D\0")
    put(tmp_path, "7/environ", "PATH=/bin\0")
    facts = Facts(ollama=Ollama(pid=7, url="http://127.0.0.1:9"))
    seen = verify(facts, {PARALLEL: "4"}, root=tmp_path)
    assert seen.of(PARALLEL).state == "cannot tell"
    assert "process 7 is no Ollama" in [one.what for one in seen.sources]


def put(root: Path, path: str, text: str) -> None:
    file = root / "proc" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_context_that_a_client_asked_for_is_not_the_servers() -> None:
    with OllamaSimulator([MODEL], context_length=4096) as server:
        body = {"model": MODEL, "options": {"num_ctx": 8192}}
        httpx.post(f"{server.base_url}/api/generate", json=body)
        facts = far(server.base_url)
        assert verify(facts, {CONTEXT: "8192"}).of(CONTEXT).state == "cannot tell"
    loaded = (Loaded(name=MODEL, context=8192),)
    seen = Evidence(answers=True, version="0.33.0", loaded=loaded, log={CONTEXT: "4096"})
    assert state(CONTEXT, "8192", seen, facts.models) == "not in force"


@pytest.mark.parametrize("trained", [8192, 131_072])
def test_a_context_above_what_a_model_was_trained_for_cannot_be_seen(trained: int) -> None:
    model = ModelFacts(name=MODEL, trained_context=trained)
    seen = Evidence(
        answers=True,
        version="0.33.0",
        log={CONTEXT: "16384"},
        loaded=(Loaded(name=MODEL, context=8192),),
        measured=Measured(model=MODEL, context=8192),
    )
    found = state(CONTEXT, "16384", seen, [model])
    assert found == ("in force" if trained == 8192 else "not in force")
    unread = msgspec.structs.replace(seen, log=None)
    found = state(CONTEXT, "16384", unread, [model])
    assert found == ("cannot tell" if trained == 8192 else "not in force")


@pytest.mark.parametrize("own", [8192, 2048])
def test_a_context_of_the_modelfile_says_nothing_of_the_server(own: int) -> None:
    models = {MODEL: SimulatedModel(options={"num_ctx": own})}
    with OllamaSimulator(models, timing=QUICK, context_length=4096) as server:
        seen = verify(far(server.base_url), {CONTEXT: "8192"}, deep=True)
    assert seen.of(CONTEXT).state == "cannot tell"


def test_a_stay_that_a_client_asked_for_is_not_the_servers() -> None:
    with OllamaSimulator([MODEL], timing=QUICK, keep_alive=300) as server:
        facts = far(server.base_url)
        body = {"model": MODEL, "keep_alive": "10m"}
        httpx.post(f"{server.base_url}/api/generate", json=body)
        for wanted in ("10m", "5m"):
            seen = verify(facts, {STAY: wanted}, deep=True)
            assert seen.of(STAY).state == "cannot tell"
            assert "--reload" in seen.of(STAY).do
        seen = verify(facts, {STAY: "10m"}, deep=True, reload=True)
    assert seen.of(STAY).state == "not in force"


def test_slots_that_others_hold_do_not_make_a_verdict() -> None:
    with OllamaSimulator([MODEL], num_parallel=3, timing=QUICK) as server:
        server.faults.hang(after=1, path="/api/generate")
        url = f"{server.base_url}/api/generate"
        with ThreadPoolExecutor(1) as pool, httpx.Client(timeout=60) as client:
            other = pool.submit(client.post, url, json={"model": MODEL, "prompt": "x"})
            try:
                server.wait_for(1, "/api/generate")
                seen = verify(far(server.base_url), {PARALLEL: "3", STAY: "5m"}, deep=True)
            finally:
                server.faults.release()
            other.result()
    assert seen.measured is not None
    assert (seen.measured.slots, seen.measured.busy, seen.measured.sure) == (2, True, False)
    assert [one.state for one in seen.verdicts] == ["cannot tell", "cannot tell"]
    assert "nobody else" in seen.of(PARALLEL).do


def test_as_many_at_once_as_were_sent_may_be_fewer_than_the_slots() -> None:
    with OllamaSimulator([MODEL], num_parallel=8, timing=QUICK) as server:
        seen = verify(far(server.base_url), {PARALLEL: "4"}, deep=True, most=4)
    assert seen.measured is not None
    assert (seen.measured.slots, seen.measured.sure) == (4, False)
    assert seen.of(PARALLEL).state == "cannot tell"


@pytest.mark.parametrize("architecture", ["qwen3vl", "mllama", "qwen35", "llama"])
def test_one_slot_of_a_family_that_gets_no_more_proves_nothing(architecture: str) -> None:
    model = ModelFacts(name=MODEL, architecture=architecture, size=5 << 30, layers=32, heads=32,
                       kv_heads=(8,), embedding_length=4096, trained_context=8192)  # fmt: skip
    loaded = (Loaded(name=MODEL, size=(5 << 30) + (600 << 20), context=4096),)
    rounds = (Round(sent=9, tokens=48, at_once=1), Round(sent=9, tokens=96, at_once=1))
    measured = Measured(model=MODEL, slots=1, sure=True, rounds=rounds)
    seen = Evidence(answers=True, version="0.33.0", log={PARALLEL: "4"}, loaded=loaded)
    child = Child(where="process 8", slots=1)
    for one in (
        msgspec.structs.replace(seen, children=(child,)),
        msgspec.structs.replace(seen, measured=measured),
        seen,
    ):
        found = state(PARALLEL, "4", one, [model])
        assert found == ("not in force" if architecture == "llama" else "in force")


def test_a_child_that_is_not_of_the_loaded_model_may_be_of_one_with_one_slot() -> None:
    vision = ModelFacts(name="qwen3-vl", architecture="qwen3vl")
    plain = ModelFacts(name=MODEL, architecture="llama")
    seen = Evidence(
        answers=True, version="0.33.0", log={PARALLEL: "4"}, loaded=(Loaded(name=MODEL),),
        children=(Child(where="the log", slots=1),),
    )  # fmt: skip
    assert state(PARALLEL, "4", seen, [plain, vision]) == "in force"
    assert state(PARALLEL, "4", seen, [plain]) == "not in force"


def test_sizes_are_no_proof_where_they_are_estimates_or_buffers_are_large() -> None:
    model = ModelFacts(name=MODEL, architecture="llama", size=5 << 30, layers=32, heads=32,
                       kv_heads=(8,), embedding_length=4096, trained_context=131_072)  # fmt: skip
    loaded = (Loaded(name=MODEL, size=(5 << 30) + (4 << 30), context=4096),)
    seen = Evidence(answers=True, version="0.33.0", log={PARALLEL: "2"}, loaded=loaded)
    assert state(PARALLEL, "2", seen, [model]) == "not in force"
    old = msgspec.structs.replace(seen, version="0.20.0")
    assert state(PARALLEL, "2", old, [model]) == "in force"
    off = msgspec.structs.replace(seen, process={FLASH: "0", PARALLEL: "2"})
    assert state(PARALLEL, "2", off, [model]) == "in force"


def test_a_gpu_without_flash_attention_turns_off_what_is_automatic() -> None:
    seen = Evidence(answers=True, process={}, children=(Child(where="x", flash="off"),))
    assert state(FLASH, "", seen) == "in force"
    assert state(FLASH, "", msgspec.structs.replace(seen, process=None)) == "cannot tell"
    assert state(FLASH, "1", seen) == "not in force"


def test_a_cache_may_be_quantized_by_an_argument_of_llama_server() -> None:
    child = Child(where="x", environment={"LLAMA_ARG_CACHE_TYPE_K": "q8_0"})
    seen = Evidence(answers=True, version="0.33.0", children=(child,))
    assert state(TYPE, "f16", seen) == "not in force"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "OLLAMA_API_KEY", "MY_TOKEN"])
def test_a_variable_that_is_not_kept_of_a_process_may_be_there(name: str) -> None:
    seen = Evidence(answers=True, version="0.33.0", process={PARALLEL: "4"}, pid=7)
    assert state(name, "http://proxy:1", seen) == "cannot tell"


def test_a_password_in_a_value_is_not_shown_and_is_no_difference() -> None:
    wanted = {"OLLAMA_HOST": "http://u:hunter2@h:1", "HTTP_PROXY": "http://u:hunter2@p:1"}
    seen = Evidence(answers=True, process={"OLLAMA_HOST": "http://h:1"}, pid=7)
    verification = judge(Facts(), wanted, seen)
    assert verification.of("OLLAMA_HOST").state == "in force"
    assert b"hunter2" not in msgspec.json.encode(verification)
    findings = lint({"OLLAMA_HOTS": "http://u:hunter2@h:1"}, "0.33.0")
    assert findings
    assert b"hunter2" not in msgspec.json.encode(findings)


def test_a_server_that_dies_while_it_is_asked_leaves_no_verdict(tmp_path: Path) -> None:
    put(tmp_path, "stat", "btime 1700000000\n")
    put(tmp_path, "7/cmdline", "ollama\0serve\0")
    ollama = Ollama(
        pid=7, url="http://127.0.0.1:9", environment={PARALLEL: "4"},
        environment_source="process 7",
    )  # fmt: skip
    seen = verify(Facts(ollama=ollama), {PARALLEL: "4"}, root=tmp_path)
    assert seen.of(PARALLEL).state == "cannot tell"


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port; yield its host and port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def nonsense(body: bytes) -> type[BaseHTTPRequestHandler]:
    class Nonsense(BaseHTTPRequestHandler):
        """Answers like an Ollama until it is asked to generate."""

        def do_GET(self) -> None:
            said = b'{"version":"0.33.0","models":[{"name":"m:latest"}]}'
            self.reply(said if self.command == "GET" else body)

        do_POST = do_GET  # noqa: N815 - the name is http.server's

        def reply(self, said: bytes) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(200)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    return Nonsense


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b"null", b'{"model":3}', b"[" * 100_000])
def test_nonsense_ends_the_requests_and_not_the_command(body: bytes) -> None:
    with answering(nonsense(body)) as host:
        facts = Facts(ollama=Ollama(url=f"http://{host}"))
        seen = verify(facts, {PARALLEL: "4"}, deep=True, model="m")
    assert seen.measured is not None
    assert seen.measured.error
    assert seen.of(PARALLEL).state == "cannot tell"


def test_of_several_processes_that_may_be_the_server_none_is_taken() -> None:
    hidden = [Process(pid=pid, listens=True) for pid in (7, 8)]
    assert serving(hidden, 11434) is None
    assert serving(hidden[:1], 11434) is hidden[0]
    inner = {"OLLAMA_HOST": "0.0.0.0:11434"}
    boxes = [
        Process(pid=pid, groups=f"0::/docker/{mark * 64}", environment=inner)
        for pid, mark in ((3, "a"), (4, "b"))
    ]
    own = Process(pid=9, environment={})
    assert serving([*boxes, own], 11434) is own
    assert serving(boxes, 11434) is None
    assert serving(boxes[:1], 11500) is boxes[0]
    assert serving(boxes, 11500) is None


def test_a_password_in_the_address_is_sent_and_not_shown() -> None:
    secret = f"Basic {base64.b64encode(b'user:hunter2').decode()}"

    class Guarded(nonsense(b"")):  # type: ignore[misc]  # a class that a function makes
        """Answers who knows the password."""

        def do_GET(self) -> None:  # noqa: N802 - the name is http.server's
            if self.headers.get("Authorization") == secret:
                super().do_GET()
            else:
                self.send_error(401)

    with answering(Guarded) as host:
        url = f"http://user:hunter2@{host}/"
        facts = probe(url)
        seen = verify(facts, {PARALLEL: "4"}, url=url)
        unknown = verify(facts, {PARALLEL: "4"})
    assert facts.ollama.running
    assert seen.answers
    assert not unknown.answers
    assert b"hunter2" not in msgspec.json.encode((facts, seen))
