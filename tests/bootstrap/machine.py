"""A machine below a folder: a unit of Ollama, drop-ins of others, a systemctl that only notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aegis_llm.bootstrap.applying import Applied, Change, apply, plan_change, plan_revert, revert
from aegis_llm.bootstrap.facts import Facts, Ollama
from aegis_llm.bootstrap.probing.commands import CommandError

UNIT = "[Service]\nExecStart=/usr/local/bin/ollama serve\nUser=ollama\n"
SETTINGS = {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "8192"}
OTHERS = {"OLLAMA_NUM_PARALLEL": "2", "OLLAMA_CONTEXT_LENGTH": "4096", "OLLAMA_MAX_QUEUE": "64"}
RELOAD, RESTART = ("systemctl", "daemon-reload"), ("systemctl", "restart", "ollama.service")


@dataclass
class Machine:
    """A tree with `ollama.service`, and what was asked of its systemctl."""

    root: Path
    asked: list[tuple[str, ...]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.add("etc/systemd/system/ollama.service", UNIT)

    @property
    def ours(self) -> Path:
        return self.root / "etc/systemd/system/ollama.service.d/90-aegis-llm.conf"

    def add(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def drop_in(self, name: str, text: str, folder: str = "etc") -> Path:
        return self.add(f"{folder}/systemd/system/ollama.service.d/{name}", f"[Service]\n{text}\n")

    def run(self, argv: Sequence[str]) -> str:
        """Note a command of systemctl; it fails where it is told to."""
        self.asked.append(tuple(argv))
        if argv[1] in self.broken:
            raise CommandError(f"systemctl failed: {argv[1]} is broken")
        return ""

    def plan(self, environment: Mapping[str, str] = SETTINGS, **ollama: Any) -> Change:
        return plan_change(facts(**ollama), environment, root=self.root)

    def apply(self, environment: Mapping[str, str] = SETTINGS, *, well: bool = True) -> Applied:
        return apply(self.plan(environment), run=self.run, health=lambda: well, wait_s=0)

    def revert(self) -> Applied:
        change = plan_revert(facts(), root=self.root)
        return revert(change, run=self.run, health=lambda: True, wait_s=0)


def facts(**ollama: Any) -> Facts:
    """Return facts of a machine whose Ollama is a systemd service, unless said otherwise."""
    return Facts(os="linux", ollama=Ollama(**{"installed": "systemd", **ollama}))


def tree(root: Path) -> dict[str, tuple[Any, ...]]:
    """Return all that is below a folder: names, kinds, modes, owners, bytes."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        found[str(path.relative_to(root))] = (
            oct(status.st_mode), status.st_uid, status.st_gid, content,
        )  # fmt: skip
    return found
