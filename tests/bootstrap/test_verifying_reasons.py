"""Why a setting is not in force: told from the files of a machine, without a server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.bootstrap.facts import Facts, Loaded, ModelFacts, Ollama
from aegis_llm.bootstrap.variables import CATALOGUE
from aegis_llm.bootstrap.verifying import Round, Verdict, Verification, verify
from aegis_llm.bootstrap.verifying.arithmetic import slots_that_fit
from aegis_llm.bootstrap.verifying.evidence import Child, Evidence, child_of
from aegis_llm.bootstrap.verifying.judging import judge
from aegis_llm.bootstrap.verifying.logs import read_log
from aegis_llm.bootstrap.verifying.overlap import (
    Span,
    at_once,
    first_round,
    is_sure,
    next_round,
    slots_of,
)
from aegis_llm.testing import OllamaSimulator

NAME = "OLLAMA_NUM_PARALLEL"
WANTED = {NAME: "4"}
BOOTED, STARTED = 1_700_000_000, 1_700_001_000
UNIT = "/etc/systemd/system/ollama.service"
DROP_INS = f"{UNIT}.d"
LLAMA = ModelFacts(
    name="llama3.1:8b",
    size=4_920_753_328,
    layers=32,
    heads=32,
    kv_heads=(8,),
    embedding_length=4096,
    trained_context=131_072,
)
LOG = (
    'time=2023-11-14T22:30:00.000Z level=INFO source=routes.go:1 msg="server config" '
    'env="map[LLAMA_ARG_FIT: OLLAMA_KEEP_ALIVE:5m0s OLLAMA_NUM_PARALLEL:4 '
    'OLLAMA_ORIGINS:[http://localhost https://a:* app://*] http_proxy: no_proxy:]"\n'
)
CHILD = 'msg="starting llama-server" cmd="/a b/llama-server --model /m -c 16384 -np 4 -b 512"\n'


class Machine:
    """The files of a machine with one server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[str] = []
        self.put("/proc/stat", f"cpu 1\nbtime {BOOTED}\n")
        self.process(7, ["/usr/bin/ollama", "serve"], {"PATH": "/bin"}, parent=1)

    def put(self, path: str, text: str, at: float | None = None) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if at is not None:
            os.utime(file, (at, at))

    def config(self, path: str, text: str, at: float = STARTED - 10) -> None:
        self.put(path, text, at)
        self.files.append(path)

    def process(
        self, pid: int, words: Sequence[str], environment: dict[str, str], parent: int
    ) -> None:
        ticks = (STARTED - BOOTED) * 100
        fields = ["S", str(parent), *["0"] * 17, str(ticks), "0"]
        self.put(f"/proc/{pid}/stat", f"{pid} (a b) {' '.join(fields)}\n")
        self.put(f"/proc/{pid}/cmdline", "\0".join(words) + "\0")
        pairs = [f"{name}={value}" for name, value in environment.items()]
        self.put(f"/proc/{pid}/environ", "\0".join(pairs) + "\0")

    def facts(self, way: str = "systemd", **more: object) -> Facts:
        about = {"pid": 7, "unit": "ollama.service", "version": "0.32.0", "files": self.files}
        about |= {"url": "http://127.0.0.1:9", "installed": way, **more}
        return Facts(models=(LLAMA,), ollama=msgspec.convert(about, Ollama))

    def check(
        self, wanted: dict[str, str] = WANTED, facts: Facts | None = None, journal: str = ""
    ) -> Verification:
        return verify(facts or self.facts(), wanted, root=self.root, run=lambda argv: journal)

    def verdict(self, facts: Facts | None = None, journal: str = "") -> Verdict:
        return self.check(facts=facts, journal=journal).of(NAME)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_drop_in_that_was_written_after_the_start(machine: Machine) -> None:
    machine.config(UNIT, "[Service]\nExecStart=/usr/bin/ollama serve\n")
    drop_in = f"{DROP_INS}/90-aegis.conf"
    machine.config(drop_in, f'[Service]\nEnvironment="{NAME}=4"\n', STARTED + 60)
    verdict = machine.verdict()
    assert verdict.state == "not in force"
    assert verdict.why == f"{drop_in} was changed after the server had started"
    assert verdict.do == "sudo systemctl daemon-reload && sudo systemctl restart ollama.service"


