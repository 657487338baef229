"""Reads and writes the one file, so that at any moment it is whole: the old one or the new."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aegis_llm.errors import ChangeError

_LARGEST = 1 << 20
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Content:
    """A file: its text, mode and owner."""

    text: str
    mode: int = _MODE
    owner: tuple[int, int] | None = None


def read(path: Path) -> Content | None:
    """Return a file; None: there is nothing.

    Raises:
        ChangeError: It is no plain file of text, or may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.EMLINK):
            msg = f"{path} is a symbolic link, so it was not written here; remove it first"
            raise ChangeError(msg) from exc
        raise trouble("read", path, exc) from exc
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            msg = f"{path} is no plain file, so it was not written here; remove it first"
            raise ChangeError(msg)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            msg = f"{path} is larger than 1 MiB, so it was not written here; remove it first"
            raise ChangeError(msg)
        mode = stat.S_IMODE(found.st_mode)
        return Content(data.decode(), mode, (found.st_uid, found.st_gid))
    except UnicodeDecodeError as exc:
        msg = f"{path} is no text in UTF-8, so it was not written here; remove it first"
        raise ChangeError(msg) from exc
    finally:
        os.close(descriptor)


def write(path: Path, content: Content) -> None:
    """Write a file whole or not at all; it survives a power cut.

    Raises:
        OSError: It was not possible; the old file is untouched.
    """
    beside = temporary(path)
    remove(beside)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(beside, flags, 0o600)
    try:
        try:
            data = content.text.encode()
            while data:
                data = data[os.write(descriptor, data) :]
            made = os.fstat(descriptor)
            if content.owner not in (None, (made.st_uid, made.st_gid)):
                os.fchown(descriptor, *content.owner)
            os.fchmod(descriptor, content.mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)  # noqa: PTH105 - beside the other calls of os, as they are
    except BaseException:
        with suppress(OSError):
            remove(beside)
        raise
    settle(path.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - beside the other calls of os, as they are


def settle(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where its file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary(path: Path) -> Path:
    """Return where the new text of a file is written first; no service reads such a name."""
    return path.with_name(f".{path.name.lstrip('.')}.tmp")


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that there is."""
    return next((one for one in (folder, *folder.parents) if one.is_dir()), folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep out others who change something there; no file is left behind.

    Raises:
        ChangeError: Another one is at it.
    """
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise trouble("read", folder, exc) from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            msg = f"another one changes the configuration in {folder} just now; wait until it ends"
            raise ChangeError(msg) from exc
        yield
    finally:
        os.close(descriptor)


def trouble(what: str, path: Path, exc: OSError) -> ChangeError:
    """Return the sentence for an error of the operating system."""
    if exc.errno in (errno.EACCES, errno.EPERM):
        why = "permission is denied; run it again as root (sudo) or as the user of the service"
    elif exc.errno == errno.EROFS:
        why = (
            "its file system is read-only; where the system is made from a description (NixOS,"
            " an image), set the variables there"
        )
    elif exc.errno in (errno.ENOSPC, errno.EDQUOT):
        why = "the disk is full; make room and run it again"
    else:
        why = exc.strerror or type(exc).__name__
    return ChangeError(f"{path} cannot be {_PAST[what]}: {why}")


_PAST = {"read": "read", "write": "written", "remove": "removed"}
