"""Folders, socket paths and file locks of `embedded://`: private to the user, safe over fork."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path

SOCKET_BYTES = 100
"""Longest socket path used; the system's limit is 108 bytes on Linux and 104 on macOS."""


def cache_folder() -> Path:
    """Return the folder for this package in the user's cache folder; nothing is created.

    Raises:
        OSError: The user has no home folder.
    """
    try:
        home = Path.home()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "aegis-llm"
    # The XDG specification wants relative paths ignored.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else home / ".cache") / "aegis-llm"


def make_private(folder: Path, *, repair: bool = True) -> None:
    """Create a folder that only this user can enter, or check that it is one.

    Args:
        folder: The folder; missing parents are created.
        repair: Close an own folder that is open to others; False refuses it, as somebody may
            have put something into it.

    Raises:
        PermissionError: It is a link or no folder, belongs to somebody else, or is open to others.
        OSError: It cannot be created.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        msg = f"{folder} is not a folder of this user"
        raise PermissionError(msg)
    if stat.S_IMODE(found.st_mode) != 0o700:
        if not repair and found.st_mode & 0o077:
            msg = f"{folder} is open to other users; delete it"
            raise PermissionError(msg)
        folder.chmod(0o700)


def socket_path(folder: Path) -> Path:
    """Return a socket path that is short enough: in the folder, else in a private temporary one.

    Raises:
        OSError: The temporary folder cannot be made, or is not this user's alone.
    """
    inside = folder / "redis.sock"
    # Only a printable path can be written into a URL.
    if len(os.fsencode(inside)) <= SOCKET_BYTES and str(inside).isprintable():
        return inside
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    shared = short_temporary_folder()
    mode = shared.stat().st_mode
    if mode & 0o022 and not mode & stat.S_ISVTX:
        msg = f"{shared} lets anybody replace the folders of others; set TMPDIR"
        raise PermissionError(msg)
    private = shared / f"aegis-llm-{os.geteuid()}"
    make_private(private, repair=False)
    return private / f"{name}.sock"


def short_temporary_folder() -> Path:
    """Return the system's temporary folder, or /tmp where that is too long for a socket."""
    usual = tempfile.gettempdir()
    return Path(usual if len(os.fsencode(usual)) <= SOCKET_BYTES - 40 else "/tmp")  # noqa: S108


class FileLock:
    """A flock on an open file; given up by `close`, by the end of the process, and by fork.

    A forked child shares the parent's open file, so it would hold the parent's lock past the
    parent's end. Its copies are closed at once, which leaves the parent's lock in place.
    """

    def __init__(self, path: Path) -> None:
        with _forking:
            self.handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _open_locks.add(self)

    @property
    def closed(self) -> bool:
        """Whether it was closed, here or by a fork."""
        return self.handle < 0

    def take(self, *, shared: bool, deadline: float) -> bool:
        """Take the lock, trying until the deadline (monotonic seconds), at least once."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        pause = 0.0005
        while True:
            try:
                fcntl.flock(self.handle, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(pause)
                pause = min(pause * 2, 0.005)
            else:
                return True

    def close(self) -> None:
        """Give up the lock, for good."""
        with _forking:
            _open_locks.discard(self)
            handle, self.handle = self.handle, -1
            if handle >= 0:
                os.close(handle)


_forking = threading.RLock()
"""Held over a fork, so that no lock file is opened unseen by `_close_in_child`."""
_open_locks: set[FileLock] = set()


def _close_in_child() -> None:
    _forking.release()
    for lock in list(_open_locks):
        lock.close()


os.register_at_fork(
    before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_close_in_child
)
