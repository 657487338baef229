"""Makes a change and takes it back: the journal first, then the file, then the restart.

Whoever is killed in between leaves a journal that says so. The next one, apply or revert, first
makes the file what it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from aegis_llm.bootstrap.applying.change import Applied, Change
from aegis_llm.bootstrap.applying.files import Content, existing, locked, read, trouble, write
from aegis_llm.bootstrap.applying.journal import Entry, Journal, put_back
from aegis_llm.bootstrap.applying.restarting import (
    CommandError,
    Health,
    Run,
    carry_out,
    comes_up,
    left_to_a_person,
)
from aegis_llm.bootstrap.rendering import is_ours
from aegis_llm.config import safe_url
from aegis_llm.errors import ChangeError

_FOLDER_MODE = 0o755


def apply(
    change: Change,
    *,
    restart: bool = True,
    health: Health | None = None,
    wait_s: float = 60.0,
    run: Run | None = None,
) -> Applied:
    """Make a change; when the server does not come up with it, take it back.

    Args:
        change: From `plan_change`.
        restart: Whether to restart the service, where that can be done here.
        health: Whether the server is well; None: it answers `/api/version`.
        wait_s: Seconds that it may take to come up.
        run: Runs a command; None: the program that PATH finds.

    Raises:
        ChangeError: It could not be made; everything is as it was.
    """
    if change.path is None:
        return Applied(outcome="by_hand", steps=change.steps)
    path = Path(change.path)
    with _alone(change, path) as journal:
        undone = _undo_unfinished(path, journal)
        now = _now(path)
        if (now.text if now else None) != change.before:
            msg = f"{path} has changed since the plan was made; look at the new plan first"
            raise ChangeError(msg)
        if not change.changes and not undone:
            said = f"{path} says this already; nothing was written and nothing restarted."
            return Applied(outcome="unchanged", path=change.path, sentences=(said,))
        if change.changes:
            _make(path, journal, now, change)
        why_not = _why_not(change, restart, run)
        failed = None if why_not is not None else _restarted(change, health, wait_s, run)
        if failed is None and change.changes:
            failed = _confirmed(journal)
        if failed is None and why_not is not None:
            return _left(change, "written", why_not)
        if failed is None:
            said = f"{path} is written, {change.unit} runs and answers at {safe_url(change.url)}."
            return Applied(outcome="applied", path=change.path, sentences=(said,))
        if not change.changes:
            msg = f"{failed} A change that had been cut off is undone"
            raise ChangeError(msg)
        put_back(path, journal.entries[-1])
        again = None if why_not is not None else _restarted(change, health, wait_s, run)
        journal.forget()
        return _rolled_back(change, failed, again)


def revert(
    change: Change,
    *,
    restart: bool = True,
    health: Health | None = None,
    wait_s: float = 60.0,
    run: Run | None = None,
) -> Applied:
    """Take the last change back, byte for byte, whether it was finished or cut off.

    Args:
        change: From `plan_revert`.
        restart: Whether to restart the service, where that can be done here.
        health: Whether the server is well; None: it answers `/api/version`.
        wait_s: Seconds that it may take to come up.
        run: Runs a command; None: the program that PATH finds.

    Raises:
        ChangeError: It could not be taken back, or the file was edited since.
    """
    if change.path is None:
        return Applied(outcome="by_hand", steps=change.steps)
    path = Path(change.path)
    with _alone(change, path) as journal:
        now = _now(path)
        if journal.last is None and now is None:
            said = f"There is nothing to take back: {path} is not there."
            return Applied(outcome="nothing", path=change.path, sentences=(said,))
        if now is None and not journal.unfinished:
            _forget_all(path, journal)
            said = f"{path} is gone already; what was noted of it is forgotten."
            return Applied(outcome="nothing", path=change.path, sentences=(said,))
        if journal.last is None:
            journal.begin(now, None)
            _remove(path, journal)
        else:
            journal.mark("begun")
            put_back(path, journal.entries[-1])
        why_not = _why_not(change, restart, run)
        failed = None if why_not is not None else _restarted(change, health, wait_s, run)
        journal.forget()
        if why_not is not None:
            return _left(change, "removed" if _now(path) is None else "written", why_not)
        sentences = [f"{path} is as it was before."]
        if failed is not None:
            sentences.append(f"But {failed} Its log may tell why.")
        return Applied(outcome="reverted", path=change.path, sentences=tuple(sentences),
                       well=failed is None)  # fmt: skip


@contextmanager
def _alone(change: Change, path: Path) -> Iterator[Journal]:
    """Keep others out, and turn what the operating system says into a sentence."""
    anchor = _anchor(change, path)
    try:
        with locked(anchor):
            journal = Journal(path, change.unit or "", Path(change.root))
            journal.clean()
            yield journal
    except OSError as exc:
        where = Path(exc.filename) if isinstance(exc.filename, str) else path
        raise trouble("write", where, exc) from exc


def _anchor(change: Change, path: Path) -> Path:
    """Return a folder above the file that a change neither makes nor removes."""
    if change.scope == "system":
        return existing(path.parents[1])
    return existing(Path(change.root) / str(Path.home()).lstrip("/"))


def _undo_unfinished(path: Path, journal: Journal) -> bool:
    if not journal.unfinished:
        return False
    put_back(path, journal.entries[-1])
    journal.forget()
    return True


def _now(path: Path) -> Content | None:
    found = read(path)
    if found is not None and not is_ours(found.text):
        msg = f"{path} was not written by aegis-llm and is left as it is"
        raise ChangeError(msg)
    return found


def _make(path: Path, journal: Journal, now: Content | None, change: Change) -> None:
    """Write the file; on an error of the operating system everything is as before."""
    journal.begin(now, change.after)
    try:
        _folders(path.parent)
        if change.after is not None:
            write(path, Content(change.after))
    except OSError:
        with suppress(OSError):
            put_back(path, journal.entries[-1])
            journal.forget()
        raise


def _folders(folder: Path) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        os.mkdir(one, _FOLDER_MODE)  # noqa: PTH102 - beside the other calls of os, as they are
        one.chmod(_FOLDER_MODE)  # whatever the umask of root is: a dry run needs no root


def _remove(path: Path, journal: Journal) -> None:
    last = journal.entries[-1]
    put_back(path, Entry(state="begun", before=None, after=last.before))


def _forget_all(path: Path, journal: Journal) -> None:
    first = journal.entries[0]
    put_back(path, Entry(state="begun", before=None, after=first.after, made=first.made))
    while journal.last is not None:
        journal.forget()


def _why_not(change: Change, wanted: bool, run: Run | None) -> str | None:
    if not wanted:
        return "no restart was asked for"
    if run is not None and change.scope != "launchd":
        return None
    return left_to_a_person(change)


def _restarted(
    change: Change, health: Health | None, wait_s: float, run: Run | None
) -> str | None:
    """Restart and wait; return what went wrong."""
    try:
        carry_out(change, run)
    except CommandError as exc:
        return f"{change.unit} could not be restarted: {exc}."
    if not comes_up(change.url, health, wait_s):
        where = safe_url(change.url)
        return f"{change.unit} was restarted and is not well at {where} after {wait_s:g} s."
    return None


def _confirmed(journal: Journal) -> str | None:
    """Note that the change is done; return why that is not possible."""
    try:
        journal.mark("done")
    except OSError as exc:
        return f"{trouble('write', journal.path, exc)}."
    return None


def _rolled_back(change: Change, failed: str, again: str | None) -> Applied:
    sentences = (
        failed,
        f"{change.path} is as it was before.",
        f"But with its old settings too: {again}" if again else "The old settings are in force.",
    )
    return Applied(outcome="rolled_back", path=change.path, sentences=sentences,
                   steps=change.steps if again else (), well=again is None)  # fmt: skip


def _left(change: Change, outcome: Literal["written", "removed"], why: str) -> Applied:
    said = f"{change.path} is {outcome}; {why}, so do the rest by hand."
    return Applied(outcome=outcome, path=change.path, sentences=(said,), steps=change.steps)
