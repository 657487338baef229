"""Makes a change and takes it back: the journal first, then the file, then the restart.

Whoever is killed in between leaves a journal that says so. The next one, apply or revert, first
makes the file what it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from aegis_llm.bootstrap.applying.change import Applied, Change
from aegis_llm.bootstrap.applying.files import trouble
from aegis_llm.bootstrap.applying.journal import Journal, put_back
from aegis_llm.bootstrap.applying.ours import (
    alone,
    check_plan,
    forget_all,
    make,
    read_ours,
    undo_unfinished,
)
from aegis_llm.bootstrap.applying.restarting import Health, restarted, why_not_restarted
from aegis_llm.bootstrap.probing.commands import Run
from aegis_llm.config import safe_url
from aegis_llm.errors import ChangeError


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
    with alone(change, path) as journal:
        undone = undo_unfinished(path, journal)
        now = check_plan(path, change)
        if not change.changes and not undone:
            said = f"{path} says this already; nothing was written and nothing restarted."
            return Applied(outcome="unchanged", path=change.path, sentences=(said,))
        if change.changes:
            make(path, journal, now, change)
        left = why_not_restarted(change, restart, run)
        failed = None if left is not None else restarted(change, health, wait_s, run)
        if failed is None and change.changes:
            failed = _confirmed(journal)
        if failed is None and left is not None:
            return _left(change, "written", left)
        if failed is None:
            said = f"{path} is written, {change.unit} runs and answers at {safe_url(change.url)}."
            return Applied(outcome="applied", path=change.path, sentences=(said,))
        if not change.changes:
            msg = f"{failed} A change that had been cut off is undone"
            raise ChangeError(msg)
        put_back(path, journal.entries[-1])
        again = None if left is not None else restarted(change, health, wait_s, run)
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
    with alone(change, path) as journal:
        now = check_plan(path, change)
        if journal.last is None and now is None:
            said = f"There is nothing to take back: {path} is not there."
            return Applied(outcome="nothing", path=change.path, sentences=(said,))
        if now is None and not journal.unfinished:
            forget_all(path, journal)
            said = f"{path} is gone already; what was noted of it is forgotten."
            return Applied(outcome="nothing", path=change.path, sentences=(said,))
        if journal.last is None:
            make(path, journal, now, change)
        else:
            journal.mark("begun")
            put_back(path, journal.entries[-1])
        left = why_not_restarted(change, restart, run)
        failed = None if left is not None else restarted(change, health, wait_s, run)
        journal.forget()
        if left is not None:
            return _left(change, "removed" if read_ours(path) is None else "written", left)
        sentences = [f"{path} is as it was before."]
        if failed is not None:
            sentences.append(f"But {failed} Its log may tell why.")
        return Applied(outcome="reverted", path=change.path, sentences=tuple(sentences),
                       well=failed is None)  # fmt: skip


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