def test_a_drop_in_that_systemd_has_not_read(machine: Machine) -> None:
    machine.config(f"{DROP_INS}/90-aegis.conf", f"[Service]\nEnvironment={NAME}=4\n")
    assert "the server was not started from it" in machine.verdict().why


def test_a_later_drop_in_that_sets_something_else(machine: Machine) -> None:
    machine.config(f"{DROP_INS}/90-aegis.conf", f"[Service]\nEnvironment={NAME}=4\n")
    machine.config(f"{DROP_INS}/override.conf", f"[Service]\nEnvironment={NAME}=1\n")
    machine.process(7, ["ollama", "serve"], {NAME: "1"}, parent=1)
    verdict = machine.verdict()
    assert verdict.found == "1"
    assert verdict.why == (
        f"{DROP_INS}/override.conf sets {NAME}=1, after {DROP_INS}/90-aegis.conf sets 4"
    )


@pytest.mark.parametrize("way", ["systemd", "docker", "homebrew", "windows", "snap"])
def test_a_shell_profile_is_not_read_by_a_service(machine: Machine, way: str) -> None:
    machine.put("/home/ada/.bashrc", f"export {NAME}=4\n")
    verdict = machine.verdict(machine.facts(way))
    assert verdict.why == "It is set in /home/ada/.bashrc, which the service does not read"


def test_a_shell_profile_may_be_read_by_a_server_that_is_started_by_hand(
    machine: Machine,
) -> None:
    machine.put("/home/ada/.bashrc", f"export {NAME}=4\n")
    assert machine.verdict(machine.facts("manual")).why == "The server was started without it"


def test_the_settings_of_the_mac_app_are_stronger(machine: Machine) -> None:
    wanted = {"OLLAMA_CONTEXT_LENGTH": "8192"}
    machine.process(7, ["ollama", "serve"], {"OLLAMA_CONTEXT_LENGTH": "4096"}, parent=1)
    seen = machine.check(wanted, machine.facts("macos-app"))
    assert "macOS app" in seen.of("OLLAMA_CONTEXT_LENGTH").why


def test_a_container_keeps_its_environment_over_a_restart(machine: Machine) -> None:
    verdict = machine.verdict(machine.facts("docker"))
    assert "start the container anew" in verdict.do


def test_the_command_line_of_a_child_is_the_ground_truth(machine: Machine) -> None:
    words = ["/usr/lib/ollama/llama-server", "-c", "16384", "-np", "4", "--flash-attn", "auto",
             "--cache-type-k", "q8_0", "-t", "6"]  # fmt: skip
    machine.process(8, words, {"LLAMA_ARG_CACHE_RAM": "2048"}, parent=7)
    machine.process(9, ["llama-server", "-np", "1"], {}, parent=1)  # another server's
    wanted = {
        NAME: "4", "OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": "",
        "LLAMA_ARG_CACHE_RAM": "2048", "LLAMA_ARG_THREADS": "8",
    }  # fmt: skip
    seen = machine.check(wanted)
    assert [one.state for one in seen.verdicts] == ["in force"] * 4 + ["not in force"]
    assert seen.of(NAME).evidence[0] == "llama-server has 4 slots (process 8)"
    assert seen.of("LLAMA_ARG_THREADS").found == "6"


def test_a_child_with_another_cache_shows_that_the_type_is_not_in_force(
    machine: Machine,
) -> None:
    machine.process(7, ["ollama", "serve"], {"OLLAMA_KV_CACHE_TYPE": "q8_0"}, parent=1)
    machine.process(8, ["llama-server", "-np", "1"], {}, parent=7)
    verdict = machine.check({"OLLAMA_KV_CACHE_TYPE": "q8_0"}).of("OLLAMA_KV_CACHE_TYPE")
    assert (verdict.state, verdict.found) == ("not in force", "f16")


