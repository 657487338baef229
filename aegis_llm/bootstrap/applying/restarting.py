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
from aegis_llm.config import safe_url
from aegis_llm.errors import AegisError

Health = Callable[[], bool]
_STOP_S = 180.0
"""How long a restart may take: systemd gives a service 90 s to stop."""
_POLL_S = 0.1
_ASK_S = 2.0
_SYSTEM_FOLDERS = ("/bin", "/usr/bin", "/sbin", "/usr/sbin")


def why_not_restarted(change: Change, wanted: bool, run: Run | None) -> str | None:
    """Return why no restart is made here; None: it is made."""
    if not wanted:
        return "no restart was asked for"
    if change.scope == "launchd":
        return "what runs in your session is restarted by you"
    if run is not None:
        return None
    found = shutil.which("systemctl")
    if found is None:
        return "there is no systemctl here"
    here = change.root == "/"
    if not here and str(Path(found).parent) in _SYSTEM_FOLDERS:
        return f"the systemctl here manages this machine, not what lies below {change.root}"
    if here and not Path("/run/systemd/system").is_dir():
        return "systemd does not run here"
    return None


def restarted(change: Change, health: Health | None, wait_s: float, run: Run | None) -> str | None:
    """Restart the service and wait for its server; return what went wrong."""
    run = run or partial(run_command, timeout_s=_STOP_S)
    try:
        for command in change.commands:
            run(command)
    except CommandError as exc:
        return f"{change.unit} could not be restarted: {exc}."
    if not comes_up(change.url, health, wait_s):
        where = safe_url(change.url)
        return f"{change.unit} was restarted and is not well at {where} after {wait_s:g} s."
    return None


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
        if not time.monotonic() < ends:  # also where it is no number
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
