"""Every form is read by the program that it is for, with values that need quoting."""

from __future__ import annotations

import os
import plistlib
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aegis_llm.bootstrap.facts import Facts, Gpu
from aegis_llm.bootstrap.rendering import parse, render
from tests.bootstrap.checkers import docker_daemon, needed, run, script

ENVIRONMENT = {
    "OLLAMA_NUM_PARALLEL": "4",
    "OLLAMA_KEEP_ALIVE": "30m",
    "AEGIS_QUOTES": "a \"b\" 'c' \\ \\\\",
    "AEGIS_SIGNS": "100% %h %%d $HOME ${HOME} $$ $(HOME) `id` #no ;no &|<>^!",
    "AEGIS_WORD": "on",
    "AEGIS_NUMBER": "0x10",
    "AEGIS_EMPTY": "",
    "AEGIS_LETTERS": "üß日本 😀",
    "AEGIS_END": "C:\\",
}
REASONS = {
    name: f"Why {name} -- 100% of \\ it: 'so' \"it\" is & more $HOME `id`" for name in ENVIRONMENT
}
NVIDIA = Facts(gpus=(Gpu(vendor="nvidia", name="GB10"),))
UNIT = "[Unit]\nDescription=Ollama\n[Service]\nExecStart=/bin/true\n"
SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")


@pytest.fixture
def units() -> Iterator[Path]:
    """A folder of units with our drop-in, which another user can read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "ollama.service").write_text(UNIT)
    (folder / "ollama.service.d").mkdir()
    (folder / "ollama.service.d" / "90-aegis-llm.conf").write_text(
        render(ENVIRONMENT, "systemd", reasons=REASONS)
    )
    (folder / "default.target").write_text("[Unit]\nWants=ollama.service\n")
    yield folder
    shutil.rmtree(folder)


def test_systemd_verifies_the_drop_in(units: Path) -> None:
    needed("systemd-analyze")
    said = run("systemd-analyze", "verify", "--man=no", str(units / "ollama.service"),
               env={"SYSTEMD_UNIT_PATH": f"{units}:"})  # fmt: skip
    assert "90-aegis-llm" not in said
    assert "ollama.service" not in said


def test_systemd_sets_the_same_environment(units: Path) -> None:
    systemd = needed(*SYSTEMD)
    root = os.geteuid() == 0  # systemd refuses to try units as root
    with tempfile.TemporaryDirectory() as runtime:
        if root:
            os.chown(runtime, 65534, 65534)
        env = {"SYSTEMD_UNIT_PATH": str(units), "XDG_RUNTIME_DIR": runtime, "HOME": runtime}
        said = run(systemd, "--test", "--user", "--unit=default.target", env=env, nobody=root)
    lines = [line.strip() for line in said.splitlines()]
    found = [line.removeprefix("Environment: ") for line in lines if "Environment: " in line]
    assert found == [f"{name}={value}" for name, value in ENVIRONMENT.items()]


def test_docker_run_makes_a_container_with_the_same_environment() -> None:
    needed("docker")
    with docker_daemon() as (address, made):
        text = render(ENVIRONMENT, "docker", reasons=REASONS, facts=NVIDIA)
        run("sh", "-c", text, env={"DOCKER_HOST": address})
    (container,) = made
    assert sorted(container["Env"]) == sorted(
        [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    )
    assert container["Image"] == "ollama/ollama"
    (gpus,) = container["HostConfig"]["DeviceRequests"]
    assert (gpus["Count"], gpus["Capabilities"]) == (-1, [["gpu"]])
    assert container["HostConfig"]["PortBindings"]["11434/tcp"][0]["HostIp"] == "127.0.0.1"


def test_docker_reads_the_env_file_literally(tmp_path: Path) -> None:
    needed("docker")
    file = tmp_path / "ollama.env"
    file.write_text(render(ENVIRONMENT, "env", reasons=REASONS))
    with docker_daemon() as (address, made):
        run("docker", "run", "-d", "--env-file", str(file), "ollama/ollama",
            env={"DOCKER_HOST": address})  # fmt: skip
    assert sorted(made[0]["Env"]) == sorted(
        f"{name}={value}" for name, value in ENVIRONMENT.items()
    )


@pytest.mark.parametrize("facts", [None, NVIDIA, Facts(gpus=(Gpu(vendor="amd", name="MI300X"),))])
def test_compose_reads_the_same_environment(tmp_path: Path, facts: Facts | None) -> None:
    compose = shlex.split(needed("docker-compose"))
    (tmp_path / "compose.yaml").write_text(
        render(ENVIRONMENT, "compose", reasons=REASONS, facts=facts)
    )
    said = run(*compose, "-f", str(tmp_path / "compose.yaml"), "config")
    config = said[said.index("services:") :]
    assert parse(config, "compose") == ENVIRONMENT


def test_kubernetes_takes_the_patch_and_the_values_of_the_chart(tmp_path: Path) -> None:
    validate = [needed("kubernetes-validate", "kubeconform")]
    strict = ["--strict"] if "kubernetes-validate" in validate[0] else ["-strict", "-"]
    patch = yaml.safe_load(render(ENVIRONMENT, "kubernetes", reasons=REASONS))
    values = yaml.safe_load(render(ENVIRONMENT, "helm", reasons=REASONS))
    base: dict[str, Any] = {
        "selector": {"matchLabels": {"app": "ollama"}},
        "template": {"metadata": {"labels": {"app": "ollama"}}},
    }
    patch["spec"]["selector"] = base["selector"]
    patch["spec"]["template"]["metadata"] = base["template"]["metadata"]
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    assert container["env"] == values["extraEnv"]
    assert len(container["env"]) == len(ENVIRONMENT)
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(patch))
    run(*validate, *[word for word in strict if word != "-"], str(tmp_path / "deployment.yaml"))


def test_the_shell_exports_the_same_environment(tmp_path: Path) -> None:
    needed("sh")
    script(tmp_path / "ollama", 'test "$1" = serve && env -0 | grep -z -E "^(OLLAMA|AEGIS)_"\n')
    file = tmp_path / "serve.sh"
    file.write_text(render(ENVIRONMENT, "shell", reasons=REASONS))
    run("sh", "-n", str(file))
    said = run("sh", str(file), env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert sorted(said.split("\0")[:-1]) == sorted(f"{n}={v}" for n, v in ENVIRONMENT.items())


def test_a_property_list_is_read_and_its_commands_set_the_same(tmp_path: Path) -> None:
    file = tmp_path / "agent.plist"
    file.write_text(render(ENVIRONMENT, "launchd", reasons=REASONS))
    if shutil.which("plutil"):
        run("plutil", "-lint", str(file))
    read = tmp_path / "read.plist"
    run(needed("plistutil"), "-i", str(file), "-o", str(read))
    launchctl = script(tmp_path / "launchctl", f'printf "%s=%s\\0" "$2" "$3" >> {tmp_path}/set\n')
    command = plistlib.loads(read.read_bytes())["ProgramArguments"]
    run(*command[:-1], command[-1].replace("/bin/launchctl", str(launchctl)))
    said = (tmp_path / "set").read_text().split("\0")[:-1]
    assert said == [f"{name}={value}" for name, value in ENVIRONMENT.items()]