def test_a_runner_of_an_older_ollama_shows_its_settings_too(machine: Machine) -> None:
    words = ["/usr/bin/ollama", "runner", "--model", "/m", "--ctx-size", "8192", "--threads",
             "4", "--flash-attn", "--kv-cache-type", "q8_0", "--parallel", "2"]  # fmt: skip
    machine.process(8, words, {}, parent=7)
    wanted = {
        NAME: "2", "OLLAMA_FLASH_ATTENTION": "1", "OLLAMA_KV_CACHE_TYPE": "q8_0",
    }  # fmt: skip
    old = machine.facts(version="0.9.6")
    assert [one.state for one in machine.check(wanted, old).verdicts] == ["in force"] * 3
    machine.process(8, ["/usr/bin/ollama", "runner", "--port", "9"], {}, parent=7)
    newer = machine.check({"OLLAMA_KV_CACHE_TYPE": "q8_0"}, machine.facts(version="0.20.0"))
    assert not [line for line in newer.verdicts[0].evidence if "runner" in line]


def test_the_environment_of_a_container_is_what_its_server_was_started_with(
    tmp_path: Path,
) -> None:
    with OllamaSimulator() as server:
        ollama = Ollama(
            installed="docker",
            unit="box",
            environment={NAME: "4"},
            environment_source="container box",
            url=server.base_url,
        )
        seen = verify(Facts(ollama=ollama), WANTED, root=tmp_path, run=lambda argv: "")
        assert seen.of(NAME).state == "in force"
        unit = msgspec.structs.replace(ollama, environment_source="unit ollama.service")
        seen = verify(Facts(ollama=unit), WANTED, root=tmp_path, run=lambda argv: "")
        assert seen.of(NAME).state == "cannot tell"
    ended = verify(Facts(ollama=ollama), WANTED, root=tmp_path, run=lambda argv: "")
    assert ended.of(NAME).state == "cannot tell"


def test_an_agent_of_launchd_is_read(machine: Machine) -> None:
    keys = f"<key>EnvironmentVariables</key><dict><key>{NAME}</key><string>4</string></dict>"
    machine.config("/Users/a/x.plist", f'<plist version="1.0"><dict>{keys}</dict></plist>')
    verdict = machine.verdict(machine.facts("homebrew"))
    assert verdict.why == "/Users/a/x.plist sets it, and the server was not started from it"
    machine.put("/Users/a/x.plist", "<broken")
    assert machine.verdict(machine.facts("homebrew")).why == "The server was started without it"


def test_one_slot_of_a_model_that_has_no_more_proves_nothing(machine: Machine) -> None:
    machine.process(7, ["ollama", "serve"], {NAME: "4"}, parent=1)
    machine.process(8, ["llama-server", "-np", "1", "--embedding"], {}, parent=7)
    assert machine.verdict().state == "in force"
    machine.process(8, ["llama-server", "-np", "1"], {}, parent=7)
    assert machine.verdict().state == "not in force"
    assert machine.verdict().why == "The server has read the setting and does not do it"


def test_the_journal_shows_the_configuration_and_the_child(machine: Machine) -> None:
    (machine.root / "proc/7/environ").unlink()
    assert machine.verdict().state == "cannot tell"
    verdict = machine.verdict(journal="noise\n" + LOG + CHILD)
    assert verdict.state == "in force"
    assert verdict.evidence == (
        "llama-server has 4 slots (the log)",
        "the log says OLLAMA_NUM_PARALLEL:4",
    )


def test_a_log_of_an_earlier_start_is_not_believed(machine: Machine) -> None:
    (machine.root / "proc/7/environ").unlink()
    old = LOG.replace("22:30", "20:30")
    seen = machine.check(journal=old)
    assert seen.of(NAME).state == "cannot tell"
    log = next(one for one in seen.sources if one.name == "log")
    assert "ends before this server started" in log.what


