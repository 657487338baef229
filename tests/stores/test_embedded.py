"""`embedded://` with real servers and processes: sharing, leaving, crashes, hostile folders."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from aegis_llm.errors import ConfigError, StoreTrouble
from aegis_llm.stores import embedded_guard as guard
from aegis_llm.stores import embedded_server
from aegis_llm.stores.embedded import EmbeddedRedis, available, search_available
from aegis_llm.stores.embedded_files import make_private

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

CHURN = """
import random, sys
import redis
from aegis_llm.stores.embedded import EmbeddedRedis
for _ in range(int(sys.argv[2])):
    with EmbeddedRedis(sys.argv[1]) as server:
        for _ in range(random.randrange(1, 4)):
            with redis.Redis.from_url(server.ensure()) as client:
                client.incr("writes")
                print("+", end="", flush=True)
"""

FORK = """
import os, sys
import redis
from aegis_llm.stores.embedded import EmbeddedRedis
server = EmbeddedRedis(sys.argv[1])
server.ensure()
wake, woken = os.pipe()
if os.fork() == 0:
    os.close(woken)
    os.read(wake, 1)
    if sys.argv[2] == "uses":
        print(server.ensure(), flush=True)
        os.read(0, 1)
    os._exit(0)
os.close(wake)
print("forked", flush=True)
if sys.argv[2] == "ends":
    os.close(woken)
    os.wait()
    print("child ended", flush=True)
    sys.stdin.read()
elif sys.argv[2] == "uses":
    os.close(woken)
    print("parent ends", flush=True)
else:
    server.release()
    print("released", flush=True)
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


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    # Not tmp_path: its folder is so long that no socket would be in the data folder.
    root = Path(tempfile.mkdtemp(prefix="ae-", dir="/tmp"))
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    monkeypatch.setenv("TMPDIR", str(root))
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    home = Home(root)
    yield home
    home.close()


# --- sharing and leaving -------------------------------------------------------------------------


@needs_server
def test_processes_share_one_server_and_the_last_one_stops_it(home: Home) -> None:
    first, url = home.user()
    second, same = home.user()
    assert url == same
    server = pid_of(url)
    leave(first)
    third, _ = home.user()
    assert pid_of(url) == server
    leave(third)
    assert call(url, "SET", "k", "kept")
    folder = folder_of(url)
    leave(second)
    ended(folder)
    assert not is_alive(server)
    assert not (folder / "redis.sock").exists()
    assert call(home.server().ensure(), "GET", "k") == "kept"


@needs_server
def test_users_that_were_killed_count_as_gone(home: Home) -> None:
    first, url = home.user()
    second, _ = home.user()
    folder, server = folder_of(url), pid_of(url)
    call(url, "SET", "k", "kept")
    first.kill()
    second.kill()
    ended(folder)
    assert not is_alive(server)
    assert call(home.server().ensure(), "GET", "k") == "kept"


@needs_server
def test_release_and_ensure_again(home: Home) -> None:
    with home.server() as server:
        url = server.ensure()
        folder = folder_of(url)
        assert server.ensure() == url
    ended(folder)
    server.release()
    assert call(server.ensure(), "PING") is True


