"""What a running server shows of its settings, against a server that is a process."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import msgspec
import pytest

from aegis_llm.bootstrap.facts import Facts, ModelFacts, Ollama
from aegis_llm.bootstrap.probing import probe
from aegis_llm.bootstrap.verifying import Verification, verify
from aegis_llm.errors import ConfigError
from aegis_llm.testing import OllamaSimulator, SimulatedModel, Timing
from tests.bootstrap.served import Served, served

MODEL = "llama3.1:8b"
WANTED = {
    "OLLAMA_NUM_PARALLEL": "4",
    "OLLAMA_CONTEXT_LENGTH": "8192",
    "OLLAMA_KEEP_ALIVE": "30m",
    "OLLAMA_KV_CACHE_TYPE": "q8_0",
}
QUICK = Timing(prefill=200_000.0, decode=2500.0)


def facts_of(url: str, pid: int | None = None) -> Facts:
    """Return what is seen of a server, with its process: a test's is not named `ollama`."""
    found = probe(url)
    return msgspec.structs.replace(
        found, ollama=msgspec.structs.replace(found.ollama, pid=pid, installed="manual")
    )


def load(url: str, **body: object) -> None:
    reply = httpx.post(f"{url}/api/generate", json={"model": MODEL, **body})
    assert reply.status_code == 200


def check(server: Served, wanted: dict[str, str], *, log: bool = True) -> Verification:
    facts = facts_of(server.url, server.pid)
    return verify(facts, wanted, log=server.log if log else None, run=nothing)


def nothing(argv: object) -> str:
    return ""


def states(verification: Verification) -> dict[str, str]:
    return {one.name: one.state for one in verification.verdicts}


def test_what_a_server_was_started_with_is_in_force(tmp_path: Path) -> None:
    with served(tmp_path, WANTED) as server:
        load(server.url)
        seen = check(server, WANTED)
    assert states(seen) == dict.fromkeys(WANTED, "in force")
    assert seen.in_force
    parallel = seen.of("OLLAMA_NUM_PARALLEL")
    assert parallel.found == "4"
    assert parallel.evidence[-2:] == (
        "the log says OLLAMA_NUM_PARALLEL:4",
        f"process {server.pid} was started with OLLAMA_NUM_PARALLEL=4",
    )
    assert "room for 4 to" in parallel.evidence[0] or "3 to" in parallel.evidence[0]
    assert "8192 tokens a slot" in seen.of("OLLAMA_CONTEXT_LENGTH").evidence[0]


def test_the_log_alone_is_enough_and_so_is_the_process_alone(tmp_path: Path) -> None:
    with served(tmp_path, WANTED) as server:
        by_process = check(server, WANTED, log=False)
        facts = facts_of(server.url)
        by_log = verify(facts, WANTED, log=server.log)
    assert set(states(by_process).values()) == {"in force"}
    assert set(states(by_log).values()) == {"in force"}
    assert [one.name for one in by_log.sources if one.found] == ["log"]


def test_a_setting_that_the_server_was_not_given_is_not_in_force(tmp_path: Path) -> None:
    with served(tmp_path, {"OLLAMA_NUM_PARALLEL": "2"}) as server:
        seen = check(server, WANTED)
    assert set(states(seen).values()) == {"not in force"}
    parallel, kind = seen.of("OLLAMA_NUM_PARALLEL"), seen.of("OLLAMA_KV_CACHE_TYPE")
    assert parallel.found == "2"
    assert parallel.why == "The server was started with OLLAMA_NUM_PARALLEL=2"
    assert kind.why == "The server was started without it"


@pytest.mark.parametrize("option", ["--ignore", "--disobey"])
def test_a_server_that_ignores_a_setting_is_caught(tmp_path: Path, option: str) -> None:
    with served(tmp_path, WANTED, option, "OLLAMA_NUM_PARALLEL") as server:
        load(server.url)
        seen = check(server, WANTED)
    assert states(seen) == {
        **dict.fromkeys(WANTED, "in force"),
        "OLLAMA_NUM_PARALLEL": "not in force",
    }
    verdict = seen.of("OLLAMA_NUM_PARALLEL")
    assert verdict.found in ("1", "1 to 2")
    assert "room for 1" in verdict.evidence[0]


def test_another_ignored_setting_shows_in_the_log(tmp_path: Path) -> None:
    name = "OLLAMA_CONTEXT_LENGTH"
    with served(tmp_path, WANTED, "--ignore", name) as server:
        seen = check(server, WANTED)
    assert [one.name for one in seen.verdicts if one.state != "in force"] == [name]
    assert "its own log says otherwise" in seen.of(name).why


