"""Finds the one file that sets Ollama's environment on this machine, and what else sets it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aegis_llm.bootstrap.applying.change import Scope
from aegis_llm.bootstrap.applying.files import trouble
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.bootstrap.rendering import launchd, systemd
from aegis_llm.errors import ChangeError

_ETC = "/etc/systemd/system"
_SYSTEM = (
    _ETC, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
    "/lib/systemd/system",
)  # fmt: skip
"""The strongest first."""
_USER = (
    "/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user", "/lib/systemd/user",
)  # fmt: skip
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.service")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the variables are set.

    Attributes:
        path: The file that is ours.
        unit: The service; for launchd the label of the agent.
        others: Unit and drop-ins of others, in the order in which systemd reads them; ours
            would stand where its name sorts it.
    """

    path: Path
    scope: Scope
    unit: str
    others: tuple[Path, ...] = ()


def place_of(facts: Facts, root: Path) -> Place | None:
    """Return the place; None: Ollama is run in a way that no file here configures.

    Raises:
        ChangeError: There is no such unit, or it is one that cannot be changed.
    """
    if facts.ollama.installed in ("systemd", "snap"):
        return _unit_place(facts, root)
    if facts.ollama.installed == "macos-app":
        home = _below(root, str(Path.home()))
        path = home / "Library" / "LaunchAgents" / launchd.FILE_NAME
        _check_folder(path.parent)
        return Place(path, "launchd", launchd.LABEL)
    return None


def env_files(paths: tuple[Path, ...], root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that `EnvironmentFile=` names, with their texts; ours is none of them."""
    named: list[str] = []
    for path in paths:
        for key, value in systemd.service_lines(text_of(path) or ""):
            if key == "EnvironmentFile":
                named = [*named, value.lstrip("-")] if value else []
    for one in named:
        for path in _matching(root, one) if one.startswith("/") else ():
            text = text_of(path)
            if text is not None:
                yield path, text


def _matching(root: Path, pattern: str) -> list[Path]:
    """Return the files that a name with wildcards means; as systemd, `**` is no more than `*`."""
    plain = re.sub(r"\*{2,}", "*", pattern).lstrip("/")
    return sorted(root.glob(plain)) if plain else []


def text_of(path: Path) -> str | None:
    """Return what stands in a file of someone else; None: it cannot be read."""
    return Tree(path.parent).text(path.name)


def _unit_place(facts: Facts, root: Path) -> Place:
    unit = facts.ollama.unit or _found_snap(facts, root) or "ollama.service"
    unit = unit if unit.endswith(".service") else f"{unit}.service"
    if not _UNIT.fullmatch(unit):
        msg = f"{unit!r} is no name of a systemd service"
        raise ChangeError(msg)
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    own = str(config / "systemd" / "user")
    user = (own, *_USER, str(home / ".local" / "share" / "systemd" / "user"))
    if any(re.search(r"/systemd/user/", file) for file in facts.ollama.files):
        searched: tuple[tuple[Scope, tuple[str, ...]], ...] = (("user", user),)
    else:
        searched = (("system", _SYSTEM), ("user", user))
    for scope, folders in searched:
        main = next((f for f in _named(root, folders, unit) if f.is_symlink() or f.exists()), None)
        if main is None:
            continue
        if main.is_symlink() and str(main.readlink()) == os.devnull:
            msg = f"{unit} is masked ({main}); `systemctl unmask {unit}` first"
            raise ChangeError(msg)
        folder = _below(root, folders[0]) / f"{unit}.d"
        _check_folder(folder)
        path = folder / systemd.FILE_NAME
        return Place(path, scope, unit, (main, *_drop_ins(root, folders, unit, path)))
    msg = (
        f"there is no unit {unit} below {root} (looked in {', '.join(_SYSTEM)} and {own});"
        " name the unit that runs Ollama, or set the variables where it is started"
    )
    raise ChangeError(msg)


def _drop_ins(root: Path, folders: tuple[str, ...], unit: str, ours: Path) -> list[Path]:
    """Return the drop-ins of others in the order of their names, wherever they lie.

    Of one name only the strongest counts: that of the nearest kind of folder, in /etc first.
    """
    found: dict[str, Path] = {}
    for kind in _kinds(unit):
        for folder in _named(root, folders, kind):
            try:
                paths = sorted(folder.glob("*.conf"))
            except OSError as exc:
                raise trouble("read", folder, exc) from exc
            for path in paths:
                found.setdefault(path.name, path)
    found.pop(ours.name, None)
    return [found[name] for name in sorted(found)]


def _kinds(unit: str) -> Iterator[str]:
    """Yield the names of the folders of drop-ins for a unit, its own first."""
    stem = unit.removesuffix(".service")
    yield f"{unit}.d"
    if "@" in stem:
        stem = stem.partition("@")[0]
        yield f"{stem}@.service.d"
    parts = stem.split("-")
    for end in range(len(parts) - 1, 0, -1):
        yield f"{'-'.join(parts[:end])}-.service.d"
    yield "service.d"


def _found_snap(facts: Facts, root: Path) -> str | None:
    if facts.ollama.installed != "snap":
        return None
    names = sorted(one.name for one in _below(root, _ETC).glob("snap.ollama.*.service"))
    return next((name for name in names if "listener" in name), names[0] if names else None)


def _named(root: Path, folders: tuple[str, ...], name: str) -> list[Path]:
    return [_below(root, folder) / name for folder in folders]


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _check_folder(folder: Path) -> None:
    """Refuse a folder that leads elsewhere."""
    if folder.is_symlink():
        msg = f"{folder} is a symbolic link to {folder.readlink()}, which is not followed"
        raise ChangeError(msg)
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is no folder, so no drop-in can be put there"
        raise ChangeError(msg)
