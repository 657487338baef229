"""`embedded://` with real servers and processes: sharing, leaving, races."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aegis_llm.stores import embedded_guard as guard
from aegis_llm.stores.embedded_files import FileLock
from tests.stores.embedded_home import (
    Home,
    call,
    ended,
    folder_of,
    is_alive,
    is_free,
    leave,
    needs_server,
    new_home,
    pid_of,
    says,
    until,
)

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

CHILDREN = """
import os, sys
from aegis_llm.stores.embedded import EmbeddedRedis
server = EmbeddedRedis(sys.argv[1])
print(server.ensure(), flush=True)
try:
    os.waitpid(-1, os.WNOHANG)
    print("some", flush=True)
except ChildProcessError:
    print("none", flush=True)
sys.stdin.read()
"""

FORK = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's threads, Python 3.12 and later
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


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with new_home(monkeypatch) as home:
        yield home


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
    processes = [home.run(CHURN, "embedded://", "15") for _ in range(4)]
    written = 0
    for process in processes:
        output, complaints = process.communicate()
        assert (process.returncode, complaints) == (0, "")
        written += len(output)
    url = home.server().ensure()
    assert int(call(url, "GET", "writes")) == written >= 60


@needs_server
@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="no list of waiting processes here")
def test_who_joins_while_the_guard_is_about_to_stop_keeps_the_server(home: Home) -> None:
    user, url = home.user()
    folder, server = folder_of(url), pid_of(url)
    inode = f":{(folder / guard.START).stat().st_ino} "

    def waits() -> bool:
        lines = Path("/proc/locks").read_text().splitlines()
        return any("->" in line and inode in line for line in lines)

    with closing(FileLock(folder / guard.USERS)) as users:
        with closing(FileLock(folder / guard.START)) as start:
            assert start.take(shared=False, deadline=0)
            leave(user)
            until(waits, "the guard, which saw the last user leave, wants the start lock")
            assert users.take(shared=True, deadline=0)
        assert home.server().ensure() == url
    assert pid_of(url) == server


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
    user = home.run(CHILDREN, "embedded://")
    url, children = says(user), says(user)
    assert children == "none"
    # Ctrl-C goes to the terminal's session: neither the server nor its guard is in it.
    record = (folder_of(url) / guard.GUARD).read_text().splitlines()
    for pid in (pid_of(url), int(record[0])):
        assert os.getsid(pid) != os.getsid(0)
    leave(user)
