"""What would be changed: the right place, who else sets the same, and nothing touched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aegis_llm.bootstrap.applying import Change, apply, plan_change, revert
from aegis_llm.bootstrap.applying.planning import plan_revert
from aegis_llm.bootstrap.facts import Way
from aegis_llm.bootstrap.rendering import parse
from aegis_llm.errors import ChangeError, ConfigError
from tests.bootstrap.machine import OTHERS, RELOAD, RESTART, SETTINGS, UNIT, Machine, facts, tree


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def home(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = machine.root / "home/ann"
    folder.mkdir(parents=True)
    return folder


def test_a_plan_touches_nothing_and_says_all(machine: Machine) -> None:
    before = tree(machine.root)
    change = plan_change(facts(), SETTINGS, root=machine.root,
                         reasons={"OLLAMA_NUM_PARALLEL": "Four at once."})  # fmt: skip
    assert tree(machine.root) == before
    assert change.path == str(machine.ours)
    assert (change.scope, change.unit, change.before) == ("system", "ollama.service", None)
    assert change.commands == (RELOAD, RESTART)
    assert change.steps == ("systemctl daemon-reload", "systemctl restart ollama.service")
    assert change.after is not None
    assert parse(change.after, "systemd") == SETTINGS
    lines = change.diff.splitlines()
    assert lines[:2] == ["--- /dev/null", f"+++ {machine.ours}"]
    assert "+# Four at once." in lines
    assert '+Environment="OLLAMA_NUM_PARALLEL=4"' in lines


def test_what_is_so_already_is_no_change_whatever_its_comments_say(machine: Machine) -> None:
    machine.apply()
    change = plan_change(facts(), dict(reversed(SETTINGS.items())), root=machine.root,
                         reasons={"OLLAMA_NUM_PARALLEL": "Another reason."})  # fmt: skip
    assert not change.changes
    assert change.diff == ""
    again = machine.plan(OTHERS)
    assert '-Environment="OLLAMA_NUM_PARALLEL=4"' in again.diff
    assert '+Environment="OLLAMA_NUM_PARALLEL=2"' in again.diff


def test_the_unit_may_have_another_name_and_lie_elsewhere(machine: Machine) -> None:
    machine.add("usr/lib/systemd/system/llm@a.service", UNIT)
    change = machine.plan(unit="llm@a")
    assert change.path == str(
        machine.root / "etc/systemd/system/llm@a.service.d/90-aegis-llm.conf"
    )
    assert change.commands[1] == ("systemctl", "restart", "llm@a.service")


def test_a_snap_is_found_and_its_own_settings_are_spoken_of(machine: Machine) -> None:
    machine.add("etc/systemd/system/snap.ollama.listener.service", UNIT)
    change = machine.plan(installed="snap")
    assert change.unit == "snap.ollama.listener.service"
    assert any("snap get ollama" in note for note in change.notes)


def test_a_user_unit_is_configured_for_the_user(machine: Machine, home: Path) -> None:
    (machine.root / "etc/systemd/system/ollama.service").unlink()
    unit = machine.add("home/ann/.config/systemd/user/ollama.service", UNIT)
    change = machine.plan()
    assert change.scope == "user"
    assert change.path == str(unit.parent / "ollama.service.d/90-aegis-llm.conf")
    assert change.commands[0] == ("systemctl", "--user", "daemon-reload")
    assert not change.needs_root


def test_facts_that_name_a_user_unit_are_followed(machine: Machine, home: Path) -> None:
    machine.add("usr/lib/systemd/user/ollama.service", UNIT)
    change = machine.plan(files=("/usr/lib/systemd/user/ollama.service",))
    assert change.path == str(home / ".config/systemd/user/ollama.service.d/90-aegis-llm.conf")


def test_the_macos_app_gets_an_agent_that_a_person_loads(machine: Machine, home: Path) -> None:
    before = tree(machine.root)
    change = machine.plan(installed="macos-app")
    assert change.path is not None
    assert change.path.startswith(str(home / "Library/LaunchAgents/aegis-llm."))
    assert any("app's own settings" in warning for warning in change.warnings)
    done = apply(change)
    assert done.outcome == "written"
    assert done.steps[-1] == "open -a Ollama"
    assert parse(Path(change.path).read_text(), "launchd") == SETTINGS
    back = plan_revert(facts(installed="macos-app"), root=machine.root)
    undone = revert(back)
    assert undone.outcome == "removed"
    assert "launchctl unsetenv OLLAMA_NUM_PARALLEL" in undone.steps
    assert tree(machine.root) == before


@pytest.mark.parametrize(
    ("way", "form", "step"),
    [
        ("docker", "docker", "docker rm -f ollama"),
        ("kubernetes", "kubernetes", "kubectl patch deployment ollama"),
        ("homebrew", "shell", "brew services stop ollama"),
        ("windows", "windows", "ollama-env.cmd"),
        ("manual", "shell", "Start it with the lines below"),
        (None, "shell", "Start it with the lines below"),
    ],
)
def test_elsewhere_a_person_is_told_what_to_do(
    machine: Machine, way: Way | None, form: str, step: str
) -> None:
    before = tree(machine.root)
    change = machine.plan(installed=way)
    assert (change.path, change.form, change.changes) == (None, form, False)
    assert change.after is not None
    assert parse(change.after, change.form) == SETTINGS
    assert any(step in one for one in change.steps)
    done = apply(change, run=machine.run)
    assert (done.outcome, done.steps) == ("by_hand", change.steps)
    back = plan_revert(facts(installed=way), root=machine.root)
    assert revert(back, run=machine.run).outcome == "by_hand"
    assert tree(machine.root) == before
    assert machine.asked == []


def test_compose_is_told_its_own_file(machine: Machine) -> None:
    change = machine.plan(installed="docker", files=("/srv/ai/compose.yaml",))
    assert change.form == "compose"
    assert "docker compose -f /srv/ai/compose.yaml up -d" in change.steps
    spaced = machine.plan(installed="docker", files=("/srv/my ai/compose.yaml",))
    assert "docker compose -f '/srv/my ai/compose.yaml' up -d" in spaced.steps
    named = machine.plan(installed="docker", unit="a; rm -rf /")
    assert "docker rm -f 'a; rm -rf /'" in named.steps
    assert "Models that are in no volume go with the container." in named.steps[0]


def test_a_later_drop_in_that_says_otherwise_wins_and_is_named(machine: Machine) -> None:
    winner = machine.drop_in("override.conf", "Environment=OLLAMA_NUM_PARALLEL=1 OTHER=1")
    loser = machine.drop_in("10-mine.conf", 'Environment="OLLAMA_CONTEXT_LENGTH=2048"')
    machine.drop_in("95-same.conf", "Environment=OLLAMA_CONTEXT_LENGTH=8192")
    change = machine.plan()
    (warning,) = change.warnings
    assert warning.startswith(f"OLLAMA_NUM_PARALLEL=1 in {winner} wins: its name comes later")
    assert change.notes == (f"OLLAMA_CONTEXT_LENGTH=2048 in {loser} is overridden.",)


def test_a_drop_in_hides_one_of_the_same_name_in_a_weaker_folder(machine: Machine) -> None:
    machine.drop_in("zz.conf", "Environment=OLLAMA_NUM_PARALLEL=1", "usr/lib")
    assert machine.plan().warnings != ()
    machine.drop_in("zz.conf", "Nice=5")
    assert machine.plan().warnings == ()


def test_drop_ins_for_many_units_are_read_by_their_names_too(machine: Machine) -> None:
    machine.add("usr/lib/systemd/system/my-llm@a.service", UNIT)
    folder = "etc/systemd/system/"
    for number, kind in enumerate(("my-llm@", "my-", "")):
        machine.add(f"{folder}{kind}.service.d/9{number}-x.conf".replace("/.s", "/s"),
                    f"[Service]\nEnvironment=OLLAMA_NUM_PARALLEL={number}{number}\n")  # fmt: skip
    change = machine.plan(unit="my-llm@a.service")
    by = [line.split(" ")[2].rpartition("system/")[2] for line in change.warnings]
    assert by == ["my-llm@.service.d/90-x.conf", "my-.service.d/91-x.conf",
                  "service.d/92-x.conf"]  # fmt: skip
    machine.add(f"{folder}my-llm@a.service.d/92-x.conf", "[Service]\nNice=1\n")
    assert "service.d/92" not in " ".join(machine.plan(unit="my-llm@a.service").warnings)


def test_what_empties_or_unsets_the_environment_is_named(machine: Machine) -> None:
    machine.drop_in("99-a.conf", "Environment=")
    machine.drop_in("10-b.conf", "UnsetEnvironment=OLLAMA_CONTEXT_LENGTH")
    empties, unsets = machine.plan().warnings
    assert "99-a.conf comes later and empties the environment" in empties
    assert "OLLAMA_CONTEXT_LENGTH is taken away by UnsetEnvironment=" in unsets


def test_an_environment_file_is_stronger_than_any_drop_in(machine: Machine) -> None:
    machine.add("etc/default/ollama", '# mine\nOLLAMA_NUM_PARALLEL="1"\nOTHER=2\n')
    machine.drop_in("10-a.conf", "EnvironmentFile=-/etc/default/ollama")
    (warning,) = machine.plan().warnings
    assert "OLLAMA_NUM_PARALLEL=1" in warning
    assert "an EnvironmentFile is stronger" in warning
    machine.drop_in("20-b.conf", "EnvironmentFile=")
    assert machine.plan().warnings == ()


@pytest.mark.parametrize(
    "named", ["/", "-/", "//", "/etc/**", "/etc/**x", "/etc/[", "/etc/default"]
)
def test_a_name_of_an_environment_file_that_means_none_is_passed_over(
    machine: Machine, named: str
) -> None:
    machine.add("etc/default/ollama", "OLLAMA_NUM_PARALLEL=1\n")
    machine.drop_in("10-a.conf", f"EnvironmentFile={named}")
    assert machine.plan().warnings == ()


def test_a_pipe_among_the_files_of_others_is_not_waited_for(machine: Machine) -> None:
    pipe = machine.drop_in("10-a.conf", "EnvironmentFile=/etc/pipe").with_name("20-b.conf")
    os.mkfifo(pipe)
    os.mkfifo(machine.root / "etc/pipe")
    (warning,) = machine.plan().warnings
    assert warning == f"{pipe} cannot be read, so what it sets is not known."


def test_an_address_at_which_the_service_never_answers_is_refused(machine: Machine) -> None:
    def planned(port: int, **known: Any) -> Change:
        asked = facts(url=f"http://127.0.0.1:{port}", **known)
        return plan_change(asked, SETTINGS, root=machine.root)

    listens = {"OLLAMA_HOST": "0.0.0.0:8080"}
    with pytest.raises(ChangeError, match=r"port 8080; give --url http://127\.0\.0\.1:8080"):
        planned(11434, running=False, environment=listens)
    assert planned(11434, running=True, environment=listens).changes  # something passes it on
    assert planned(8080, running=False, environment=listens).changes
    assert planned(7, running=False).changes  # where it listens is not known


def test_a_server_that_is_down_is_started_by_a_restart_or_by_hand(machine: Machine) -> None:
    assert machine.plan(running=False).notes[-1].endswith("the restart will start it.")
    machine.apply()
    (note,) = machine.plan(running=False).notes
    assert "start it with `systemctl restart ollama.service`" in note


@pytest.mark.parametrize("text", ["[Service]\nEnvironment=A=1\n", "", "\x00"])
def test_a_file_of_our_name_without_our_mark_is_left_alone(machine: Machine, text: str) -> None:
    machine.drop_in("90-aegis-llm.conf", "")
    machine.ours.write_text(text)
    for plan in (machine.plan, machine.revert):
        with pytest.raises(ChangeError, match="was not written by aegis-llm"):
            plan()
    assert machine.ours.read_text() == text


def test_what_is_no_plain_file_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    target = machine.add("mine", "mine")
    machine.ours.parent.mkdir()
    machine.ours.symlink_to(target)
    with pytest.raises(ChangeError, match="is a symbolic link"):
        machine.plan()
    machine.ours.unlink()
    machine.ours.mkdir()
    with pytest.raises(ChangeError, match="is no plain file"):
        machine.plan()
    machine.ours.rmdir()
    machine.ours.write_bytes(b"\xff\xfe")
    with pytest.raises(ChangeError, match="is no text in UTF-8"):
        machine.plan()
    machine.ours.unlink()
    machine.ours.parent.rmdir()
    machine.ours.parent.symlink_to(tmp_path)
    with pytest.raises(ChangeError, match="is a symbolic link to"):
        machine.plan()
    assert target.read_text() == "mine"


def test_a_missing_or_masked_unit_is_a_sentence(machine: Machine) -> None:
    with pytest.raises(ChangeError, match=r"no unit other\.service below .* name the unit"):
        machine.plan(unit="other")
    with pytest.raises(ChangeError, match="no name of a systemd service"):
        machine.plan(unit="../evil")
    unit = machine.root / "etc/systemd/system/ollama.service"
    unit.unlink()
    unit.symlink_to("/dev/null")
    with pytest.raises(ChangeError, match="is masked"):
        machine.plan()


@pytest.mark.parametrize(
    ("name", "value"),
    [("OLLAMA_API_KEY", "x"), ("HF_TOKEN", "x"), ("HTTPS_PROXY", "http://me:pw@proxy:80")],
)
def test_a_secret_is_not_written_where_everyone_reads(
    machine: Machine, name: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name} looks like a secret") as raised:
        machine.plan({name: value})
    assert "pw" not in str(raised.value)
    assert machine.plan({"OLLAMA_KEEP_ALIVE": "5m", "OLLAMA_KV_CACHE_TYPE": "q8_0"}).changes


def test_a_value_that_cannot_be_written_is_refused_before_anything(machine: Machine) -> None:
    with pytest.raises(ConfigError, match="control character"):
        machine.plan({"A": "1\nExecStart=/bin/evil"})


def test_what_a_server_started_by_hand_has_besides_is_told() -> None:
    known = facts(installed="manual", environment={"OLLAMA_HOST": "0.0.0.0", "LLAMA_ARG_X": "1"})
    notes = plan_change(known, {"LLAMA_ARG_X": "2"}).notes
    assert any("It has OLLAMA_HOST=0.0.0.0 now" in note for note in notes), notes
    assert not any("LLAMA_ARG_X" in note for note in notes)
