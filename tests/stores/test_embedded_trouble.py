"""`embedded://` after crashes, with deleted files, a full disk and hostile folders."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from aegis_llm.errors import StoreTrouble
from aegis_llm.stores import embedded_guard as guard
from aegis_llm.stores import embedded_server
from aegis_llm.stores.embedded import available
from aegis_llm.stores.embedded_files import FileLock, make_private
from aegis_llm.stores.embedded_options import server_command
from tests.stores.embedded_home import (
    USER,
    Home,
    call,
    ended,
    folder_of,
    is_alive,
    is_free,
    needs_server,
    new_home,
    pid_of,
    until,
)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with new_home(monkeypatch) as home:
        yield home


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
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does this on Linux only")
def test_a_server_does_not_outlive_its_guard(home: Home) -> None:
    url = home.server().ensure()
    call(url, "SET", "k", "kept")
    call(url, "SAVE")
    folder, server = folder_of(url), pid_of(url)
    os.kill(int((folder / guard.GUARD).read_text().split()[0]), signal.SIGKILL)
    until(lambda: not is_alive(server), "the server's end")
    assert call(home.server().ensure(), "GET", "k") == "kept"


@needs_server
def test_a_server_without_a_guard_is_replaced_by_one_with(home: Home) -> None:
    server = home.server()
    url = server.ensure()
    folder = folder_of(url)
    server.release()
    ended(folder)
    chosen = embedded_server.choose(5)
    assert chosen is not None
    command = server_command(*chosen, folder, url.removeprefix("unix://"), None)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as orphan:
        until((folder / "redis.sock").exists, "the orphan's socket")
        call(url, "SET", "k", "kept")
        assert call(server.ensure(), "GET", "k") == "kept"
        assert orphan.wait() == 0
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
@pytest.mark.parametrize("what", ["folder", "content"])
def test_a_deleted_folder_costs_only_the_data(home: Home, what: str) -> None:
    server = home.server()
    url = server.ensure()
    call(url, "SET", "k", "lost")
    folder, old = folder_of(url), pid_of(url)
    if what == "folder":
        shutil.rmtree(home.root / "cache")
    else:
        for file in folder.iterdir():
            file.unlink()
    assert call(server.ensure(), "DBSIZE") == 0
    assert pid_of(url) != old
    until(lambda: not is_alive(old), "the end of the server whose folder was deleted")
    # The end of the old server has deleted neither socket nor data of the new one.
    assert call(url, "PING") is True
    assert not (folder / guard.DATA).exists()


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


@needs_server
def test_a_temporary_folder_that_was_replaced_is_refused(home: Home) -> None:
    server = home.server(f"embedded://{home.root}/{'x' * 120}")
    private = Path(server.ensure().removeprefix("unix://")).parent
    private.rename(home.root / "moved")
    private.symlink_to(home.root / "moved")
    with pytest.raises(StoreTrouble, match="not a folder of this user"):
        server.ensure()


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


@needs_server
def test_a_server_starts_only_when_the_one_before_has_ended(home: Home) -> None:
    server = home.server()
    folder = folder_of(server.ensure())
    server.release()
    ended(folder)
    with closing(FileLock(folder / guard.SERVER)) as former:
        assert former.take(shared=False, deadline=0)
        with pytest.raises(StoreTrouble, match="loading its data, or hangs"):
            server.ensure(timeout=0.2)
    assert call(server.ensure(), "PING") is True
