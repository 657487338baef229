"""`bench` and `bench compare` as commands: what they print, write and return."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_llm.bench.results import decode
from aegis_llm.testing import OllamaSimulator, Timing
from tests.cli.bench_kit import MODELS, SMALL, Command, commands, fast_server
from tests.redis_server import RedisServer


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    return commands(monkeypatch, tmp_path)


@pytest.fixture
def server() -> Iterator[OllamaSimulator]:
    with fast_server() as simulator:
        yield simulator


def test_it_measures_writes_three_files_and_says_what_it_found(
    run: Command, server: OllamaSimulator, tmp_path: Path, redis_url: str
) -> None:
    result = run("--url", server.base_url, "--out", "now", "--redis-url", redis_url, *SMALL)
    assert result.exit_code == 0, result.stdout
    found = decode((tmp_path / "now.json").read_bytes(), "now.json")
    assert found.partial == ""
    assert found.machine.ollama == "0.33.0"
    assert found.model.embedder == "all-minilm:latest"
    assert not any(one.error for one in found.requests)
    assert found.cold is not None
    assert found.cache is not None
    assert found.cache.wrong == 0
    assert found.cache.hits["exact"] == found.cache.asked["exact"]  # what is repeated, hits
    assert found.cache.hits.get("new", 0) == 0
    assert {one.when for one in found.memory} == {"before", "rest", "load", "after"}
    assert max(one.redis or 0 for one in found.memory) > 0
    assert "<svg" in (tmp_path / "now.html").read_text()
    assert "Promised and measured" in (tmp_path / "now.md").read_text()
    assert "stress with 3" in result.stdout

    again = run("compare", "now.json", "now.json")
    assert again.exit_code == 0
    assert "0 worse, 0 better" in again.stdout
    kept = run("--url", server.base_url, "--out", "now", *SMALL)
    assert kept.exit_code == 2
    assert "is there already" in kept.output


def test_a_regression_ends_with_status_one(
    run: Command, server: OllamaSimulator, tmp_path: Path
) -> None:
    rest = (*SMALL[:-2], "--cache", "0", "--rounds", "4", "--no-cold")
    assert run("--url", server.base_url, "--out", "one", *rest).exit_code == 0
    document = json.loads((tmp_path / "one.json").read_text())
    columns = document["columns"]
    for row in document["requests"]:
        for name in ("ttft", "wrote_until", "latency"):
            row[columns.index(name)] *= 2
    (tmp_path / "two.json").write_text(json.dumps(document))
    worse = run("compare", "one.json", "two.json")
    assert worse.exit_code == 1
    assert "worse" in worse.stdout
    assert run("compare", "two.json", "one.json").exit_code == 0
    told = json.loads(run("compare", "one.json", "two.json", "--json").stdout)
    assert told["regressed"] is True


def test_a_dry_run_sends_nothing(run: Command, server: OllamaSimulator) -> None:
    result = run("--url", server.base_url, "--dry-run", "--model", "llama3.1:8b")
    assert result.exit_code == 0
    assert "requests," in result.stdout
    assert "10 at once" in result.stdout
    assert server.count() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--levels", "many"), 2, "--levels"),
        (("--shares", "0.5,0.5"), 2, "--shares"),
        (("--rounds", "0"), 2, "rounds=0"),
        (("--url", "http://127.0.0.1:9"), 1, "no Ollama answers"),
        (("compare", "a.json", "b.json"), 2, "a.json cannot be read"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    run: Command, arguments: tuple[str, ...], status: int, said: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == status
    assert said in " ".join(result.output.split())


def test_a_model_that_is_not_there_is_named_with_those_that_are(
    run: Command, server: OllamaSimulator
) -> None:
    result = run("--url", server.base_url, "--model", "nope:1b")
    assert result.exit_code == 2
    assert "llama3.1:8b" in result.output


def test_an_ollama_that_dies_leaves_what_was_measured(run: Command, tmp_path: Path) -> None:
    slow = Timing(prefill=50_000.0, decode=200.0)
    with OllamaSimulator(MODELS, num_parallel=2, timing=slow) as server:

        def die() -> None:
            server.wait_for(10, "/api/chat", timeout=60)
            server.stop()

        dying = threading.Thread(target=die)
        dying.start()
        result = run("--url", server.base_url, "--out", "cut", "--cache", "0", *SMALL[:-2])
        dying.join()
    assert result.exit_code == 3, result.stdout
    found = decode((tmp_path / "cut.json").read_bytes(), "cut.json")
    assert "answers no more" in found.partial
    assert any(not one.error for one in found.requests)
    assert "PARTIAL" in (tmp_path / "cut.html").read_text()


def test_a_redis_that_dies_costs_no_answer_and_is_told(run: Command, tmp_path: Path) -> None:
    slow = Timing(prefill=50_000.0, decode=500.0)
    with (
        RedisServer() as redis_server,
        OllamaSimulator(MODELS, num_parallel=2, timing=slow) as server,
    ):
        if not redis_server.private:
            pytest.skip("needs a Redis that may be killed")

        def die() -> None:
            server.wait_for(3, "/api/chat", timeout=60)
            server.wait_for(4, "/api/embed", timeout=60)
            redis_server.kill()

        dying = threading.Thread(target=die)
        dying.start()
        url = ("--url", server.base_url, "--redis-url", redis_server.url)
        result = run(*url, "--out", "cut", *SMALL)
        dying.join()
    assert result.exit_code == 3, result.stdout
    found = decode((tmp_path / "cut.json").read_bytes(), "cut.json")
    assert "the cache failed" in found.partial
    assert not any(one.error for one in found.requests)


def test_a_redis_that_is_not_there_leaves_the_rest(
    run: Command, server: OllamaSimulator, tmp_path: Path
) -> None:
    url = ("--url", server.base_url, "--redis-url", "redis://:hunter2@127.0.0.1:9")
    result = run(*url, "--out", "none", *SMALL[:-2], "--cache", "5", "--no-cold")
    assert result.exit_code == 3, result.stdout
    found = decode((tmp_path / "none.json").read_bytes(), "none.json")
    assert "no cache was measured" in found.partial
    assert found.cache is None
    assert "hunter2" not in result.stdout + (tmp_path / "none.json").read_text()


def test_ctrl_c_leaves_what_was_measured(tmp_path: Path) -> None:
    script = "import typer; from aegis_llm import cli_bench; app = typer.Typer()\n"
    script += "cli_bench.add_to(app)\n@app.command()\ndef other() -> None: ...\napp()"
    slow = Timing(prefill=50_000.0, decode=200.0)
    with OllamaSimulator(MODELS, num_parallel=2, timing=slow) as server:
        arguments = ["bench", "--url", server.base_url, "--out", "cut", "--cache", "0"]
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments, "--prompt-tokens", "40"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        server.wait_for(14, "/api/chat", timeout=60)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    found = decode((tmp_path / "cut.json").read_bytes(), "cut.json")
    assert found.partial == "stopped by Ctrl-C"
    assert any(not one.error for one in found.requests)
    assert "\x1b" not in said  # no bar where there is no terminal
