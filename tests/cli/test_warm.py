"""`aegis-llm warm`, called as from a shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from aegis_llm.bootstrap.warming import Warmed
from aegis_llm.cli_bootstrap.warm import warm
from aegis_llm.testing import OllamaSimulator
from tests.servers import nobody

app = typer.Typer()
app.command()(warm)
Warm = Callable[..., Result]


@pytest.fixture
def command(ollama: OllamaSimulator, monkeypatch: pytest.MonkeyPatch) -> Warm:
    """Runs the command in a terminal of 80 columns; OLLAMA_HOST is the simulator."""
    for name in ("AEGIS_REDIS_URL", "AEGIS_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", ollama.base_url)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return run


def test_all_is_warm(
    command: Warm, ollama: OllamaSimulator, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    loads = ollama.loads
    prefix = tmp_path / "system.txt"
    prefix.write_text("You answer the questions of customers. " * 40)

    done = command(
        "--models", "llama3.1:8b", "--embed-model", "all-minilm", "--num-ctx", "8192",
        "--option", "num_thread=4", "--keep-alive", "30m", "--prefix-file", str(prefix),
        "--num-parallel", "2", "--redis-url", redis_url, "--namespace", namespace,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "llama3.1:8b" in done.output
    assert "prefix 1:" in done.output
    assert "index made" in done.output
    assert "Warm after" in done.output
    assert max(len(line.rstrip()) for line in done.output.splitlines()) <= 80
    body = next(call.body for call in ollama.calls if call.path == "/api/chat")
    assert body["options"] == {"num_ctx": 8192, "num_thread": 4}
    assert body["keep_alive"] == "30m"
    assert ollama.loads - loads == 2


def test_as_data(command: Warm) -> None:
    done = command("--models", "llama3.1:8b", "--no-redis", "--json")
    warmed = msgspec.json.decode(done.stdout, type=Warmed)
    assert (done.exit_code, warmed.v, warmed.ok, warmed.redis) == (0, 1, True, None)
    assert warmed.servers[0].models[0].state == "loaded"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--models", "nope", "--no-redis"], 1, "`ollama pull nope`"),
        (["--models", "llama3.1:8b", "--redis-url", "redis://127.0.0.1:1"], 3, "redis_down"),
        (["--no-redis"], 2, "there is nothing to warm"),
        (["--models", "x", "--option", "numctx=1"], 2, "did you mean 'num_ctx'?"),
        (["--models", "x", "--option", "num_ctx"], 2, "write NAME=VALUE"),
        (["--models", "x", "--prefix-file", "/nowhere"], 2, "/nowhere cannot be read"),
        (["--models", "x", "--redis-url", "nope"], 2, "redis_url"),
    ],
)
def test_the_exit_status_says_what_is_wrong(
    command: Warm, arguments: list[str], status: int, said: str
) -> None:
    done = command(*arguments)
    assert (done.exit_code, said in " ".join(done.output.split())) == (status, True), done.output


def test_without_an_ollama(command: Warm) -> None:
    done = command("--models", "llama3.1:8b", "--no-redis", "--url", nobody())
    assert done.exit_code == 1
    assert "start it (`ollama serve`)" in " ".join(done.output.split())


def test_no_colour_is_needed(command: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    done: Any = command("--models", "llama3.1:8b,nope", "--no-redis")
    assert "\x1b" not in done.output
    assert "missing" in done.output
