"""Apply, restart, ask, revert: with a systemctl on PATH that restarts a simulated server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from aegis_llm.bootstrap.applying import apply, plan_change, plan_revert, revert
from aegis_llm.bootstrap.applying.restarting import answers, comes_up
from aegis_llm.bootstrap.facts import Facts
from tests.bootstrap.checkers import docker_daemon
from tests.bootstrap.machine import SETTINGS, UNIT, facts, tree
from tests.bootstrap.systemd import FakeSystemd, free_port

RESTARTED = [["daemon-reload"], ["restart", "ollama.service"]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "etc/systemd/system").mkdir(parents=True)
    return folder


@contextmanager
def started(
    root: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> Iterator[tuple[FakeSystemd, Facts]]:
    """Run the server as its unit says, a fake systemctl first on PATH."""
    port = free_port()
    unit = root / "etc/systemd/system/ollama.service"
    unit.write_text(f'{UNIT}Environment="OLLAMA_HOST=127.0.0.1:{port}"\n')
    with FakeSystemd(root, root.parent, *arguments) as systemd:
        monkeypatch.setenv("PATH", f"{systemd.bin}:{os.environ['PATH']}")
        for command in RESTARTED:
            assert systemd.do(command) == ""
        systemd.asked.clear()
        yield systemd, facts(url=f"http://127.0.0.1:{port}")


def context_of(url: str) -> int:
    """Load a model and return the context that the server gives it."""
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
        model = client.get("/api/tags").json()["models"][0]["name"]
        client.post("/api/chat", json={"model": model, "messages": []}).raise_for_status()
        reply: dict[str, Any] = client.get("/api/ps").json()
        length: int = reply["models"][0]["context_length"]
        return length


def logged(systemd: FakeSystemd) -> str:
    """Return the configuration that the server logged last."""
    lines = systemd.log.read_text().splitlines()
    return [line for line in lines if 'msg="server config"' in line][-1]


def test_what_is_applied_is_in_force_and_taken_back_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(root, monkeypatch) as (systemd, known):
        before = tree(root)
        done = apply(plan_change(known, SETTINGS, root=root), wait_s=30)
        assert done.outcome == "applied", done
        assert systemd.asked == RESTARTED
        assert context_of(known.ollama.url) == 8192
        assert "OLLAMA_NUM_PARALLEL:4 " in logged(systemd)
        again = apply(plan_change(known, SETTINGS, root=root), wait_s=30)
        assert (again.outcome, systemd.asked) == ("unchanged", RESTARTED)
        undone = revert(plan_revert(known, root=root), wait_s=30)
        assert undone.outcome == "reverted"
        assert undone.well
        assert tree(root) == before
        assert context_of(known.ollama.url) != 8192
        assert "OLLAMA_NUM_PARALLEL:4 " not in logged(systemd)


def test_a_server_that_does_not_start_with_it_runs_again_without_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(root, monkeypatch, "--refuse", "OLLAMA_NUM_PARALLEL=4") as (systemd, known):
        before = tree(root)

        def well() -> bool:
            """Tell at once that a server has ended, and wait for one that starts."""
            assert systemd.process is not None
            if "OLLAMA_NUM_PARALLEL" in systemd.loaded:
                assert systemd.process.wait(timeout=30) == 1
                return False
            return comes_up(known.ollama.url, None, 30)

        done = apply(plan_change(known, SETTINGS, root=root), health=well, wait_s=0)
        assert (done.outcome, done.well) == ("rolled_back", True)
        assert "is not well at http://127.0.0.1" in done.sentences[0]
        assert tree(root) == before
        assert systemd.asked == RESTARTED * 2
        assert answers(known.ollama.url)
        assert "OLLAMA_NUM_PARALLEL:4 " not in logged(systemd)


def test_what_systemctl_says_is_passed_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(root, monkeypatch) as (systemd, known):
        before = tree(root)
        systemd.broken = "Failed to restart ollama.service: Unit has a bad unit file setting."
        done = apply(plan_change(known, SETTINGS, root=root), wait_s=0)
        assert (done.outcome, done.well) == ("rolled_back", False)
        assert "bad unit file setting" in done.sentences[0]
        assert tree(root) == before


def test_what_does_not_speak_as_ollama_is_not_well() -> None:
    with docker_daemon() as (address, _):
        assert not answers(address.replace("tcp://", "http://"))
    for url in ("http://127.0.0.1:1", "no url", "http://", ""):
        assert not answers(url)