def test_settings_without_effect_are_not_in_force_whatever_is_seen(tmp_path: Path) -> None:
    given = {
        "OLLAMA_NUM_THREADS": "16",
        "OLLAMA_FLASH_ATTENTION": "off",
        "OLLAMA_KEEP_ALIVE": "30min",
        "LLAMA_ARG_THREADS": "8",
        "OLLAMA_MULTIUSER_CACHE": "1",
        "OLLAMA_API_KEY": "hunter2",
    }
    with served(tmp_path, given, "--version", "0.9.6") as server:
        old = check(server, given)
    with served(tmp_path, given) as server:
        new = check(server, given)
    assert old.of("LLAMA_ARG_THREADS").state == "not in force"
    assert "upgrade Ollama 0.9.6" in old.of("LLAMA_ARG_THREADS").do
    assert new.of("LLAMA_ARG_THREADS").state == "in force"
    assert new.of("OLLAMA_MULTIUSER_CACHE").state == "not in force"
    for name, said in (
        ("OLLAMA_NUM_THREADS", "no release"),
        ("OLLAMA_FLASH_ATTENTION", "what cannot be read is on"),
        ("OLLAMA_KEEP_ALIVE", "takes 5 minutes"),
    ):
        assert new.of(name).state == "not in force"
        assert said in new.of(name).why
    assert "hunter2" not in msgspec.json.encode(new).decode()


def test_a_setting_that_shall_be_unset(tmp_path: Path) -> None:
    with served(tmp_path, {"OLLAMA_FLASH_ATTENTION": "0"}) as server:
        names = {"OLLAMA_FLASH_ATTENTION": "", "OLLAMA_KEEP_ALIVE": ""}
        seen = check(server, names)
    assert states(seen) == {
        "OLLAMA_FLASH_ATTENTION": "not in force",
        "OLLAMA_KEEP_ALIVE": "in force",
    }