@needs_server
def test_many_threads_start_one_server(home: Home) -> None:
    servers = [home.server() for _ in range(4)] * 2
    urls: list[str] = []
    threads = [threading.Thread(target=lambda s=s: urls.append(s.ensure())) for s in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 8
    assert len(set(urls)) == 1


@needs_server
def test_no_write_is_lost_while_processes_come_and_go(home: Home) -> None:
    processes = [home.run(CHURN, "embedded://", "12") for _ in range(6)]
    written = 0
    for process in processes:
        output, complaints = process.communicate()
        assert (process.returncode, complaints) == (0, "")
        written += len(output)
    url = home.server().ensure()
    assert int(call(url, "GET", "writes")) == written >= 72


@needs_server
def test_a_forked_child_that_ends_does_not_release_its_parents_hold(home: Home) -> None:
    parent = home.run(FORK, "embedded://", "ends")
    assert says(parent) == "forked"
    assert says(parent) == "child ended"
    other, url = home.user()
    server, folder = pid_of(url), folder_of(url)
    leave(other)
    assert not is_free(folder / guard.USERS)
    assert pid_of(url) == server
    leave(parent)
    ended(folder)


@needs_server
def test_a_forked_child_that_does_not_use_the_server_does_not_keep_it(home: Home) -> None:
    parent = home.run(FORK, "embedded://", "sleeps")
    assert says(parent) == "forked"
    assert says(parent) == "released"
    (lock,) = home.root.rglob(guard.GUARD)
    ended(lock.parent)
    assert parent.poll() is None


@needs_server
def test_a_forked_child_can_become_a_user_that_outlives_its_parent(home: Home) -> None:
    parent = home.run(FORK, "embedded://", "uses")
    assert says(parent) == "forked"
    assert says(parent) == "parent ends"
    url = says(parent)
    assert call(url, "PING") is True
    leave(parent)


@needs_server
def test_nothing_is_left_to_the_user_process(home: Home) -> None:
    server = home.server()
    url = server.ensure()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    # Ctrl-C goes to the terminal's session: neither the server nor its guard is in it.
    record = (folder_of(url) / guard.GUARD).read_text().splitlines()
    for pid in (pid_of(url), int(record[0])):
        assert os.getsid(pid) != os.getsid(0)


# --- crashes -------------------------------------------------------------------------------------


@needs_server
def test_a_crashed_server_comes_back_with_its_snapshot(home: Home) -> None:
    server = home.server()
    url = server.ensure()
    call(url, "SET", "k", "kept")
    call(url, "SAVE")
    pid = pid_of(url)
    os.kill(pid, signal.SIGKILL)
    assert call(server.ensure(), "GET", "k") == "kept"
    assert pid_of(url) != pid


@needs_server
def test_a_killed_guard_leaves_no_server_without_one(home: Home) -> None:
    server = home.server()
    url = server.ensure()
    call(url, "SET", "k", "kept")
    folder = folder_of(url)
    os.kill(int((folder / guard.GUARD).read_text().split()[0]), signal.SIGKILL)
    until(lambda: is_free(folder / guard.GUARD), "the guard's end")
    other = home.server()
    assert call(other.ensure(), "GET", "k") == "kept"
    assert not is_free(folder / guard.GUARD)


@needs_server
@pytest.mark.parametrize("junk", [b"", b"not a snapshot", b"REDIS0012\xfa\x09redis-ver"])
def test_unreadable_data_is_moved_aside_with_one_warning(
    home: Home, caplog: pytest.LogCaptureFixture, junk: bytes
) -> None:
    server = home.server()
    folder = folder_of(server.ensure())
    server.release()
    ended(folder)
    (folder / guard.DATA).write_bytes(junk)
    with caplog.at_level(logging.WARNING, "aegis_llm"):
        assert call(server.ensure(), "DBSIZE") == 0
    (aside,) = folder.glob("dump.rdb.corrupt-*")
    assert aside.read_bytes() == junk
    assert [record.message for record in caplog.records if str(aside) in record.message]
    assert len(caplog.records) == 1


@needs_server
def test_a_deleted_socket_costs_no_data(home: Home) -> None:
    server = home.server()
    url = server.ensure()
    call(url, "SET", "k", "kept")
    (folder_of(url) / "redis.sock").unlink()
    assert call(server.ensure(), "GET", "k") == "kept"


@needs_server
def test_a_deleted_folder_costs_only_the_data(home: Home) -> None:
    server = home.server()
    url = server.ensure()
    old = pid_of(url)
    shutil.rmtree(home.root / "cache")
    assert call(server.ensure(), "DBSIZE") == 0
    assert pid_of(url) != old
    until(lambda: not is_alive(old), "the end of the server whose folder was deleted")
    # The end of the old server has not deleted the socket of the new one.
    assert call(url, "PING") is True


@needs_server
def test_a_hung_server_is_trouble_within_the_timeout(home: Home) -> None:
    server = home.server()
    url = server.ensure()
    pid = pid_of(url)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreTrouble, match="hangs") as caught:
            server.ensure(timeout=0.2)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert caught.value.reason == "embedded_unavailable"
    assert server.ensure() == url
    assert pid_of(url) == pid


