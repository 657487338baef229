"""A home folder for tests of `embedded://`, with the processes and servers started in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from aegis_llm.stores import embedded_guard as guard
from aegis_llm.stores import embedded_server
from aegis_llm.stores.embedded import EmbeddedRedis

needs_server = pytest.mark.skipif(not embedded_server.programs(), reason="no redis-server here")
needs_search = pytest.mark.skipif(
    not any(c.modules for c in embedded_server.candidates()), reason="no search module here"
)

USER = """
import sys
from aegis_llm.stores.embedded import EmbeddedRedis
server = EmbeddedRedis(sys.argv[1])
print(server.ensure(), flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait until a condition holds; fail after 10 seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.002)


def is_free(lock: Path) -> bool:
    """Whether nobody holds a flock on the file."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def call(url: str, *command: str) -> Any:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)


def pid_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def folder_of(url: str) -> Path:
    """The data folder of a server."""
    return Path(call(url, "CONFIG", "GET", "dir")["dir"])


def ended(folder: Path) -> None:
    """Wait until the server of a folder has ended, and its guard with it."""
    until(lambda: is_free(folder / guard.GUARD), "the guard's end")


class Home:
    """A user's home for one test; everything started in it has ended when the test is over."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes: list[subprocess.Popen[str]] = []
        self.servers: list[EmbeddedRedis] = []

    def server(self, url: str = "embedded://") -> EmbeddedRedis:
        """A server used by this process."""
        self.servers.append(EmbeddedRedis(url))
        return self.servers[-1]

    def run(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """A process of its own that runs a script."""
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.processes.append(process)
        return process

    def user(self) -> tuple[subprocess.Popen[str], str]:
        """A process that uses the server, and the URL it was given."""
        process = self.run(USER, "embedded://")
        return process, says(process)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        for server in self.servers:
            server.release()
        for lock in self.root.rglob(guard.GUARD):
            ended(lock.parent)
        shutil.rmtree(self.root)


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, process.communicate()[1]
    return line


def leave(process: subprocess.Popen[str]) -> None:
    """Let a user process end in good order; it has nothing to complain about."""
    _, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, "")


@contextlib.contextmanager
def new_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Give this process and its children a home; everything started in it ends with the test."""
    # Not tmp_path: its folder is so long that no socket would be in the data folder.
    root = Path(tempfile.mkdtemp(prefix="ae-", dir="/tmp"))
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    monkeypatch.setenv("TMPDIR", str(root))
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    home = Home(root)
    try:
        yield home
    finally:
        home.close()
