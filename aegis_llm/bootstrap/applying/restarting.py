"""Restarts the service and waits until the server answers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx

from aegis_llm.bootstrap.applying.change import Change
from aegis_llm.bootstrap.probing.commands import CommandError, Run, run_command
from aegis_llm.errors import AegisError

Health = Callable[[], bool]
_STOP_S = 180.0
"""How long a restart may take: systemd gives a service 90 s to stop."""
_POLL_S = 0.1
_ASK_S = 2.0
_SYSTEM_FOLDERS = ("/bin", "/usr/bin", "/sbin", "/usr/sbin")


def left_to_a_person(change: Change) -> str | None:
    """Return why no restart is made here; None: it is made."""
    if change.scope == "launchd":
        return "what runs in your session is restarted by you"
    found = shutil.which("systemctl")
    if found is None:
        return "there is no systemctl here"
    here = change.root == "/"
    if not here and str(Path(found).parent) in _SYSTEM_FOLDERS:
        return f"the systemctl here manages this machine, not what lies below {change.root}"
    if here and not Path("/run/systemd/system").is_dir():
        return "systemd does not run here"
    return None


def carry_out(change: Change, run: Run | None) -> None:
    """Run the commands that make a change take effect.

    Raises:
        CommandError: One of them failed.
    """
    run = run or partial(run_command, timeout_s=_STOP_S)
    for command in change.commands:
        run(command)


def comes_up(url: str, health: Health | None, wait_s: float) -> bool:
    """Wait until the server is healthy, `wait_s` seconds at most; return whether it is.

    A health check that raises an error of this package says no.
    """
    asked = health or partial(answers, url)
    ends = time.monotonic() + wait_s
    while True:
        with suppress(AegisError):
            if asked():
                return True
        if time.monotonic() >= ends:
            return False
        time.sleep(_POLL_S)


def answers(url: str) -> bool:
    """Return whether an Ollama answers `/api/version` there."""
    try:
        with httpx.Client(trust_env=False, timeout=_ASK_S) as client:
            reply = client.get(f"{url.rstrip('/')}/api/version")
            return reply.status_code == httpx.codes.OK and "version" in reply.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
        return False


__all__ = ["CommandError", "Health", "Run", "answers", "carry_out", "comes_up", "left_to_a_person"]
