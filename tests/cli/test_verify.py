"""`lint`, `verify` and `doctor` as commands: what they print, and their exit statuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aegis_llm.cli_bootstrap.doctor import doctor
from aegis_llm.cli_bootstrap.lint import lint_command
from aegis_llm.cli_bootstrap.verify import verify_command
from aegis_llm.testing import OllamaSimulator, Timing
from tests.bootstrap.served import served

Command = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs one of the three commands on a terminal of 80 columns."""
    for name in [*os.environ]:
        if name.startswith(("AEGIS_", "OLLAMA_", "LLAMA_ARG_")):
            monkeypatch.delenv(name)
    app = typer.Typer()
    app.command("lint")(lint_command)
    app.command("verify")(verify_command)
    app.command("doctor")(doctor)
    runner = CliRunner()

    def run(*arguments: str) -> Result:
        result = runner.invoke(app, list(arguments), env={"COLUMNS": "80", "NO_COLOR": "1"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        wide = [line for line in result.stdout.splitlines() if len(line) > 80]
        assert "--json" in arguments or not wide
        return result

    return run


def told(result: Result) -> str:
    """Return what was printed, without line breaks."""
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        (["OLLAMA_KEEP_ALIVE=30m"], 0, "Nothing is wrong"),
        (["OLLAMA_API_KEY=hunter2"], 0, "OLLAMA_API_KEY=***"),
        (["OLLAMA_NUM_THREADS=16"], 3, "read by no release"),
        (["OLLAMA_FLASH_ATTENTION=off"], 3, "Write OLLAMA_FLASH_ATTENTION=0"),
        (["OLLAMA_NUM_PARALLEL"], 2, "write KEY=VALUE"),
        (["--file", "/nowhere"], 2, "/nowhere cannot be read"),
        (["A=1", "--file", "/nowhere"], 2, "not both"),
    ],
)
def test_lint_of_settings(run: Command, settings: list[str], status: int, said: str) -> None:
    result = run("lint", *settings, "--ollama-version", "0.32.0")
    assert result.exit_code == status
    assert said in told(result)


def test_lint_of_a_drop_in_as_data(run: Command, tmp_path: Path) -> None:
    drop_in = tmp_path / "override.conf"
    drop_in.write_text('[Service]\nEnvironment="OLLAMA_KEEPALIVE=1h"\n')
    result = run("lint", "--file", str(drop_in), "--ollama-version", "0.32.0", "--json")
    data = json.loads(result.stdout)
    assert result.exit_code == 3
    assert (data["v"], data["source"], data["version"]) == (1, str(drop_in), "0.32.0")
    assert [one["rule"] for one in data["findings"]] == ["misspelt"]


def test_lint_of_a_server_that_is_not_here(run: Command, tmp_path: Path) -> None:
    result = run("lint", "--root", str(tmp_path), "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "cannot be read from here" in told(result)


def test_verify_tells_what_is_in_force_by_the_log(run: Command, tmp_path: Path) -> None:
    with served(tmp_path, {"OLLAMA_NUM_PARALLEL": "4"}) as server:
        where = ("--url", server.url, "--log", str(server.log), "--root", str(tmp_path))
        good = run("verify", "OLLAMA_NUM_PARALLEL=4", "OLLAMA_MAX_QUEUE=", *where)
        bad = run("verify", "OLLAMA_NUM_PARALLEL=4", "OLLAMA_KEEP_ALIVE=30m", *where)
        data = run("verify", "OLLAMA_KEEP_ALIVE=30m", *where, "--json")
    assert (good.exit_code, bad.exit_code, data.exit_code) == (0, 3, 3)
    assert "the log says OLLAMA_NUM_PARALLEL:4" in told(good)
    assert "not in force" in told(bad)
    decoded = json.loads(data.stdout)
    assert (decoded["v"], decoded["verdicts"][0]["state"]) == (1, "not in force")


def test_verify_says_what_it_will_send_before_it_does(run: Command, tmp_path: Path) -> None:
    with OllamaSimulator(["llama3.1:8b"], num_parallel=2, timing=Timing(decode=2500)) as server:
        where = ("--url", server.base_url, "--root", str(tmp_path))
        result = run("verify", "OLLAMA_NUM_PARALLEL=2", *where, "--deep", "--at-once", "9")
    assert result.exit_code == 0
    assert "up to 9 at a time" in " ".join(result.stderr.split())
    assert "answers 2 at once" in told(result)


def test_verify_of_a_server_that_is_down(run: Command, tmp_path: Path) -> None:
    where = ("--url", "http://127.0.0.1:9", "--root", str(tmp_path))
    result = run("verify", "OLLAMA_NUM_PARALLEL=2", *where)
    assert result.exit_code == 1
    assert "It does not answer" in told(result)


def test_verify_refuses_a_log_that_is_not_there(run: Command, tmp_path: Path) -> None:
    result = run("verify", "A=1", "--root", str(tmp_path), "--log", "/nowhere")
    assert result.exit_code == 2
    assert "the log /nowhere cannot be read" in told(result)


def test_the_doctor_tells_what_is_down_and_shows_no_password(run: Command, tmp_path: Path) -> None:
    where = ("--url", "http://127.0.0.1:9", "--root", str(tmp_path))
    result = run("doctor", *where, "--redis-url", "redis://:hunter2@127.0.0.1:9")
    assert result.exit_code == 3
    assert "hunter2" not in result.output
    assert "1 error ollama" in told(result)
    assert "2 error redis" in told(result)


def test_the_doctor_prints_data(run: Command, tmp_path: Path, redis_url: str) -> None:
    where = ("--url", "http://127.0.0.1:9", "--root", str(tmp_path))
    data = json.loads(run("doctor", *where, "--redis-url", redis_url, "--json").stdout)
    assert data["v"] == 1
    assert data["problems"][0]["rule"] == "ollama-down"
    assert data["redis"]["answers"] is True


def test_the_doctor_is_content_where_nothing_is_wrong(run: Command, tmp_path: Path) -> None:
    with OllamaSimulator(["llama3.1:8b"]) as server:
        where = ("--url", server.base_url, "--root", str(tmp_path), "--no-redis")
        result = run("doctor", *where)
    assert result.exit_code == 0
    assert "Nothing is wrong" in told(result)


def test_the_doctor_refuses_a_url_that_is_none(run: Command, tmp_path: Path) -> None:
    result = run("doctor", "--root", str(tmp_path), "--redis-url", "localhost:6379")
    assert result.exit_code == 2
    assert "redis_url" in told(result)
