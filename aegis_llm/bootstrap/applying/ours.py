"""Our one file and its journal, while nobody else is at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aegis_llm.bootstrap.applying.change import Change
from aegis_llm.bootstrap.applying.files import (
    Content,
    existing,
    locked,
    read,
    remove,
    trouble,
    write,
)
from aegis_llm.bootstrap.applying.journal import Entry, Journal, put_back
from aegis_llm.bootstrap.rendering import is_ours
from aegis_llm.errors import ChangeError

_FOLDER_MODE = 0o755


def read_ours(path: Path) -> Content | None:
    """Return our file; None: it is not there.

    Raises:
        ChangeError: Someone else has written it.
    """
    found = read(path)
    if found is not None and not is_ours(found.text):
        msg = (
            f"{path} was not written by aegis-llm and is left as it is; give it another name or"
            " remove it"
        )
        raise ChangeError(msg)
    return found


@contextmanager
def alone(change: Change, path: Path) -> Iterator[Journal]:
    """Keep others out, and turn what the operating system says into a sentence.

    Raises:
        ChangeError: Another one is at it, or something cannot be written.
    """
    try:
        with locked(_anchor(change, path)):
            journal = Journal(path, change.unit or "", Path(change.root))
            journal.clean()
            yield journal
    except OSError as exc:
        where = Path(exc.filename) if isinstance(exc.filename, str) else path
        raise trouble("write", where, exc) from exc


def check_plan(path: Path, change: Change) -> Content | None:
    """Return our file, if it is as it was when the plan was made.

    Raises:
        ChangeError: It is not.
    """
    now = read_ours(path)
    if (now.text if now else None) != change.before:
        msg = f"{path} has changed since the plan was made; look at the new plan first"
        raise ChangeError(msg)
    return now


def undo_unfinished(path: Path, journal: Journal) -> bool:
    """Make the file what it was before a change that was cut off; return whether one was."""
    if not journal.unfinished:
        return False
    put_back(path, journal.entries[-1])
    journal.forget()
    return True


def make(path: Path, journal: Journal, now: Content | None, change: Change) -> None:
    """Write or remove the file; on an error of the operating system everything is as before."""
    journal.begin(now, change.after)
    try:
        if change.after is None:
            remove(path)
        else:
            _folders(path.parent)
            write(path, Content(change.after))
    except OSError:
        with suppress(OSError):
            put_back(path, journal.entries[-1])
            journal.forget()
        raise


def forget_all(path: Path, journal: Journal) -> None:
    """Drop what is noted of a file that someone has removed, and the folders made for it."""
    first = journal.entries[0]
    put_back(path, Entry(state="begun", before=None, after=first.after, made=first.made))
    while journal.last is not None:
        journal.forget()


def _anchor(change: Change, path: Path) -> Path:
    """Return a folder above the file that a change neither makes nor removes."""
    if change.scope == "system":
        return existing(path.parents[1])
    return existing(Path(change.root) / str(Path.home()).lstrip("/"))


def _folders(folder: Path) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        os.mkdir(one, _FOLDER_MODE)  # noqa: PTH102 - beside the other calls of os, as they are
        one.chmod(_FOLDER_MODE)  # whatever the umask of root is: a dry run needs no root
