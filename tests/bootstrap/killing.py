"""Kills a change before each call that writes, and looks at what the next one makes of it.

A program of its own, for it forks: `python -m tests.bootstrap.killing FOLDER`. It prints how
many points were tried for each kind of change.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aegis_llm.bootstrap.applying import plan_change, plan_revert
from aegis_llm.bootstrap.rendering import parse
from tests.bootstrap.machine import OTHERS, SETTINGS, Machine, facts, tree

CALLS = ("open", "write", "fsync", "fchmod", "fchown", "replace", "mkdir", "unlink", "rmdir")
Tree = dict[str, tuple[Any, ...]]


class Deadly:
    """Lets this process die before the nth call; half of a write is made before it."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def step(self) -> bool:
        self.left -= 1
        return self.left == 0

    def call(self, name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def called(*given: Any, **named: Any) -> Any:
            if (name != "open" or given[1] & os.O_CREAT) and self.step():
                if name == "write":
                    original(given[0], given[1][: len(given[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*given, **named)

        return called

    def run(self, argv: Sequence[str]) -> str:
        if self.step():
            os.kill(os.getpid(), signal.SIGKILL)
        return argv[0]


class Doomed(Machine):
    """A machine whose process dies at a point."""

    def doom(self, nth: int) -> None:
        deadly = Deadly(nth)
        for name in CALLS:
            setattr(os, name, deadly.call(name))
        self.run = deadly.run  # type: ignore[method-assign]  # this process has one machine


def killed(root: Path, nth: int, act: Callable[[Machine], Any]) -> bool:
    """Do it in a process that dies at the nth call; return whether it died."""
    child = os.fork()
    if not child:
        machine = Doomed(root)
        machine.doom(nth)
        act(machine)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status != 0


def prepared(root: Path, done: Sequence[dict[str, str]]) -> list[Tree]:
    """Make a machine on which some changes were made, and return what it was before each."""
    machine = Machine(root)
    trees = [tree(root)]
    for environment in done:
        machine.apply(environment)
        trees.append(tree(root))
    return trees


def check(root: Path, trees: list[Tree], allowed: list[dict[str, str] | None]) -> None:
    """Look at what a killed process has left, and take it all back in two ways."""
    ours = Machine(root).ours
    now = parse(ours.read_text(), "systemd") if ours.exists() else None
    assert now in allowed, now
    journals = list(root.rglob(".aegis-llm.*.json"))
    assert now is not None or not journals or plan_revert(facts(), root=root).unfinished
    for again in (False, True):
        copy = root.with_name("copy")
        shutil.copytree(root, copy)
        machine = Machine(copy)
        if again:
            machine.apply({"AGAIN": "1"})
            assert parse(machine.ours.read_text(), "systemd") == {"AGAIN": "1"}
            assert not plan_change(facts(), {"AGAIN": "1"}, root=copy).unfinished
        elif plan_revert(facts(), root=copy).unfinished:
            machine.revert()
            assert tree(copy) in trees, "not as it was before the change that was cut off"
        while machine.revert().outcome != "nothing":
            pass
        assert tree(copy) == trees[0], (again, set(tree(copy)) ^ set(trees[0]))
        shutil.rmtree(copy)


KINDS: dict[str, tuple[list[dict[str, str]], Callable[[Machine], Any]]] = {
    "first apply": ([], lambda machine: machine.apply(SETTINGS)),
    "second apply": ([OTHERS], lambda machine: machine.apply(SETTINGS)),
    "rolled back": ([OTHERS], lambda machine: machine.apply(SETTINGS, well=False)),
    "first revert": ([OTHERS], lambda machine: machine.revert()),
    "second revert": ([OTHERS, SETTINGS], lambda machine: machine.revert()),
}


def main(folder: Path) -> None:
    """Try every point of every kind of change."""
    os.fsync = lambda _: None  # a process that dies takes nothing with it that was written
    tried: dict[str, int] = {}
    for kind, (done, act) in KINDS.items():
        trees = prepared(folder / "made", done)
        for nth in range(1, 100):
            root = folder / "root"
            shutil.copytree(folder / "made", root)
            died = killed(root, nth, act)
            check(root, trees, [None, OTHERS, SETTINGS])
            shutil.rmtree(root)
            if not died:
                tried[kind] = nth - 1
                break
        shutil.rmtree(folder / "made")
    json.dump(tried, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
