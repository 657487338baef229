"""Start one embedded redis-server and stop it when its last user has left.

`embedded.py` runs this file as a script, once for each data folder. It must start fast and hold
little memory: standard library only, and not all of that (pathlib alone would double the time).
It outlives the process that started it. Four files in the folder are locked with flock, which
the kernel undoes when a process ends, however it ends:

    guard.lock  exclusive, by this process as long as it lives: one guard
    server.lock exclusive, by the server, which inherits it: never two servers on one folder,
                even if the guard of the first was killed
    users.lock  shared, by every process that uses the server
    start.lock  exclusive, by whoever changes the state: a process that joins or starts the
                server, and this one while it stops it. So nobody joins a server that is ending.
"""

# ruff: noqa: PTH104, PTH108, PTH110, PTH116, PTH123, PTH208
from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time

GUARD, SERVER, USERS, START = "guard.lock", "server.lock", "users.lock", "start.lock"
DATA, LOG = "dump.rdb", "redis.log"
LOG_BYTES = 1 << 20
STOP_SECONDS = 60.0
"""Longest wait for a server that saves its data at the end, before it is killed."""
FORMER_SECONDS = 3.0
"""Longest wait for the end of a server whose guard was killed, or of its last snapshot."""
_WATCHED = {signal.SIGCHLD, signal.SIGTERM}
_PR_SET_PDEATHSIG = 1


def connect(path: str, seconds: float) -> socket.socket | None:
    """Return a connection to a unix socket, or None when nobody listens there."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.settimeout(max(seconds, 0.001))
    try:
        control.connect(path)
    except OSError:
        control.close()
        return None
    return control


def ask(control: socket.socket, command: str) -> str:
    """Send a command and return the first line of the reply; empty: ended, or no answer."""
    reply = b""
    with contextlib.suppress(OSError):
        control.sendall(command.encode() + b"\r\n")
        while not reply.endswith(b"\n"):
            part = control.recv(4096)
            if not part:
                break
            reply += part
    return reply.decode(errors="replace").strip()


def main(folder: str, path: str, *command: str) -> None:
    """Leave the caller's process tree, then guard; one report goes to standard output."""
    os.umask(0o077)
    os.chdir(folder)
    if os.fork():
        os._exit(0)
    report = os.dup(1)
    try:
        _detach_streams()
        guard = os.open(GUARD, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(guard, 0)
        os.write(guard, os.fsencode(f"{os.getpid()}\n{os.uname().nodename}\n{path}\n"))
    except OSError as error:
        _tell(report, "busy" if isinstance(error, BlockingIOError) else str(error))
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    # Without a handler, which never runs, macOS drops this signal although it is waited for.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _guard(guard, report, path, command)


def _guard(guard: int, report: int, path: str, command: tuple[str, ...]) -> None:
    """Start the server, report, and stay until it ends or nobody uses it."""
    sole = os.open(SERVER, os.O_RDWR | os.O_CREAT, 0o600)
    if not _take(sole, time.monotonic() + FORMER_SECONDS):
        _tell(report, "an earlier server in this folder does not end")
        return
    log_start = os.stat(LOG).st_size
    moved = ""
    started = _start(path, command, sole)
    if isinstance(started, int) and _is_crash(started) and os.path.exists(DATA):
        moved = f"{DATA}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}"
        os.rename(DATA, moved)
        started = _start(path, command, sole)
        if isinstance(started, int):
            os.rename(moved, DATA)
    if isinstance(started, int):
        with open(LOG, errors="replace") as log:
            log.seek(log_start)
            _tell(report, log.read()[-600:])
        return
    _tell(report, f"ready\n{moved}")
    server, control = started
    users = os.open(USERS, os.O_RDWR | os.O_CREAT, 0o600)
    start = os.open(START, os.O_RDWR | os.O_CREAT, 0o600)
    threading.Thread(target=_wait_for_nobody, args=(users, start), daemon=True).start()
    while signal.sigwait(_WATCHED) == signal.SIGCHLD:
        if os.waitpid(server, os.WNOHANG)[0]:
            return
    _stop(server, control, is_same(guard, GUARD))


def _take(lock: int, deadline: float) -> bool:
    """Take an exclusive lock, trying until the deadline."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.001)
        else:
            return True


def _start(path: str, command: tuple[str, ...], sole: int) -> tuple[int, socket.socket] | int:
    """Start the server; return it with a connection once it answers, or its exit status."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    for name in os.listdir():
        if name.startswith("temp-") and name.endswith(".rdb"):
            os.unlink(name)
    server = _spawn(command, sole)
    while True:
        ended, status = os.waitpid(server, os.WNOHANG)
        if ended:
            return status
        control = connect(path, 1.0)
        if control is not None:
            reply = ask(control, "PING")
            if reply and not reply.startswith("-LOADING"):
                return server, control
            control.close()
        time.sleep(0.001)


def _spawn(command: tuple[str, ...], sole: int) -> int:
    """Start a child that inherits a lock, and is killed should this process be (Linux only)."""
    libc = None
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None)
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        os.set_inheritable(sole, True)
        if libc is not None:
            # Not SIGTERM: a server that cannot save would refuse to end.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _wait_for_nobody(users: int, start: int) -> None:
    """Block until no process uses the server and none can join, then raise SIGTERM."""
    while True:
        fcntl.flock(users, fcntl.LOCK_EX)
        # Given back at once: the lock that decides is taken under start.lock, below.
        fcntl.flock(users, fcntl.LOCK_UN)
        fcntl.flock(start, fcntl.LOCK_EX)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(start, fcntl.LOCK_UN)
            continue
        os.kill(os.getpid(), signal.SIGTERM)
        return


def _stop(server: int, control: socket.socket, in_place: bool) -> None:
    """Make the server save and end; kill it when it cannot save, hangs, or lost its folder."""
    if in_place:
        control.settimeout(STOP_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS
        if not shut_down(control) or time.monotonic() >= deadline:
            os.kill(server, signal.SIGKILL)
        else:
            # Changes nothing for an ending server; one that had cut this connection ends too.
            os.kill(server, signal.SIGTERM)
        while time.monotonic() < deadline:
            if os.waitpid(server, os.WNOHANG)[0]:
                return
            time.sleep(0.001)
    # A killed server deletes no socket: a newer one may listen at the same path.
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)


def shut_down(control: socket.socket) -> bool:
    """Ask a server to save and end; False when it refuses, which it does if it cannot save."""
    with control:
        return not ask(control, "SHUTDOWN")


def is_same(handle: int, path: str) -> bool:
    """Return whether an open file is still the one at the path (nobody emptied the folder)."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def _is_crash(status: int) -> bool:
    """Return whether a server ended by itself, and not because somebody ended it."""
    code = os.waitstatus_to_exitcode(status)
    return code not in {0, 127, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}


def _detach_streams() -> None:
    """Send output to the log (emptied when it has grown large): never to the user's terminal."""
    log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    if os.fstat(log).st_size > LOG_BYTES:
        os.ftruncate(log, 0)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(log)


def _tell(report: int, text: str) -> None:
    """Write the one report and close the pipe; the starter may be gone already."""
    with contextlib.suppress(OSError):
        os.write(report, text.encode())
    os.close(report)


if __name__ == "__main__":
    main(*sys.argv[1:])
