"""`aegis-llm tune` where an operator can be misled: addresses, exit statuses, pipes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aegis_llm.bootstrap.applying import restarting
from aegis_llm.bootstrap.facts import Facts, Memory
from aegis_llm.bootstrap.rendering import parse
from aegis_llm.cli import app
from aegis_llm.cli_bootstrap.given import check_here
from aegis_llm.errors import ConfigError
from tests.bootstrap.machine import tree
from tests.bootstrap.systemd import free_port
from tests.cli.test_tune import SPARK, Command, Server, serve, told, tune

__all__ = ["serve", "tune"]


def with_url(server: Server, url: str) -> list[str]:
    """The arguments with another address."""
    given = list(server.arguments)
    at = given.index("--url") + 1
    given[at] = url.format(given[at].rpartition(":")[2])
    return given


def apart(*arguments: str) -> Result:
    """The result of the command, its output and its errors apart."""
    return CliRunner().invoke(app, ["tune", *arguments], env={"COLUMNS": "200"})


@pytest.mark.parametrize("url", ["127.0.0.1:{}", "0.0.0.0:{}"])
def test_an_address_as_ollama_writes_it_is_asked_after_the_restart(
    tune: Command, serve: Callable[..., Server], url: str
) -> None:
    server = serve("--timing", "quick")
    result = tune(*with_url(server, url), "--apply", "--json")
    assert result.exit_code == 0, result.output
    assert told(result)["applied"]["outcome"] == "applied"


def test_an_address_of_nobody_costs_no_restart(
    tune: Command, serve: Callable[..., Server]
) -> None:
    server = serve("--timing", "quick")
    before, asked = tree(server.root), len(server.systemd.asked)
    result = tune(*with_url(server, f"http://127.0.0.1:{free_port()}"), "--apply")
    assert result.exit_code == 1, result.output
    assert "ollama.service listens on port" in result.output
    assert (tree(server.root), len(server.systemd.asked)) == (before, asked)


def test_a_server_that_is_down_is_no_success_though_the_file_says_it(
    tune: Command, serve: Callable[..., Server]
) -> None:
    server = serve("--timing", "quick")
    assert tune(*server.arguments, "--apply").exit_code == 0
    server.systemd.stop()
    result = tune(*server.arguments, "--apply")
    assert result.exit_code == 1, result.output
    assert "It does not answer." in result.output
    assert "systemctl restart ollama.service" in result.output


def test_what_is_left_to_a_person_has_a_status_of_its_own(
    tune: Command, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setenv("PATH", str(server.root))
    for end, status in ((["--no-restart"], 0), ([], 3)):
        assert tune(*server.arguments, "--apply", *end).exit_code == status
        assert tune(*server.arguments, "--revert", *end).exit_code == status
    result = tune(*SPARK, "--apply")
    assert result.exit_code == 1
    assert "Nothing was done here" in result.output
    assert result.output.count("Stop the server that runs now.") == 1
    assert told(tune(*SPARK, "--apply", "--json"))["applied"]["outcome"] == "by_hand"
    undone = tune(*SPARK, "--revert")
    assert undone.exit_code == 0
    assert undone.output.count("Nothing was written for it here") == 1


def test_whoever_interrupts_it_is_told_how_to_take_it_back(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve("--refuse", "OLLAMA_NUM_PARALLEL=4")
    before = tree(server.root)

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restarting, "comes_up", interrupted)
        cut = apart(*server.arguments, "--apply", "--json")
    assert (cut.exit_code, cut.stdout) == (130, "")
    assert "Run it with --revert now" in cut.stderr
    assert tree(server.root) != before
    assert apart(*server.arguments, "--revert").exit_code == 0
    assert tree(server.root) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--wait", "nan"), "--wait nan is not usable"),
        (("--wait", "inf"), "--wait inf is not usable"),
        (("--wait", "-1"), "--wait -1 is not usable"),
        (("--models", "a\udcff", "--json"), "no text in UTF-8"),
        (("--root", "/nowhere"), "there is no folder /nowhere"),
        (("--root", __file__), "there is no folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(tune: Command, arguments: Any, said: str) -> None:
    result = tune(*SPARK, *arguments)
    assert result.exit_code == 2, result.output
    assert said in result.output


def test_what_is_sent_to_a_file_or_a_program_is_the_result_alone() -> None:
    failed = apart("--profile", "toaster", "--as", "systemd")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert "toaster" in failed.stderr
    large = apart("--profile", "rtx-4060-8gb", "--models", "llama3.1:70b", "--as", "env")
    assert large.exit_code == 3
    assert parse(large.stdout, "env")
    assert "does not fit" in large.stderr
    data = apart("--profile", "rtx-4060-8gb", "--models", "llama3.1:70b", "--apply", "--json")
    assert data.exit_code == 3
    assert json.loads(data.stdout)["applied"] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            Facts(memory=Memory(total=8 << 30)),
            "8.00 GiB of memory, and this machine has 16.00 GiB",
        ),
        (Facts(os="macos", memory=Memory(total=16 << 30)), "the system macos"),
    ],
)
def test_what_was_computed_for_another_machine_is_not_applied_here(
    given: Facts, said: str
) -> None:
    here = Facts(os="linux", memory=Memory(total=16 << 30))
    with pytest.raises(ConfigError, match=said):
        check_here(given, here)
    check_here(Facts(), here)
    check_here(Facts(os="linux", memory=Memory(total=15 << 30)), here)
