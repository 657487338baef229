"""A change is whole or not there; taken back, every byte and mode is as it was."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis_llm.bootstrap.applying import Change, apply, plan_revert, revert
from aegis_llm.bootstrap.applying.files import locked
from aegis_llm.bootstrap.rendering import parse
from aegis_llm.errors import ChangeError, ConfigError
from tests.bootstrap.machine import OTHERS, RELOAD, RESTART, SETTINGS, Machine, facts, tree


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_is_applied_is_written_and_restarted_and_taken_back_whole(machine: Machine) -> None:
    before = tree(machine.root)
    done = machine.apply()
    assert done.outcome == "applied"
    assert parse(machine.ours.read_text(), "systemd") == SETTINGS
    assert stat.S_IMODE(machine.ours.stat().st_mode) == 0o644
    assert machine.asked == [RELOAD, RESTART]
    assert machine.revert().outcome == "reverted"
    assert machine.asked == [RELOAD, RESTART] * 2
    assert tree(machine.root) == before


def test_changes_are_taken_back_one_by_one_with_their_modes(machine: Machine) -> None:
    machine.drop_in("override.conf", "Nice=1")
    trees = [tree(machine.root)]
    for environment in (SETTINGS, OTHERS, {"A": '"%\\'}):
        machine.apply(environment)
        machine.ours.chmod(0o600)
        trees.append({k: v for k, v in tree(machine.root).items() if ".json" not in k})
    for expected in reversed(trees[:-1]):
        assert machine.revert().outcome == "reverted"
        assert {k: v for k, v in tree(machine.root).items() if ".json" not in k} == expected
    assert tree(machine.root) == trees[0]
    assert machine.revert().outcome == "nothing"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_the_owner_is_put_back_too(machine: Machine) -> None:
    machine.apply()
    os.chown(machine.ours, 65534, 65534)
    before = tree(machine.root)[str(machine.ours.relative_to(machine.root))]
    machine.apply(OTHERS)
    machine.revert()
    assert tree(machine.root)[str(machine.ours.relative_to(machine.root))] == before


NAMES = st.sampled_from(["OLLAMA_NUM_PARALLEL", "OLLAMA_KEEP_ALIVE", "A", "B"])
VALUES = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=8)
STEPS = st.lists(st.one_of(st.just(None), st.dictionaries(NAMES, VALUES, min_size=1)), max_size=6)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_any_row_of_changes_can_be_taken_back(
    steps: list[dict[str, str] | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine = Machine(tmp_path_factory.mktemp("any"))
    before = tree(machine.root)
    seen: list[dict[str, str]] = []
    for step in steps:
        if step is None:
            machine.revert()
            seen = seen[:-1]
        elif machine.apply(step).outcome == "applied":
            seen.append(step)
        if seen:
            assert parse(machine.ours.read_text(), "systemd") == seen[-1]
        else:
            assert tree(machine.root) == before
    for _ in seen:
        machine.revert()
    assert tree(machine.root) == before


def test_applied_twice_nothing_is_written_and_nothing_restarted(machine: Machine) -> None:
    machine.apply()
    written = {path: path.stat().st_mtime_ns for path in machine.root.rglob("*")}
    machine.asked.clear()
    assert machine.apply().outcome == "unchanged"
    assert {path: path.stat().st_mtime_ns for path in machine.root.rglob("*")} == written
    assert machine.asked == []


def test_a_server_that_does_not_come_up_gets_its_old_settings_back(machine: Machine) -> None:
    before = tree(machine.root)
    done = machine.apply(well=False)
    assert done.outcome == "rolled_back"
    assert not done.well
    assert tree(machine.root) == before
    assert machine.asked == [RELOAD, RESTART] * 2
    machine.apply(SETTINGS)
    kept = tree(machine.root)
    assert machine.apply(OTHERS, well=False).outcome == "rolled_back"
    assert tree(machine.root) == kept


@pytest.mark.parametrize("command", ["daemon-reload", "restart"])
def test_a_unit_that_cannot_be_restarted_gets_its_old_settings_back(
    machine: Machine, command: str
) -> None:
    before = tree(machine.root)
    machine.broken.add(command)
    done = machine.apply()
    assert done.outcome == "rolled_back"
    assert f"systemctl failed: {command} is broken" in done.sentences[0]
    assert done.steps == ("systemctl daemon-reload", "systemctl restart ollama.service")
    assert tree(machine.root) == before


def test_without_a_restart_the_commands_are_said(machine: Machine) -> None:
    before = tree(machine.root)
    done = apply(machine.plan(), restart=False, run=machine.run)
    assert (done.outcome, machine.asked) == ("written", [])
    assert done.steps == ("systemctl daemon-reload", "systemctl restart ollama.service")
    undone = revert(plan_revert(facts(), root=machine.root), restart=False)
    assert undone.outcome == "removed"
    assert tree(machine.root) == before


def test_the_systemctl_of_this_machine_is_not_asked_for_another_root(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/systemctl")
    done = apply(machine.plan())
    assert done.outcome == "written"
    assert "manages this machine" in done.sentences[0]
    monkeypatch.setattr("shutil.which", lambda _: None)
    undone = revert(plan_revert(facts(), root=machine.root))
    assert "there is no systemctl here" in undone.sentences[0]


def test_a_plan_that_is_too_old_is_not_carried_out(machine: Machine) -> None:
    old = machine.plan(OTHERS)
    machine.apply()
    with pytest.raises(ChangeError, match="has changed since the plan"):
        apply(old, run=machine.run, health=lambda: True)
    back = plan_revert(facts(), root=machine.root)
    machine.apply(OTHERS)
    with pytest.raises(ChangeError, match="has changed since the plan"):
        revert(back, run=machine.run, health=lambda: True)
    assert parse(machine.ours.read_text(), "systemd") == OTHERS


def test_what_someone_added_to_our_file_is_not_lost(machine: Machine) -> None:
    machine.apply()
    edited = machine.ours.read_text() + 'Environment="MINE=1"\n'
    machine.ours.write_text(edited)
    with pytest.raises(ChangeError, match="was edited since"):
        machine.revert()
    assert machine.ours.read_text() == edited
    assert '-Environment="MINE=1"' in machine.plan().diff


def test_a_file_of_ours_without_a_journal_is_removed(machine: Machine) -> None:
    before = tree(machine.root)
    machine.apply()
    (journal,) = machine.root.rglob(".aegis-llm.*.json")
    journal.unlink()
    assert machine.revert().outcome == "reverted"
    machine.ours.parent.rmdir()
    assert tree(machine.root) == before


def test_a_file_that_is_gone_is_forgotten(machine: Machine) -> None:
    before = tree(machine.root)
    machine.apply()
    machine.apply(OTHERS)
    machine.ours.unlink()
    assert machine.revert().outcome == "nothing"
    assert tree(machine.root) == before


def test_a_file_of_someone_else_beside_ours_keeps_its_folder(machine: Machine) -> None:
    machine.apply()
    theirs = machine.drop_in("override.conf", "Nice=1")
    machine.revert()
    assert theirs.read_text() == "[Service]\nNice=1\n"
    assert not machine.ours.exists()


def test_an_unreadable_journal_is_a_sentence(machine: Machine) -> None:
    machine.apply()
    (journal,) = machine.root.rglob(".aegis-llm.*.json")
    for text in ("{", '{"v":2,"entries":[]}', "[]", ""):
        journal.write_text(text)
        with pytest.raises(ChangeError, match=r"journal .* is not readable"):
            machine.apply(OTHERS)


def test_two_at_once_one_is_kept_out(machine: Machine) -> None:
    change = machine.plan()
    before = tree(machine.root)
    with (
        locked(machine.root / "etc/systemd/system"),
        pytest.raises(ChangeError, match="another one changes the configuration"),
    ):
        apply(change, run=machine.run)
    assert tree(machine.root) == before
    assert machine.apply().outcome == "applied"


def test_of_many_at_once_one_is_done_and_the_others_are_told(machine: Machine) -> None:
    before = tree(machine.root)
    changes = [machine.plan({"OLLAMA_NUM_PARALLEL": str(number)}) for number in range(1, 9)]
    together = Barrier(len(changes))

    def act(change: Change) -> str:
        together.wait(10)
        try:
            return apply(change, run=machine.run, health=lambda: True).outcome
        except ChangeError as exc:
            return str(exc)

    with ThreadPoolExecutor(len(changes)) as pool:
        told = list(pool.map(act, changes))
    assert told.count("applied") == 1, told
    assert all("another one changes" in one or "has changed since" in one
               for one in told if one != "applied")  # fmt: skip
    assert machine.ours.read_text() == changes[told.index("applied")].after
    assert machine.asked == [RELOAD, RESTART]
    machine.revert()
    assert tree(machine.root) == before


CALLS = ("open", "write", "fsync", "replace", "mkdir", "fchmod")
CODES = {
    errno.ENOSPC: "the disk is full",
    errno.EROFS: "read-only",
    errno.EACCES: "run it again as root",
    errno.EIO: "Input/output error",
}


class Refusing:
    """Lets one call of the operating system fail, the nth of those that write."""

    def __init__(self, call: str, code: int, nth: int) -> None:
        self.code, self.left, self.call = code, nth, call
        self.original = getattr(os, call)

    def __call__(self, *given: Any) -> Any:
        if self.call != "open" or given[1] & os.O_CREAT:
            self.left -= 1
            if self.left == 0:
                raise OSError(self.code, os.strerror(self.code), "/the/file")
        return self.original(*given)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("already", [{}, OTHERS])
def test_what_the_system_refuses_leaves_nothing_half_written(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    already: dict[str, str],
    call: str,
    code: int,
) -> None:
    machine.apply(already)
    before = tree(machine.root)
    told: list[str] = []
    for nth in range(1, 20):
        with monkeypatch.context() as patched:
            refusing = Refusing(call, code, nth)
            patched.setattr(os, call, refusing)
            try:
                done = machine.apply()
            except ChangeError as exc:
                told.append(str(exc))
            else:
                told += done.sentences[:1]
        if refusing.left > 0 or done_in_spite(machine):
            break
        assert tree(machine.root) == before, (nth, told)
        assert CODES[code] in told[-1]
    assert parse(machine.ours.read_text(), "systemd") == SETTINGS
    machine.revert()
    assert tree(machine.root) == before
    assert len(told) > 1 or (call, bool(already)) == ("mkdir", True)


def done_in_spite(machine: Machine) -> bool:
    """Whether the change is made: a folder that cannot be synced is no reason not to."""
    return machine.ours.exists() and parse(machine.ours.read_text(), "systemd") == SETTINGS


def test_who_may_not_write_is_told_to_come_as_root() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        machine = Machine(Path(folder))
        change = machine.plan()
        closed = machine.root / "etc/systemd/system"
        closed.chmod(0o555)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        else:
            assert machine.plan().needs_root
        try:
            with pytest.raises(ChangeError, match="permission is denied; run it again as root"):
                apply(change, run=machine.run)
        finally:
            os.seteuid(was)
            closed.chmod(0o755)
    assert machine.asked == []


def test_a_secret_never_reaches_the_journal(machine: Machine) -> None:
    with pytest.raises(ConfigError):
        machine.apply({"OLLAMA_API_KEY": "hunter2"})
    assert list(machine.root.rglob(".aegis-llm.*")) == []