@needs_server
def test_a_full_disk_is_trouble_and_not_a_wait(home: Home) -> None:
    server = home.server()
    folder = folder_of(server.ensure())
    server.release()
    ended(folder)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))" + USER
    process = home.run(limited, "embedded://")
    _, complaints = process.communicate()
    assert process.returncode == 1
    assert "StoreTrouble: embedded_unavailable: the server does not start" in complaints
    assert os.strerror(errno.EFBIG) in complaints


# --- folders -------------------------------------------------------------------------------------


@needs_server
def test_only_the_user_can_reach_the_server(home: Home) -> None:
    url = home.server().ensure()
    folder = folder_of(url)
    assert folder.is_relative_to(home.root / "cache" / "aegis-llm")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "redis.sock").stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    assert call(url, "CONFIG", "GET", "port") == {"port": "0"}
    with pytest.raises(redis.ResponseError, match="DEBUG command not allowed"):
        call(url, "DEBUG", "OBJECT", "k")


@needs_server
def test_an_open_folder_is_closed(home: Home) -> None:
    server = home.server()
    folder = folder_of(server.ensure())
    server.release()
    ended(folder)
    folder.chmod(0o777)
    server.ensure()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@needs_server
def test_a_long_folder_gets_a_short_socket(home: Home) -> None:
    long = home.root / ("x" * 90) / ("y" * 90)
    server = home.server(f"embedded://{long}")
    url = server.ensure()
    path = Path(url.removeprefix("unix://"))
    assert len(os.fsencode(path)) < 104
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    call(url, "SET", "k", "kept")
    folder = folder_of(url)
    assert folder.parent == long
    # A process with another temporary folder is told where the socket is.
    tempfile.tempdir = str(home.root / "elsewhere")
    Path(tempfile.tempdir).mkdir()
    assert call(home.server(f"embedded://{long}").ensure(), "GET", "k") == "kept"


@needs_server
@pytest.mark.parametrize("trap", ["link", "file", "open"])
def test_a_prepared_temporary_folder_is_refused(home: Home, trap: str) -> None:
    prepared, target = home.root / f"aegis-llm-{os.geteuid()}", home.root / "target"
    target.mkdir(mode=0o700)
    if trap == "link":
        prepared.symlink_to(target)
    elif trap == "file":
        prepared.touch(mode=0o700)
    else:
        prepared.mkdir()
        prepared.chmod(0o777)
    with pytest.raises(StoreTrouble, match="embedded_unavailable"):
        home.server(f"embedded://{home.root}/{'x' * 120}").ensure()
    assert not list(target.iterdir())


def test_a_folder_of_another_user_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home.root / "theirs"
    make_private(folder)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="not a folder of this user"):
        make_private(folder)


@needs_server
@pytest.mark.parametrize("name", ["two words", "ü 'q\" #1?", "100%25"])
def test_any_folder_name_works(home: Home, name: str) -> None:
    folder = home.root / name
    server = home.server("embedded://" + str(folder).translate(ESCAPES))
    assert folder_of(server.ensure()).parent == folder


ESCAPES = str.maketrans({"%": "%25", "#": "%23", "?": "%3F"})


@needs_server
def test_a_folder_that_cannot_be_made_is_trouble(home: Home) -> None:
    (home.root / "file").touch()
    with pytest.raises(StoreTrouble, match="Not a directory") as caught:
        home.server(f"embedded://{home.root}/file/folder").ensure()
    assert caught.value.reason == "embedded_unavailable"
    assert "cannot be written" in str(available(f"embedded://{home.root}/file/folder"))


@needs_server
def test_a_large_log_is_emptied_at_the_start(home: Home) -> None:
    server = home.server()
    folder = folder_of(server.ensure())
    server.release()
    ended(folder)
    (folder / guard.LOG).write_bytes(b"x" * (guard.LOG_BYTES + 1))
    server.ensure()
    assert (folder / guard.LOG).stat().st_size < guard.LOG_BYTES


# --- what is started -----------------------------------------------------------------------------


