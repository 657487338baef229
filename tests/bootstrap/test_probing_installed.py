"""How Ollama came onto a machine, what environment it has, and where variables are set in vain."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aegis_llm.bootstrap.facts import Facts, Ollama
from aegis_llm.bootstrap.probing import CommandError, Run, probe, strays
from aegis_llm.bootstrap.probing.commands import no_commands
from aegis_llm.bootstrap.probing.environment import kept, of_shell
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.bootstrap.probing.installed import client_version, installed
from aegis_llm.bootstrap.probing.processes import port_of
from tests.bootstrap.machines import SERVER, Commands, planted

UNIT = "/etc/systemd/system/ollama.service"
INSTALLER = {
    UNIT: (
        "[Unit]\nDescription=Ollama Service\n\n[Service]\n"
        "ExecStart=/usr/local/bin/ollama serve\nUser=ollama\nGroup=ollama\nRestart=always\n"
        'Environment="PATH=/usr/bin:/bin"\n\n[Install]\nWantedBy=default.target\n'
    ),
    "/etc/passwd": (
        "root:x:0:0:root:/root:/bin/bash\n"
        "ollama:x:997:997::/usr/share/ollama:/bin/false\n"
        "ann:x:1000:1000::/home/ann:/bin/bash\n"
    ),
}
DROPPED = {
    f"{UNIT}.d/override.conf": (
        '[Service]\n# as the FAQ says\nEnvironment="OLLAMA_HOST=0.0.0.0:8080"\n'
        "Environment=OLLAMA_NUM_PARALLEL=2 \\\n   'OLLAMA_KEEP_ALIVE=30m'\n"
    ),
    f"{UNIT}.d/90-more.conf": '[Service]\nEnvironment="OLLAMA_NUM_PARALLEL=8" OLLAMA_X=50%%\n',
}


def process(
    pid: int, *variables: str, uid: int = 997, groups: str = "", program: str = "/bin/ollama"
) -> dict[str, str | bytes]:
    """Return the files of a server in /proc; without variables they are not readable."""
    files: dict[str, str | bytes] = {
        f"/proc/{pid}/cmdline": f"{program}\0serve\0",
        f"/proc/{pid}/status": f"Name:\tollama\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n",
        f"/proc/{pid}/cgroup": f"0::{groups or '/user.slice'}\n",
    }
    if variables:
        files[f"/proc/{pid}/environ"] = "\0".join([*variables, ""]).encode()
    return files


def found(root: Path, *trees: Any, url: str | None = None, run: Run = no_commands) -> Facts:
    """Return the facts of a planted machine whose server is not asked."""
    url = url and f"http://{url}"
    return probe(url, root=planted(root, SERVER, *trees), run=run, timeout_s=0.2)


def of(root: Path, *trees: Any, **more: Any) -> Ollama:
    """Return what is found of the server."""
    return found(root, *trees, **more).ollama


def test_the_files_of_a_unit_tell_its_environment_the_later_file_stronger(tmp_path: Path) -> None:
    seen = of(tmp_path, INSTALLER, DROPPED)
    assert (seen.installed, seen.unit, seen.user) == ("systemd", "ollama.service", "ollama")
    assert seen.files == (UNIT, f"{UNIT}.d/90-more.conf", f"{UNIT}.d/override.conf")
    assert seen.environment == {
        "OLLAMA_HOST": "0.0.0.0:8080",
        "OLLAMA_KEEP_ALIVE": "30m",
        "OLLAMA_NUM_PARALLEL": "2",
        "OLLAMA_X": "50%",
    }
    assert seen.environment_source == "unit ollama.service"
    assert seen.url == "http://127.0.0.1:8080"
    assert seen.models_dir == "/usr/share/ollama/.ollama/models"


def test_an_empty_assignment_clears_and_an_environment_file_wins(tmp_path: Path) -> None:
    late = {
        f"{UNIT}.d/zz.conf": (
            "[Service]\nEnvironment=\nEnvironment=OLLAMA_A=1\nEnvironmentFile=-/etc/default/ollama\n"
        ),
        "/etc/default/ollama": "OLLAMA_A='2'\n# OLLAMA_B=3\nOLLAMA_C=4 5\n",
    }
    seen = of(tmp_path, INSTALLER, DROPPED, late)
    assert seen.environment == {"OLLAMA_A": "2", "OLLAMA_C": "4"}


def test_the_process_is_stronger_than_the_unit(tmp_path: Path) -> None:
    running = process(
        77,
        "OLLAMA_NUM_PARALLEL=1",
        "HOME=/srv/o",
        "AWS_SECRET_ACCESS_KEY=hidden",
        groups="/system.slice/ollama.service",
    )
    seen = of(tmp_path, INSTALLER, DROPPED, running)
    assert (seen.installed, seen.pid, seen.user) == ("systemd", 77, "ollama")
    assert seen.environment == {"OLLAMA_NUM_PARALLEL": "1"}
    assert seen.environment_source == "process 77"
    assert seen.models_dir == "/srv/o/.ollama/models"


def test_the_unit_tells_what_a_process_of_another_user_does_not(tmp_path: Path) -> None:
    running = process(77, groups="/system.slice/ollama.service")
    seen = of(tmp_path, INSTALLER, DROPPED, running)
    assert seen.environment_source == "unit ollama.service"
    assert seen.pid == 77


def test_a_server_by_hand_beside_a_unit_is_by_hand(tmp_path: Path) -> None:
    running = process(78, "OLLAMA_HOST=127.0.0.1:9999", uid=1000, groups="/user.slice")
    seen = of(tmp_path, INSTALLER, running, url="127.0.0.1:9999")
    assert (seen.installed, seen.user, seen.files) == ("manual", "ann", ())


def test_of_several_servers_the_one_of_the_address_is_taken(tmp_path: Path) -> None:
    both = process(5, "OLLAMA_HOST=:7000", "OLLAMA_N=a") | process(6, "OLLAMA_N=b")
    assert of(tmp_path, both, url="127.0.0.1:7000").pid == 5
    assert of(tmp_path, both, url="127.0.0.1:11434").pid == 6
    facts = found(tmp_path, both)
    assert facts.ollama.pid == 6
    silent = process(7)
    assert of(tmp_path, silent, url="127.0.0.1:7000").pid == 5
    assert of(tmp_path, url="127.0.0.1:9000").pid == 7
    assert any(one.what == "ollama.url" and "several" in one.why for one in facts.unknown)


def test_a_process_that_cannot_be_read_is_not_taken_for_a_port_where_its_user_does_not_listen(
    tmp_path: Path,
) -> None:
    sockets = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   997  0 1\n"
        "   1: 0100007F:1F90 00000000:0000 01 00000000:00000000 00:00000000 00000000   997  0 1\n"
    )
    silent = process(77) | {"/proc/net/tcp": sockets}
    assert of(tmp_path, silent, url="127.0.0.1:11434").pid == 77
    assert of(tmp_path, url="127.0.0.1:8080").pid is None


def test_an_unreadable_environment_says_how_to_read_it(tmp_path: Path) -> None:
    facts = found(tmp_path, process(77))
    assert facts.ollama.environment is None
    (lack,) = [one for one in facts.unknown if one.what == "ollama.environment"]
    assert "process 77" in lack.why
    assert "root" in lack.give


def test_systemd_itself_is_asked_where_it_runs(tmp_path: Path) -> None:
    said = (
        "User=ollama\nMainPID=42\nLoadState=loaded\nFragmentPath=/usr/lib/systemd/system/x\n"
        f"DropInPaths={UNIT}.d/a.conf {UNIT}.d/b.conf\n"
        'Environment=PATH=/bin OLLAMA_A=%% "OLLAMA_B=x y"\n'
        "EnvironmentFiles=/etc/default/ollama (ignore_errors=yes)\n"
    )
    extra = {"/etc/default/ollama": "OLLAMA_C=1\n"}
    run = Commands({"systemctl show ollama.service": said})
    seen = of(tmp_path, extra, run=run)
    assert seen.environment == {"OLLAMA_A": "%%", "OLLAMA_B": "x y", "OLLAMA_C": "1"}
    assert seen.files == ("/usr/lib/systemd/system/x", f"{UNIT}.d/a.conf", f"{UNIT}.d/b.conf")


def inspected(**more: Any) -> str:
    """Return what `docker inspect` says of a container of Ollama."""
    host = {"Memory": 8 << 30, "NanoCpus": 2_000_000_000, "NetworkMode": "bridge"}
    one = {
        "Name": "/llm",
        "State": {"Pid": 999},
        "Config": {
            "Env": ["OLLAMA_HOST=0.0.0.0:11434", "OLLAMA_NUM_PARALLEL=4", "HF_TOKEN=hidden"],
            "Labels": {"com.docker.compose.project.config_files": "/srv/compose.yaml"},
        },
        "HostConfig": host,
        "NetworkSettings": {"Ports": {"11434/tcp": [{"HostIp": "", "HostPort": "8081"}]}},
    }
    return json.dumps([one | more])


def test_a_container_is_found_by_its_published_port_with_its_limits(tmp_path: Path) -> None:
    answers = {
        "docker ps": "abc123\tollama/ollama:latest\ndef\tredis:8\n",
        "docker inspect abc123": inspected(),
    }
    facts = found(tmp_path, url="127.0.0.1:8081", run=Commands(answers))
    seen = facts.ollama
    assert (seen.installed, seen.unit, seen.pid) == ("docker", "llm", 999)
    assert seen.files == ("/srv/compose.yaml",)
    assert seen.environment == {"OLLAMA_HOST": "0.0.0.0:11434", "OLLAMA_NUM_PARALLEL": "4"}
    assert seen.models_dir == "/root/.ollama/models"
    assert facts.memory.total == 8 << 30
    assert facts.cpu.physical_cores == 2


def test_a_container_of_another_port_is_not_taken(tmp_path: Path) -> None:
    answers = {"docker ps": "abc123\tollama/ollama\n", "docker inspect": inspected()}
    assert of(tmp_path, url="127.0.0.1:9000", run=Commands(answers)).installed is None


@pytest.mark.parametrize("said", ["", "[]", "{}", "[7]", "null", "[{}]", CommandError("no right")])
def test_a_docker_that_talks_rubbish_is_no_traceback(tmp_path: Path, said: Any) -> None:
    name = "ab" * 32
    running = process(77, groups=f"/system.slice/docker-{name}.scope")
    answers = {"docker ps": f"{name}\tollama/ollama\n", "docker inspect": said}
    seen = of(tmp_path, running, run=Commands(answers))
    assert (seen.installed, seen.unit) == ("docker", name[:12])


def test_a_process_tells_what_it_runs_in(tmp_path: Path) -> None:
    pod = process(9, "OLLAMA_A=1", groups="/kubepods.slice/kubepods-pod1.slice/cri-1.scope")
    assert of(tmp_path / "pod", pod).installed == "kubernetes"
    snap = process(9, "OLLAMA_A=1", program="/snap/ollama/12/bin/ollama")
    assert of(tmp_path / "snap", snap).installed == "snap"
    brew = process(9, "A=1", program="/home/linuxbrew/.linuxbrew/opt/ollama/bin/ollama")
    assert of(tmp_path / "brew", brew).installed == "homebrew"
    inside = {"/.dockerenv": "", "/proc/1/cmdline": "/bin/ollama\0serve\0"}
    assert of(tmp_path / "in", inside, process(1, "OLLAMA_A=1")).installed == "docker"
    by_hand = {"/.dockerenv": "", "/proc/1/cmdline": "bash\0"}
    assert of(tmp_path / "dev", by_hand, process(7, "OLLAMA_A=1")).installed == "manual"


def test_a_program_that_does_not_run_is_by_hand_and_nothing_at_all_is_said(
    tmp_path: Path,
) -> None:
    assert of(tmp_path / "a", {"/usr/local/bin/ollama": ""}).installed == "manual"
    facts = found(tmp_path / "b")
    assert facts.ollama.installed is None
    assert "ollama.installed" in [one.what for one in facts.unknown]


def test_what_is_secret_never_becomes_a_fact() -> None:
    given = {
        "OLLAMA_API_KEY": "k",
        "LLAMA_ARG_API_KEY": "k",
        "LLAMA_ARG_HF_TOKEN": "t",
        "LLAMA_ARG_SSL_KEY_FILE": "f",
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "0",
        "OLLAMA_KEEP_ALIVE": "5m",
        "OLLAMA_ORIGINS": "http://me:pw@a.example,app://*",
        "OLLAMA_HOST": "me:pw@0.0.0.0:1",
        "LLAMA_ARG_CACHE_TYPE_K": "q8_0",
    }
    assert kept(given) == {
        "CUDA_VISIBLE_DEVICES": "0",
        "LLAMA_ARG_CACHE_TYPE_K": "q8_0",
        "OLLAMA_HOST": "0.0.0.0:1",
        "OLLAMA_KEEP_ALIVE": "5m",
        "OLLAMA_ORIGINS": "http://a.example,app://*",
    }


def test_variables_that_only_shells_read_are_found_where_they_are(tmp_path: Path) -> None:
    files = {
        "/etc/passwd": INSTALLER["/etc/passwd"],
        "/etc/environment": 'OLLAMA_NUM_PARALLEL="4"\nPATH="/bin"\n',
        "/etc/profile.d/ollama.sh": "export OLLAMA_KEEP_ALIVE=30m  # long\n",
        "/home/ann/.bashrc": (
            "# export OLLAMA_A=1 && export OLLAMA_A=2\nexport OLLAMA_B='x y'; export OLLAMA_C=3\n"
            "[ -f x ] && export LLAMA_ARG_THREADS=4\nalias ollama='x'\nexport OLLAMA_API_KEY=k\n"
        ),
        "/home/ann/.config/fish/config.fish": "set -gx OLLAMA_D 7\n",
        "/root/.profile": "echo OLLAMA_E=1\n",
    }
    assert strays(planted(tmp_path, files)) == {
        "/etc/environment": {"OLLAMA_NUM_PARALLEL": "4"},
        "/etc/profile.d/ollama.sh": {"OLLAMA_KEEP_ALIVE": "30m"},
        "/home/ann/.bashrc": {"LLAMA_ARG_THREADS": "4", "OLLAMA_B": "x y", "OLLAMA_C": "3"},
        "/home/ann/.config/fish/config.fish": {"OLLAMA_D": "7"},
    }


def test_a_quotation_that_does_not_end_is_read_as_it_stands() -> None:
    assert of_shell("OLLAMA_A='x\n") == {"OLLAMA_A": "x"}


@pytest.mark.parametrize(
    ("host", "port"),
    [
        (None, 11434),
        ("", 11434),
        ("0.0.0.0", 11434),
        (":7000", 7000),
        ("http://x", 80),
        ("https://x:8443/y", 8443),
        ("[::1]:7", 7),
        ("'x:9'", 9),
        ("x:many", 11434),
    ],
)
def test_the_port_is_the_one_that_ollama_reads(host: str | None, port: int) -> None:
    assert port_of(host) == port


def test_the_client_tells_a_version_when_no_server_does() -> None:
    said = "Warning: could not connect to a running Ollama instance\n"
    said += "Warning: client version is 0.30.1\n"
    assert client_version(Commands({"ollama --version": said})) == "0.30.1"
    with pytest.raises(CommandError, match="no version"):
        client_version(Commands({"ollama --version": "ollama: not found"}))


class Processes:
    """Stands for `psutil` on a system that has no /proc."""

    class Error(Exception):
        """As psutil's."""

    def __init__(self, program: str, environ: dict[str, str] | None) -> None:
        def environment() -> dict[str, str]:
            if environ is None:
                raise Processes.Error
            return environ

        self._one = SimpleNamespace(
            pid=12, cmdline=lambda: [program, "serve"], username=lambda: "ann", environ=environment
        )

    def process_iter(self) -> list[Any]:
        return [self._one]