def test_a_default_that_is_asked_for_is_in_force(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        seen = check(server, {"OLLAMA_KEEP_ALIVE": "300", "OLLAMA_MAX_QUEUE": "512"})
    assert seen.in_force
    assert seen.of("OLLAMA_KEEP_ALIVE").why == ""


def test_from_afar_nothing_can_be_told_until_requests_are_sent() -> None:
    with OllamaSimulator([MODEL], num_parallel=2, timing=QUICK, keep_alive=60) as server:
        wanted = {"OLLAMA_NUM_PARALLEL": "2", "OLLAMA_KEEP_ALIVE": "1m", "OLLAMA_MAX_QUEUE": "9"}
        before = verify(facts_of(server.base_url), wanted, run=nothing)
        assert set(states(before).values()) == {"cannot tell"}
        assert "--deep" in before.of("OLLAMA_NUM_PARALLEL").do
        after = verify(facts_of(server.base_url), wanted, deep=True, run=nothing)
    assert states(after) == {
        "OLLAMA_NUM_PARALLEL": "in force",
        "OLLAMA_KEEP_ALIVE": "in force",
        "OLLAMA_MAX_QUEUE": "cannot tell",
    }
    assert after.measured is not None
    assert (after.measured.slots, after.measured.sure) == (2, True)
    assert after.measured.requests == server.count("/api/generate")
    assert after.measured.cold_load_s is not None


@pytest.mark.parametrize(("slots", "expected"), [(1, 4), (5, 2)])
def test_requests_show_the_slots_whatever_was_expected(slots: int, expected: int) -> None:
    with OllamaSimulator([MODEL], num_parallel=slots, timing=QUICK) as server:
        wanted = {"OLLAMA_NUM_PARALLEL": str(expected)}
        seen = verify(facts_of(server.base_url), wanted, deep=True, run=nothing)
    assert seen.measured is not None
    assert (seen.measured.slots, seen.measured.sure) == (slots, True)
    assert seen.in_force == (slots == expected)


def test_a_keep_alive_of_a_client_is_told_from_that_of_the_server(tmp_path: Path) -> None:
    with served(tmp_path, WANTED) as server:
        load(server.url, prompt="Hello", keep_alive="10s")
        facts = facts_of(server.url, server.pid)
        seen = verify(facts, WANTED, deep=True, log=server.log)
    verdict = seen.of("OLLAMA_KEEP_ALIVE")
    assert (verdict.state, verdict.found) == ("not in force", "for 10 s")
    assert verdict.why.startswith("A client sends its own keep_alive")


def test_a_model_that_stays_for_ever() -> None:
    with OllamaSimulator([MODEL], timing=QUICK, keep_alive=float("inf")) as server:
        facts = facts_of(server.base_url)
        wanted = {"OLLAMA_KEEP_ALIVE": "-1"}
        assert verify(facts, wanted, deep=True, run=nothing).in_force
        hour = {"OLLAMA_KEEP_ALIVE": "1h"}
        assert not verify(facts, hour, deep=True, reload=True, run=nothing).in_force


def test_a_log_that_says_for_ever_in_its_own_words_is_believed(tmp_path: Path) -> None:
    wanted = {"OLLAMA_KEEP_ALIVE": "-1"}
    with served(tmp_path, wanted) as server:
        seen = verify(facts_of(server.url), wanted, log=server.log)
        shorter = verify(facts_of(server.url), {"OLLAMA_KEEP_ALIVE": "1h"}, log=server.log)
    assert states(seen) == {"OLLAMA_KEEP_ALIVE": "in force"}
    assert states(shorter) == {"OLLAMA_KEEP_ALIVE": "not in force"}


def test_a_modelfile_is_stronger_than_the_environment(tmp_path: Path) -> None:
    models = {MODEL: SimulatedModel(options={"num_ctx": 2048})}
    with OllamaSimulator(models, context_length=8192) as server:
        load(server.base_url)
        facts = facts_of(server.base_url)
        log = tmp_path / "log"
        log.write_text('msg="server config" env="map[OLLAMA_CONTEXT_LENGTH:8192]"\n')
        seen = verify(facts, {"OLLAMA_CONTEXT_LENGTH": "8192"}, log=log)
    verdict = seen.of("OLLAMA_CONTEXT_LENGTH")
    assert verdict.state == "in force"
    assert "PARAMETER num_ctx 2048, which is stronger" in verdict.why


def test_requests_do_not_load_a_model_where_another_one_is_loaded() -> None:
    with OllamaSimulator([MODEL, "all-minilm"], timing=QUICK) as server:
        httpx.post(f"{server.base_url}/api/embed", json={"model": "all-minilm", "input": "x"})
        wanted = {"OLLAMA_NUM_PARALLEL": "1"}
        seen = verify(facts_of(server.base_url), wanted, deep=True, run=nothing)
        assert seen.measured is not None
        assert "only embedding models are loaded" in seen.measured.error
        assert server.count("/api/generate") == 0
        named = verify(facts_of(server.base_url), wanted, deep=True, model=MODEL, run=nothing)
    assert named.of("OLLAMA_NUM_PARALLEL").state == "in force"


def test_a_load_is_timed_only_where_that_is_asked_for() -> None:
    with OllamaSimulator([MODEL], timing=QUICK) as server:
        load(server.base_url)
        facts = facts_of(server.base_url)
        kept = verify(facts, {}, deep=True, run=nothing).measured
        assert kept is not None
        assert (kept.cold_load_s, server.loads) == (None, 1)
        again = verify(facts, {}, deep=True, reload=True, run=nothing).measured
        assert again is not None
        assert again.cold_load_s is not None
        assert server.loads == 2


def test_a_server_that_fails_amid_the_requests_is_an_error_and_no_crash() -> None:
    with OllamaSimulator([MODEL], timing=QUICK) as server:
        facts = facts_of(server.base_url)
        server.faults.status(500, {"error": "broken"}, path="/api/generate")
        seen = verify(facts, {"OLLAMA_NUM_PARALLEL": "1"}, deep=True, run=nothing)
    assert seen.measured is not None
    assert "broken" in seen.measured.error
    assert seen.of("OLLAMA_NUM_PARALLEL").state == "cannot tell"


def test_a_server_that_is_down_can_tell_nothing() -> None:
    facts = Facts(ollama=Ollama(url="http://user:hunter2@127.0.0.1:9"))
    seen = verify(facts, WANTED, deep=True, run=nothing)
    assert not seen.answers
    assert set(states(seen).values()) == {"cannot tell"}
    assert seen.verdicts[0].why == "The server does not answer"
    assert "hunter2" not in msgspec.json.encode(seen).decode()


def test_a_log_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        verify(Facts(), {}, log=tmp_path / "none")


def test_a_process_of_somebody_else_is_named(tmp_path: Path) -> None:
    facts = Facts(ollama=Ollama(pid=2**22 - 1), models=(ModelFacts(name=MODEL),))
    seen = verify(facts, WANTED, run=nothing)
    process = next(one for one in seen.sources if one.name == "process")
    assert process.what == f"there is no process {2**22 - 1}"
    assert os.getpid() != 2**22 - 1