@needs_search
def test_the_query_engine_is_there_and_its_index_stays(home: Home) -> None:
    assert search_available()
    server = home.server()
    url = server.ensure()
    schema = "v VECTOR HNSW 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC COSINE"
    call(url, "FT.CREATE", "i", "ON", "HASH", "PREFIX", "1", "s:", "SCHEMA", *schema.split())
    folder = folder_of(url)
    server.release()
    ended(folder)
    assert call(server.ensure(), "FT._LIST") == ["i"]


@needs_search
def test_a_plain_server_has_a_folder_of_its_own(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_search = home.server()
    folder = folder_of(with_search.ensure())
    with_search.release()
    ended(folder)
    monkeypatch.setattr(embedded_server, "_module_sets", lambda _program: iter(()))
    assert not search_available()
    plain = home.server()
    url = plain.ensure()
    assert folder_of(url) != folder
    assert folder_of(url).parent == folder.parent
    with pytest.raises(redis.ResponseError, match="unknown command"):
        call(url, "FT._LIST")


@needs_server
def test_a_module_that_does_not_load_is_left_out(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = home.root / "redisearch.so"
    broken.write_bytes(b"\x7fELF broken")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded_server, "_module_sets", lambda _program: iter([(broken,)]))
    assert not search_available()
    assert call(home.server().ensure(), "PING") is True


@needs_search
def test_modules_installed_next_to_a_server_on_path_are_found(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = next(c for c in embedded_server.candidates() if c.modules)
    (home.root / "bin").mkdir()
    (home.root / "bin" / "redis-server").symlink_to(wheel.program)
    modules = home.root / "lib" / "redis" / "modules"
    modules.mkdir(parents=True)
    for module in wheel.modules:
        (modules / module.name).symlink_to(module)
    monkeypatch.setenv("PATH", str(home.root / "bin"))
    monkeypatch.setattr(embedded_server, "_wheel_folder", lambda _package: None)
    assert available() is None
    assert search_available()
    assert call(home.server().ensure(), "FT._LIST") == []


def test_without_a_program_the_sentence_says_what_to_install(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "_wheel_folder", lambda _package: None)
    monkeypatch.setenv("PATH", str(home.root))
    sentence = available()
    assert sentence is not None
    assert "aegis-llm[embedded]" in sentence
    with pytest.raises(StoreTrouble, match="PATH"):
        home.server().ensure()


def test_a_frozen_application_is_told_that_it_cannot(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "frozen" in str(available())
    with pytest.raises(StoreTrouble, match="frozen"):
        home.server().ensure()


@needs_server
def test_the_memory_limit_has_a_default_and_can_be_given(home: Home) -> None:
    first = home.server()
    url = first.ensure()
    limits = {"maxmemory": str(256 << 20), "maxmemory-policy": "volatile-lru"}
    for name, value in limits.items():
        assert call(url, "CONFIG", "GET", name) == {name: value}
    # A running server takes the limit of whoever asks for one.
    assert home.server("embedded://?maxmemory=64mb").ensure() == url
    assert call(url, "CONFIG", "GET", "maxmemory") == {"maxmemory": str(64 << 20)}
    assert home.server().ensure() == url
    assert call(url, "CONFIG", "GET", "maxmemory") == {"maxmemory": str(64 << 20)}


@pytest.mark.parametrize(
    "url",
    [
        "embedded://relative/folder",
        "embedded:///with%00nul",
        "embedded:///folder#fragment",
        "embedded://?maxmemory=1mb",
        "embedded://?maxmemory=0",
        "embedded://?maxmemory=much",
        "embedded://?maxmemory=",
        "embedded://?maxmemroy=64mb",
        "redis://localhost",
    ],
)
def test_a_wrong_url_is_an_error_at_construction(url: str) -> None:
    with pytest.raises(ConfigError):
        EmbeddedRedis(url)


def test_construction_does_no_io(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    for name in ("open", "mkdir", "stat", "listdir"):
        monkeypatch.setattr(os, name, None)
    monkeypatch.setattr(socket, "socket", None)
    EmbeddedRedis("embedded:///nowhere/at/all?maxmemory=64MB")
    monkeypatch.undo()
    assert not list(home.root.iterdir())
