"""What a person sees of a change: plain lines that can be copied, and an exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_llm.bootstrap.applying import Applied
from aegis_llm.bootstrap.applying.change import Outcome
from aegis_llm.cli_bootstrap.changes import show_applied, show_change, status
from aegis_llm.cli_bootstrap.exits import FAILED, OK, ROLLED_BACK
from tests.bootstrap.machine import SETTINGS, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_change_is_shown_as_a_diff_with_who_else_sets_it(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.drop_in("override.conf", "Environment=OLLAMA_NUM_PARALLEL=1")
    show_change(machine.plan())
    said = capsys.readouterr().out
    assert said.startswith(f"{machine.ours} will be written (service ollama.service):\n")
    assert '\n+Environment="OLLAMA_NUM_PARALLEL=4"\n' in said
    assert "\nWarning: OLLAMA_NUM_PARALLEL=1 in " in said
    machine.apply()
    show_change(machine.plan())
    assert f"{machine.ours} stays as it is.\n" in capsys.readouterr().out


def test_steps_by_hand_are_numbered_and_their_text_can_be_copied(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    change = machine.plan({**SETTINGS, "A": "[red]x[/red] " + "y" * 200}, installed="kubernetes")
    show_change(change)
    said = capsys.readouterr().out
    assert said.startswith("Ollama is run by kubernetes: no file here sets its environment.")
    assert "\n  2. kubectl patch deployment ollama --patch-file ollama-env.yaml\n" in said
    assert change.after is not None
    assert said.endswith(f"\n\n{change.after}")


@pytest.mark.parametrize(
    ("outcome", "well", "expected"),
    [
        ("applied", True, OK),
        ("unchanged", True, OK),
        ("written", True, OK),
        ("reverted", True, OK),
        ("reverted", False, FAILED),
        ("rolled_back", True, ROLLED_BACK),
        ("rolled_back", False, ROLLED_BACK),
    ],
)
def test_what_was_done_is_said_and_has_its_exit_status(
    capsys: pytest.CaptureFixture[str], outcome: Outcome, well: bool, expected: int
) -> None:
    done = Applied(outcome=outcome, well=well, sentences=("It is so.",), steps=("do this",))
    show_applied(done)
    assert capsys.readouterr().out == "It is so.\n  1. do this\n"
    assert status(done) == expected


def test_what_a_person_has_to_do_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    done = Applied(outcome="by_hand", steps=("do this",))
    show_applied(done)
    assert capsys.readouterr().out == "Nothing was done here; the steps above are yours.\n"
    assert status(done) == FAILED


def test_where_nothing_is_known_no_way_is_named(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    show_change(machine.plan(installed=None))
    said = capsys.readouterr().out
    assert said.startswith("It is not known how Ollama is run here, so no file is written.")
    assert "by hand" not in said
