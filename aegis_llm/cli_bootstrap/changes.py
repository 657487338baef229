"""Shows a change of the server's configuration before and after it is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.text import Text

from aegis_llm.bootstrap.applying import Applied, Change
from aegis_llm.cli_bootstrap.exits import FAILED, OK, ROLLED_BACK
from aegis_llm.cli_parts import aside, console

_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_HEADS = {"launchd": "agent", "system": "service", "user": "user service"}


def show_change(change: Change) -> None:
    """Show what would be changed: the diff, who else sets the same, and how it takes effect."""
    if change.path is None:
        _say(_by_hand(change))
        _numbered(change.steps)
        if change.after:
            _say("")
            _say(change.after.rstrip("\n"))
    elif change.changes:
        verb = "removed" if change.after is None else "written"
        _say(f"{change.path} will be {verb} ({_HEADS[change.scope or 'system']} {change.unit}):")
        for line in change.diff.splitlines():
            _say(line, _STYLES.get(line[:1], ""))
    else:
        _say(f"{change.path} stays as it is.")
    if change.unfinished:
        _say("A change was cut off before; it is undone first.", "yellow")
    for warning in change.warnings:
        _say(f"Warning: {warning}", "yellow")
    for note in change.notes:
        _say(f"Note: {note}")
    if change.needs_root:
        _say("It needs root: run it again with sudo.", "yellow")


def show_applied(applied: Applied) -> None:
    """Show what was done, and what is left to do."""
    style = "red" if status(applied) != OK else ""
    for sentence in applied.sentences:
        _say(sentence, style)
    if applied.outcome == "by_hand":
        _say("Nothing was done here; the steps above are yours.", style)
    else:
        _numbered(applied.steps)


@contextmanager
def interruptible(change: Change) -> Iterator[None]:
    """Say how things stand when Ctrl-C ends a change."""
    try:
        yield
    except KeyboardInterrupt:
        said = (
            f"Interrupted: {change.path} and the server may have the new settings or the old ones."
            " Run it with --revert now: that takes back what was begun, and restarts the server."
        )
        aside.print(said, style="red", markup=False, highlight=False, soft_wrap=True)
        raise


def status(applied: Applied) -> int:
    """Return the exit status for an outcome."""
    if applied.outcome == "rolled_back":
        return ROLLED_BACK
    return OK if applied.well and applied.outcome != "by_hand" else FAILED


def _by_hand(change: Change) -> str:
    if change.way is None:
        return "It is not known how Ollama is run here, so no file is written. What to do:"
    way = "started by hand" if change.way == "manual" else f"run by {change.way}"
    return f"Ollama is {way}: no file here sets its environment. What to do:"


def _numbered(steps: tuple[str, ...]) -> None:
    for number, step in enumerate(steps, 1):
        _say(f"  {number}. {step}")


def _say(text: str, style: str = "") -> None:
    """Print as it is: no markup, and no break in what a person copies."""
    console.print(Text(text, style), soft_wrap=True, highlight=False)