@pytest.mark.parametrize(
    ("system", "program", "way"),
    [
        ("macos", "/Applications/Ollama.app/Contents/Resources/ollama", "macos-app"),
        ("macos", "/opt/homebrew/opt/ollama/bin/ollama", "homebrew"),
        ("macos", "/usr/local/bin/ollama", "manual"),
        ("windows", "C:\\Users\\ann\\AppData\\Local\\Programs\\Ollama\\ollama.exe", "windows"),
    ],
)
def test_other_systems_are_told_by_the_program_of_the_process(
    system: Any, program: str, way: str
) -> None:
    seen = installed(
        Tree(Path("/")),
        no_commands,
        system,
        port=11434,
        around={},
        psutil=Processes(program, {"OLLAMA_NUM_PARALLEL": "2"}),
    )
    assert (seen.way, seen.environment) == (way, {"OLLAMA_NUM_PARALLEL": "2"})


def test_a_container_on_a_mac_is_found_when_no_process_is_to_be_seen(tmp_path: Path) -> None:
    root = planted(tmp_path, {"/Applications/Ollama.app/x": ""})
    answers = {"docker ps": "abc123\tollama/ollama\n", "docker inspect": inspected()}
    seen = installed(Tree(root), Commands(answers), "macos", port=8081, around={})
    assert (seen.way, seen.unit) == ("docker", "llm")
    assert installed(Tree(root), Commands({}), "macos", port=1, around={}).way == "macos-app"


def test_homebrew_tells_its_environment_in_its_plist(tmp_path: Path) -> None:
    path = "/opt/homebrew/opt/ollama/homebrew.mxcl.ollama.plist"
    plist = (
        '<?xml version="1.0"?><plist version="1.0"><dict><key>EnvironmentVariables</key><dict>'
        "<key>OLLAMA_KV_CACHE_TYPE</key><string>q8_0</string></dict></dict></plist>"
    )
    root = planted(tmp_path, {path: plist})
    seen = installed(Tree(root), no_commands, "macos", port=None, around={})
    assert (seen.way, seen.files) == ("homebrew", (path,))
    assert seen.environment == {"OLLAMA_KV_CACHE_TYPE": "q8_0"}
    planted(tmp_path, {path: "<plist"})
    seen = installed(Tree(root), no_commands, "macos", port=None, around={})
    assert seen.environment is None
