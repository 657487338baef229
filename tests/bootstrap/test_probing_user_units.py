"""A server that runs as a service of a user, not of the system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aegis_llm.bootstrap.applying import plan_change
from tests.bootstrap.machine import SETTINGS
from tests.bootstrap.test_probing_installed import INSTALLER, found, process

FILE = "/home/ann/.config/systemd/user/ollama.service"
TEXT = "[Service]\nExecStart=/usr/bin/ollama serve\n"


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return os.getuid()


def inside(user: int, service: str) -> str:
    return f"/user.slice/user-{user}.slice/user@{user}.service/app.slice/{service}"


def test_the_service_of_the_user_is_found_and_configured(tmp_path: Path, user: int) -> None:
    running = process(78, "OLLAMA_N=1", uid=user, groups=inside(user, "ollama.service"))
    facts = found(tmp_path, INSTALLER, {FILE: TEXT}, running)
    seen = facts.ollama
    assert (seen.installed, seen.unit, seen.files) == ("systemd", "ollama.service", (FILE,))
    assert (seen.environment, seen.environment_source) == ({"OLLAMA_N": "1"}, "process 78")
    change = plan_change(facts, SETTINGS, root=tmp_path)
    assert change.path == f"{tmp_path}{FILE}.d/90-aegis-llm.conf"
    assert change.steps[-1] == "systemctl --user restart ollama.service"


def test_what_else_runs_in_a_service_of_a_user_is_by_hand(tmp_path: Path, user: int) -> None:
    """Never the system's service of that name, and no other service is restarted for it."""
    for number, groups in enumerate((
        inside(user + 1, "ollama.service"),
        inside(user, "ollama-mine.service"),
        inside(user, "notebook.service"),
    )):  # fmt: skip
        running = process(78, "OLLAMA_N=1", uid=user, groups=groups)
        seen = found(tmp_path / str(number), INSTALLER, {FILE: TEXT}, running).ollama
        assert (seen.installed, seen.files) == ("manual", ())
