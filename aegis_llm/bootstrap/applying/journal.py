"""What was there before: written first, so that a change that is cut off can be undone.

It lies in the nearest folder above the file that was there already, so that it needs no folder
of its own; when all is taken back, it goes too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from aegis_llm.bootstrap.applying.files import (
    Content,
    existing,
    read,
    remove,
    settle,
    temporary,
    write,
)
from aegis_llm.bootstrap.rendering.page import MARK
from aegis_llm.errors import ChangeError


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change.

    Attributes:
        state: `begun`: it is not known whether the server runs with it.
        before: The text before; None: there was no file.
        made: How many folders above the file were made for it.
    """

    state: Literal["begun", "done"]
    before: str | None
    mode: int = 0o644
    owner: tuple[int, int] | None = None
    after: str | None
    made: int = 0

    @property
    def content(self) -> Content | None:
        """Return the file as it was."""
        return None if self.before is None else Content(self.before, self.mode, self.owner)


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: Literal[1] = 1
    mark: str = MARK
    entries: tuple[Entry, ...]


class Journal:
    """The changes of one file that can be taken back, the newest last.

    Args:
        path: The file.
        name: Its service; others have journals of their own.
        root: No journal lies above it.
    """

    def __init__(self, path: Path, name: str, root: Path) -> None:
        self._target = path
        self._root = root
        self._name = f".aegis-llm.{name}.json"
        self.entries: tuple[Entry, ...] = ()
        self.path = existing(path.parent) / self._name
        for place in self._places():
            found = read(place)
            if found is not None:
                self.path, self.entries = place, _entries(place, found.text)
                break

    @property
    def last(self) -> Entry | None:
        """Return the newest change."""
        return self.entries[-1] if self.entries else None

    @property
    def unfinished(self) -> bool:
        """Return whether the newest change was cut off."""
        return self.last is not None and self.last.state == "begun"

    def begin(self, before: Content | None, after: str | None) -> None:
        """Note what will be done, before anything is."""
        above = self._target.parents
        made = above.index(existing(self._target.parent))
        entry = Entry(state="begun", before=before.text if before else None,
                      mode=before.mode if before else 0o644,
                      owner=before.owner if before else None, after=after, made=made)  # fmt: skip
        self._keep((*self.entries, entry))

    def mark(self, state: Literal["begun", "done"]) -> None:
        """Note how far the newest change is."""
        *others, last = self.entries
        self._keep((*others, msgspec.structs.replace(last, state=state)))

    def forget(self) -> None:
        """Drop the newest change; with the last of them the journal goes."""
        self._keep(self.entries[:-1])

    def clean(self) -> None:
        """Remove temporary files that a killed process has left."""
        for path in (self._target, *self._places()):
            left = temporary(path)
            if os.path.lexists(left):  # else a read-only folder above would refuse
                remove(left)

    def _keep(self, entries: tuple[Entry, ...]) -> None:
        if entries:
            text = msgspec.json.format(msgspec.json.encode(_Written(entries=entries)), indent=1)
            write(self.path, Content(text.decode() + "\n"))
        else:
            remove(self.path)
            settle(self.path.parent)
        self.entries = entries

    def _places(self) -> list[Path]:
        above = (one for one in self._target.parents if one.is_relative_to(self._root))
        return [folder / self._name for folder in above]


def check_unedited(path: Path, text: str | None, entry: Entry) -> None:
    """Refuse to lose what someone else has written into our file.

    Raises:
        ChangeError: It holds neither the old nor the new text.
    """
    if text not in (entry.before, entry.after, None):
        msg = (
            f"{path} was edited since it was written here; move what you added to a file of"
            " another name, delete this one, and run it again"
        )
        raise ChangeError(msg)


def put_back(path: Path, entry: Entry) -> None:
    """Make the file what it was before a change, the folders too.

    Raises:
        ChangeError: Someone else has written it since.
        OSError: It was not possible.
    """
    now = read(path)
    text = now.text if now else None
    check_unedited(path, text, entry)
    if entry.content is not None:
        if now != entry.content:
            write(path, entry.content)
    elif text is not None:
        remove(path)
        settle(path.parent)
    for folder in list(path.parents)[: entry.made]:
        try:
            os.rmdir(folder)  # noqa: PTH106 - beside the other calls of os, as they are
        except FileNotFoundError:
            continue
        except OSError:
            break


def _entries(path: Path, text: str) -> tuple[Entry, ...]:
    try:
        found = msgspec.json.decode(text, type=_Written)
    except msgspec.DecodeError as exc:
        msg = f"the journal {path} is not readable ({exc}); look at it and remove it"
        raise ChangeError(msg) from exc
    return found.entries
