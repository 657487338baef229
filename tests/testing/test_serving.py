"""The simulator as a process: it reads its environment as Ollama does, and logs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.bootstrap import kv
from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.config.go_values import bare, go_bool, go_uint, keep_alive, seconds, shown
from aegis_llm.testing import SimulatedModel
from aegis_llm.testing.memory import CACHE_BYTES, HEADS, KV_HEADS, LAYERS, cache_bytes
from aegis_llm.testing.serving_settings import settings_of
from tests.bootstrap.served import served


def ask(url: str, path: str, body: object = None) -> dict[str, object]:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url + path, data=data)) as reply:
        found: dict[str, object] = json.loads(reply.read())
    return found


def test_it_serves_what_its_environment_says(tmp_path: Path) -> None:
    environment = {"OLLAMA_NUM_PARALLEL": "'4'", "OLLAMA_CONTEXT_LENGTH": "8192"}
    with served(tmp_path, environment, "--version", "0.31.1") as server:
        assert ask(server.url, "/api/version") == {"version": "0.31.1"}
        ask(server.url, "/api/generate", {"model": "llama3.1:8b"})
        (loaded,) = ask(server.url, "/api/ps")["models"]
    weights, compute = 4_920_753_328, int(0.75 * 2**30)
    assert loaded["context_length"] == 8192
    assert loaded["size"] == loaded["size_vram"] == weights + (4 << 30) + compute
    log = server.log.read_text()
    assert 'level=INFO source=routes.go:1951 msg="server config" env="map[' in log
    assert " OLLAMA_NUM_PARALLEL:4 " in log


@pytest.mark.parametrize(("option", "logged"), [("--ignore", "1"), ("--disobey", "4")])
def test_a_server_that_does_not_follow_a_variable_can_be_had(
    tmp_path: Path, option: str, logged: str
) -> None:
    given_ = {"OLLAMA_NUM_PARALLEL": "4"}
    with served(tmp_path, given_, option, "OLLAMA_NUM_PARALLEL") as server:
        ask(server.url, "/api/generate", {"model": "llama3.1:8b"})
        (loaded,) = ask(server.url, "/api/ps")["models"]
        assert loaded["size"] == 4_920_753_328 + (512 << 20) + int(0.3 * 2**30)
    assert f" OLLAMA_NUM_PARALLEL:{logged} " in server.log.read_text()


def test_it_ends_with_status_1_where_it_cannot_start() -> None:
    command = [sys.executable, "-m", "aegis_llm.testing.serving", "--refuse", "A=b"]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": ":".join(sys.path), "A": "b"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Error: A=b is not usable" in done.stderr


@pytest.mark.parametrize(
    ("flash", "kind", "error"),
    [
        ("", "q8_0", ""),
        ("off", "q8_0", ""),  # cannot be read, so it is on
        ("0", "q8_0", "requires flash_attn"),
        ("0", "f16", ""),
        ("", "q9_9", "unsupported cache type"),
    ],
)
def test_settings_with_which_no_model_loads(flash: str, kind: str, error: str) -> None:
    read = settings_of({"OLLAMA_FLASH_ATTENTION": flash, "OLLAMA_KV_CACHE_TYPE": kind})
    assert error in read.load_error
    assert bool(read.load_error) == bool(error)


@pytest.mark.parametrize(
    ("text", "stay", "printed"),
    [
        ("30m", 1800, "30m0s"),
        ("1h30m", 5400, "1h30m0s"),
        ("90", 90, "1m30s"),
        ('"10s"', 10, "10s"),
        ("0", 0, "0s"),
        ("-1", float("inf"), "2562047h47m16.854775807s"),
        ("30min", 300, "5m0s"),
        ("1d", 300, "5m0s"),
        ("999999h999999h999999h", 300, "5m0s"),
        ("", 300, "5m0s"),
    ],
)
def test_keep_alive_is_read_as_go_reads_it(text: str, stay: float, printed: str) -> None:
    assert keep_alive(text) == stay
    assert shown(keep_alive(text)) == printed


def test_other_values_are_read_as_go_reads_them() -> None:
    assert [go_bool(text) for text in ("1", "T", "False", "off", "yes")] == [
        True, True, False, None, None,
    ]  # fmt: skip
    assert [go_uint(text) for text in ("4", "-1", "+4", "4_0", "", str(2**64))] == [
        4, None, None, None, None, None,
    ]  # fmt: skip
    assert bare(""" "'4'" """) == "4"
    assert settings_of({"OLLAMA_NUM_PARALLEL": "0"}).num_parallel == 1
    assert settings_of({"OLLAMA_MAX_QUEUE": "-1"}).bad == {"OLLAMA_MAX_QUEUE": "-1"}
    assert settings_of({"OLLAMA_HOST": "0.0.0.0"}).address == ("0.0.0.0", 11434)
    assert settings_of({"OLLAMA_HOST": "http://10.0.0.1:99/x"}).address == ("10.0.0.1", 99)


@given(st.integers(0, 10**6))
def test_a_printed_duration_is_read_again(whole: int) -> None:
    assert seconds(shown(float(whole))) == whole


@given(st.sampled_from(sorted(CACHE_BYTES)), st.integers(1, 200_000), st.integers(1, 16))
def test_the_simulated_cache_takes_what_the_tuner_computes(
    kind: str, context: int, slots: int
) -> None:
    model = SimulatedModel()
    facts = ModelFacts(
        name="m",
        layers=LAYERS,
        heads=HEADS,
        kv_heads=(KV_HEADS,),
        embedding_length=model.embedding_length,
    )
    assert cache_bytes(model, context, slots, kind) == kv.kv_bytes(facts, context, slots, kind)