def test_of_several_starts_in_a_log_the_last_counts() -> None:
    logged = read_log(LOG + CHILD + LOG.replace("PARALLEL:4", "PARALLEL:2"))
    assert logged is not None
    assert logged.environment[NAME] == "2"
    assert logged.children == ()
    assert logged.environment["OLLAMA_ORIGINS"] == "[http://localhost https://a:* app://*]"
    assert logged.environment["LLAMA_ARG_FIT"] == logged.environment["no_proxy"] == ""


def test_a_command_line_in_the_log_is_read_with_blanks_in_its_path() -> None:
    logged = read_log(LOG + CHILD)
    assert logged is not None
    assert logged.children == (Child(where="the log", context=16384, slots=4),)
    assert child_of(["python", "-np", "4"], "x") is None
    assert child_of([], "x") is None


def test_more_models_than_are_allowed_are_loaded() -> None:
    loaded = tuple(Loaded(name=f"m{number}") for number in range(3))
    seen = Evidence(answers=True, loaded=loaded)
    (verdict,) = judge(Facts(), {"OLLAMA_MAX_LOADED_MODELS": "2"}, seen).verdicts
    assert (verdict.state, verdict.found) == ("not in force", "3")
    (verdict,) = judge(Facts(), {"OLLAMA_MAX_LOADED_MODELS": "3"}, seen).verdicts
    assert verdict.state == "cannot tell"


@settings(max_examples=30)
@given(st.integers(1, 8), st.sampled_from([4096, 8192, 32_768]))
def test_the_true_number_of_slots_always_fits(slots: int, context: int) -> None:
    size = 4_920_753_328 + slots * context * (128 << 10) + (200 << 20)
    fitting = slots_that_fit(LLAMA, Loaded(name="x", size=size, context=context), "f16")
    assert slots in fitting
    assert all(fitting[0] <= one <= fitting[-1] for one in fitting)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), max_size=20), st.integers(1, 5))
def test_no_more_write_at_once_than_there_are_slots(
    work: list[tuple[float, float]], slots: int
) -> None:
    free = [0.0] * slots
    spans = []
    for sent, length in sorted(work):
        slot = min(range(slots), key=free.__getitem__)
        first = max(sent, free[slot])
        free[slot] = first + length
        spans.append(Span(first, free[slot]))
    assert at_once(spans) <= slots


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 64))
def test_rounds_end_and_never_send_more_than_allowed(slots: int, expected: int, most: int) -> None:
    rounds: list[Round] = []
    following = first_round(expected, most)
    while following is not None:
        sent, tokens = following
        assert sent <= most
        rounds.append(Round(sent=sent, tokens=tokens, at_once=min(slots, sent)))
        following = next_round(rounds, most)
    found = slots_of(rounds)
    assert found is not None
    assert found <= slots
    if is_sure(rounds):
        assert found == slots
    assert is_sure(rounds) == (slots < rounds[-1].sent)


def test_one_round_is_not_enough_to_be_sure() -> None:
    all_at_once = Round(sent=3, tokens=48, at_once=3)
    waited = Round(sent=7, tokens=48, at_once=4)
    assert not is_sure([all_at_once, waited])
    assert is_sure([all_at_once, waited, waited])


@given(
    st.dictionaries(st.sampled_from(sorted(CATALOGUE)), st.text(max_size=12), max_size=5),
    st.dictionaries(st.sampled_from(sorted(CATALOGUE)), st.text(max_size=12), max_size=5),
    st.one_of(st.none(), st.sampled_from(["0.9.0", "0.32.0"])),
)
def test_a_verdict_is_always_given(
    wanted: dict[str, str], logged: dict[str, str], version: str | None
) -> None:
    seen = Evidence(answers=True, version=version, log=logged, process=logged, pid=1)
    verdicts = judge(Facts(), wanted, seen).verdicts
    assert [one.name for one in verdicts] == list(wanted)
    assert all(one.why for one in verdicts if one.state != "in force")
