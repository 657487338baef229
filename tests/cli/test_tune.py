"""`aegis-llm tune`: the advice, its forms, and the whole way from a change to its proof."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from aegis_llm.bootstrap.rendering import FORMS, parse
from tests.bootstrap.machine import UNIT, tree
from tests.bootstrap.systemd import FakeSystemd, free_port

Command = Callable[..., Result]
SPARK = ("--profile", "dgx-spark", "--models", "llama3.1:8b,nomic-embed-text")
SETTINGS = {
    "OLLAMA_NUM_PARALLEL": "4",
    "OLLAMA_CONTEXT_LENGTH": "7168",
    "OLLAMA_MAX_LOADED_MODELS": "2",
    "OLLAMA_KEEP_ALIVE": "-1",
}
LOOPBACK = ("--models", "llama3.1:8b", "--host-facts")


@pytest.fixture
def tune(command: Command) -> Command:
    """Runs the command."""
    return lambda *arguments: command("tune", *arguments)


class Server:
    """A service below a folder, and what the command is told of it."""

    def __init__(self, systemd: FakeSystemd, port: int, facts: Path) -> None:
        self.systemd, self.root = systemd, systemd.root
        self.arguments = (
            "--models", "llama3.1:8b", "--host-facts", str(facts), "--root", str(systemd.root),
            "--url", f"http://127.0.0.1:{port}", "--wait", "30",
        )  # fmt: skip


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Runs a simulated Ollama as a service, with a systemctl of its own."""
    running: list[FakeSystemd] = []

    def serve(*arguments: str) -> Server:
        root, port = tmp_path / "root", free_port()
        unit = root / "etc/systemd/system/ollama.service"
        unit.parent.mkdir(parents=True)
        unit.write_text(f'{UNIT}Environment="OLLAMA_HOST=127.0.0.1:{port}"\n')
        systemd = FakeSystemd(root, tmp_path, *arguments)
        running.append(systemd)
        systemd.__enter__()
        monkeypatch.setenv("PATH", f"{systemd.bin}:{os.environ['PATH']}")
        for asked in (["daemon-reload"], ["restart", "ollama.service"]):
            assert systemd.do(asked) == ""
        facts = tmp_path / "facts.json"
        memory = {"total": 64 << 30, "available": 60 << 30}
        cpu = {"physical_cores": 16, "logical_cores": 16}
        gpu = {"vendor": "nvidia", "name": "Card", "memory": 24 << 30}
        ollama = {"installed": "systemd", "unit": "ollama.service", "version": "0.33.0"}
        facts.write_text(json.dumps({"os": "linux", "memory": memory, "cpu": cpu, "gpus": [gpu],
                                     "ollama": ollama}))  # fmt: skip
        return Server(systemd, port, facts)

    yield serve
    for one in running:
        one.__exit__()


def told(result: Result) -> dict[str, Any]:
    """What `--json` prints."""
    found: dict[str, Any] = json.loads(result.output)
    assert found["v"] == 1
    return found


def test_the_advice_in_words_and_nothing_is_changed(tune: Command) -> None:
    result = tune(*SPARK)
    assert result.exit_code == 0, result.output
    for words in (
        "4 slots x 7,168 tokens x 128 KiB = 3.50 GiB", "OLLAMA_NUM_THREADS", "It fits.",
        "No release of Ollama reads it", "Not known", "Start it with the lines below",
    ):  # fmt: skip
        assert words in result.output


def test_the_advice_as_data(tune: Command) -> None:
    found = told(tune(*SPARK, "--json"))
    values = {one["name"]: one["value"] for one in found["advice"]["settings"]}
    assert {name: value for name, value in values.items() if value is not None} == SETTINGS
    assert found["applied"] is None
    assert found["change"]["after"]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "modelfile"])
def test_each_form_alone_can_be_sent_to_a_file(tune: Command, form: Any) -> None:
    result = tune(*SPARK, "--as", form)
    assert result.exit_code == 0, result.output
    assert parse(result.output, form) == SETTINGS


def test_the_settings_of_the_study_with_what_they_do(tune: Command) -> None:
    result = tune("--profile", "dgx-spark", "--models", "llama3.1:8b", "--preset", "study-2025")
    for words in ("64.00 GiB of KV cache", "Off is harmful", "Does nothing", "FLASH_ATTENTION=0"):
        assert words in result.output


def test_what_does_not_fit_is_told_and_not_applied(tune: Command, tmp_path: Path) -> None:
    small = ("--profile", "rtx-4060-8gb", "--models", "llama3.1:70b", "--root", str(tmp_path))
    result = tune(*small)
    assert result.exit_code == 3
    assert "does not fit: it takes" in result.output
    assert tune(*small, "--as", "env").exit_code == 3
    assert tune(*small, "--apply").exit_code == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--concurrent", "0"), "requests at the same time"),
        (("--prompt-tokens", "1000000000000"), "prompt_tokens"),
        (("--keep-alive", "30min"), "Ollama takes anything else as 5m"),
        (("--profile", "toaster"), "toaster"),
        (("--host-facts", "/nowhere.json"), "/nowhere.json"),
        (("--apply", "--as", "env"), "Give one of --apply, --revert and --as."),
        (("--deep",), "verify --deep"),
        (("--preset", "study-2025", "--apply"), "not to apply"),
        (("--trace", "/nowhere", "--learn", "redis://x"), "not both"),
        (("--namespace", "x"), "--learn"),
        (("--learn", "memory://"), "no Redis that others share"),
    ],
)
def test_what_is_not_usable_is_said(tune: Command, arguments: Any, said: str) -> None:
    elsewhere = {"--profile", "--host-facts"} & set(arguments)
    result = tune(*(SPARK[2:] if elsewhere else SPARK), *arguments)
    assert result.exit_code == 2, result.output
    assert said in result.output


def test_applied_proved_and_taken_back(tune: Command, serve: Callable[..., Server]) -> None:
    server = serve("--timing", "quick")
    before = tree(server.root)
    plan = told(tune(*server.arguments, "--json"))["change"]
    assert plan["path"].endswith("ollama.service.d/90-aegis-llm.conf")
    assert tree(server.root) == before
    done = tune(*server.arguments, "--apply", "--deep", "--json")
    assert done.exit_code == 0, done.output
    found = told(done)
    assert found["applied"]["outcome"] == "applied"
    verdicts = {one["name"]: one["state"] for one in found["verification"]["verdicts"]}
    assert verdicts["OLLAMA_NUM_PARALLEL"] == "in force"
    assert verdicts["OLLAMA_CONTEXT_LENGTH"] == "in force"
    again = tune(*server.arguments, "--apply")
    assert again.exit_code == 0, again.output
    assert "nothing was written and nothing restarted" in again.output
    undone = tune(*server.arguments, "--revert")
    assert undone.exit_code == 0, undone.output
    assert tree(server.root) == before


def test_a_server_that_ignores_a_setting_is_found_out(
    tune: Command, serve: Callable[..., Server]
) -> None:
    server = serve("--timing", "quick", "--ignore", "OLLAMA_NUM_PARALLEL")
    result = tune(*server.arguments, "--apply", "--deep")
    assert result.exit_code == 3, result.output
    assert "not in force" in result.output


def test_a_server_that_does_not_come_up_has_its_old_settings_back(
    tune: Command, serve: Callable[..., Server]
) -> None:
    server = serve("--refuse", "OLLAMA_NUM_PARALLEL=4")
    before = tree(server.root)
    result = tune(*server.arguments[:-1], "3", "--apply")
    assert result.exit_code == 4, result.output
    assert "is as it was before" in result.output
    assert tree(server.root) == before
