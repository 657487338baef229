"""What would be changed, and what was. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from aegis_llm.bootstrap.facts import Way
from aegis_llm.bootstrap.rendering import Form
from aegis_llm.config import safe_url
from aegis_llm.errors import ConfigError

Scope = Literal["system", "user", "launchd"]
Command = tuple[str, ...]
Outcome = Literal[
    "applied", "unchanged", "written", "rolled_back", "reverted", "removed", "nothing", "by_hand"
]
_SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What `apply` or `revert` would do; fields are added, never renamed, while `v` stays 1.

    Attributes:
        way: How Ollama was installed.
        form: Of the text `after`.
        path: The one file that is written; None: a person does `steps` with `after`.
        root: Below which it lies.
        scope: Whose service it belongs to.
        unit: The service.
        before: The text of the file now; None: there is none.
        after: Its text then; None: it is removed.
        diff: Unified; empty when the file stays as it is.
        changes: Whether the file is written or removed. Other comments alone are no change.
        commands: They make it take effect.
        steps: What a person has to do, in order; for a file that is written: the restart, when
            it is not done here.
        needs_root: Whether the rights of the one who asks do not suffice.
        unfinished: Whether an earlier one was cut off; it is undone first.
        warnings: What keeps a setting from taking effect.
        notes: What is worth knowing.
        url: Where the server answers.
    """

    v: Literal[1] = 1
    way: Way | None
    form: Form
    path: str | None = None
    root: str = "/"
    scope: Scope | None = None
    unit: str | None = None
    before: str | None = None
    after: str | None = None
    diff: str = ""
    changes: bool = False
    commands: tuple[Command, ...] = ()
    steps: tuple[str, ...] = ()
    needs_root: bool = False
    unfinished: bool = False
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    url: str = ""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What was done.

    Attributes:
        outcome: `applied` and `reverted`: the server answers with it; `written` and `removed`:
            the file is so, the restart is left to a person; `rolled_back`: the server did not
            come up, the file is as before; `unchanged` and `nothing`: there was nothing to do;
            `by_hand`: no file here can do it.
        path: The file.
        sentences: What happened, in order.
        steps: What is left to do by hand.
        well: False: the server does not answer with the settings that it has now.
    """

    v: Literal[1] = 1
    outcome: Outcome
    path: str | None = None
    sentences: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    well: bool = True


def difference(before: str | None, after: str | None, path: str) -> str:
    """Return a unified diff, in which /dev/null stands for a file that is not there."""
    return "".join(
        difflib.unified_diff(
            (before or "").splitlines(keepends=True),
            (after or "").splitlines(keepends=True),
            "/dev/null" if before is None else path,
            "/dev/null" if after is None else path,
        )
    )


def without_secrets(environment: Mapping[str, str]) -> None:
    """Refuse what must not stand in a file that everyone may read.

    Raises:
        ConfigError: A variable is named like a secret or holds a URL with a password.
    """
    for name, value in environment.items():
        if _SECRET.search(name) or re.search(r"//[^/@\s]*:[^/@\s]*@", value):
            msg = (
                f"{name} looks like a secret"
                + (f" ({safe_url(value)})" if "//" in value else "")
                + ", and everyone may read the configuration of a service; set it by hand"
            )
            raise ConfigError(msg)
