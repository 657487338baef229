"""`aegis-llm simulate`: a plan from figures, a trace or a server, and a sentence for bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from aegis_llm.batching.jobs import Reply
from aegis_llm.cli_measure import speeds
from aegis_llm.errors import AegisError
from aegis_llm.testing import HashedNgrams, ManualClock, OllamaSimulator, Timing

Command = Callable[..., Result]
FIGURES = ("--prefill", "2000", "--decode", "50", "--requests", "300")
LINE = '{"at": %s, "prompt_tokens": 900, "output_tokens": 50, "prefix": "a", "prefix_tokens": 800}'


@pytest.fixture
def simulate(command: Command) -> Command:
    """Runs the command with figures of its own."""
    return lambda *arguments: command("simulate", *FIGURES, *arguments)


def told(result: Result) -> dict[str, Any]:
    """The plan that `--json` prints."""
    assert result.exit_code == 0, result.output
    plan: dict[str, Any] = json.loads(result.output)
    return plan


def test_a_plan_in_words(simulate: Command) -> None:
    result = simulate("--rate", "0.5", "--hit-rate", "0.5")
    assert result.exit_code == 0, result.output
    for words in ("Reads 2,000 tokens/s", "NUM_PARALLEL=8 gives at most", "times that of 4",
                  "One server is outgrown above", "when 50% are answered by the cache",
                  "Assumed:", "--prefill and --decode", "Poisson", "Not modelled",
                  "+ llm = ChatOpenAI(base_url=", "OpenAILike(api_base="):  # fmt: skip
        assert words in result.output.replace("\n", " ")


def test_a_plan_as_data(simulate: Command) -> None:
    plan = told(simulate("--rate", "0.5", "--num-parallel", "4,1,4", "--json"))
    assert list(plan) == ["v", "speed", "servers", "rate", "concurrent", "hit_rate", "targets",
                          "rows", "sentences", "assumptions"]  # fmt: skip
    assert (plan["v"], plan["rate"], plan["targets"]) == (1, 0.5, {"ttft": 2.0, "latency": None})
    assert [row["parallel"] for row in plan["rows"]] == [1, 4]
    row = plan["rows"][1]
    assert list(row) == ["parallel", "scheduler", "outcome", "overloaded", "capacity",
                         "sustained", "sustained_with_cache"]  # fmt: skip
    assert list(row["outcome"]) == [
        "requests", "hits", "refused", "seconds", "requests_per_s", "tokens_per_s", "ttft",
        "latency", "wait", "longest_queue", "slot_use", "prefill_tokens", "prefill_saved",
        "loads", "tenants",
    ]  # fmt: skip
    assert row["outcome"]["requests"] == 300
    assert row["capacity"] > 3 * plan["rows"][0]["capacity"]


def test_the_same_seed_prints_the_same(simulate: Command) -> None:
    given = ("--rate", "0.5", "--num-parallel", "2", "--json")
    assert simulate(*given).output == simulate(*given, "--seed", "0").output
    assert simulate(*given).output != simulate(*given, "--seed", "1").output


def test_targets_servers_and_callers(simulate: Command) -> None:
    given = ("--concurrent", "8", "--num-parallel", "4", "--json")
    one = told(simulate(*given, "--target-latency", "20"))
    assert one["targets"] == {"ttft": None, "latency": 20.0}
    assert one["rows"][0]["outcome"]["longest_queue"] == 4
    two = told(simulate(*given, "--servers", "2"))
    assert two["rows"][0]["capacity"] > 1.9 * one["rows"][0]["capacity"]
    both = told(simulate(*given, "--target-latency", "20", "--target-ttft", "1"))
    assert both["targets"] == {"ttft": 1.0, "latency": 20.0}


def test_the_scheduler_beside_none(simulate: Command) -> None:
    given = ("--rate", "0.2", "--prompt-tokens", "2035", "--prefix-tokens", "2000", "--contexts",
             "8", "--host-cache-tokens", "0", "--num-parallel", "4")  # fmt: skip
    off, on = told(simulate(*given, "--scheduler", "both", "--json"))["rows"]
    assert (off["scheduler"], on["scheduler"]) == (False, True)
    assert on["capacity"] > 1.1 * off["capacity"]
    shown = simulate(*given, "--scheduler", "on").output
    assert "with the scheduler gives" in shown


def test_a_machine_names_its_source(command: Command) -> None:
    result = command("simulate", "--machine", "dgx-spark", "--rate", "0.1", "--requests", "300")
    assert result.exit_code == 0, result.output
    assert "benches/dgx-spark.md" in result.output


def test_a_trace(simulate: Command, tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_text("\n".join(LINE % at for at in (5, 1, 3, 9)))
    plan = told(simulate("--trace", str(path), "--num-parallel", "1", "--json"))
    seen = plan["rows"][0]["outcome"]
    assert (seen["requests"], plan["rate"]) == (4, 3 / 8)
    assert seen["prefill_saved"] == pytest.approx(3 * 800 / 3600)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "day.jsonl: no requests"),
        (LINE % 1 + "\n" + LINE % 2 + "\nnot JSON", "day.jsonl, line 3: "),
        (LINE % '"x"', "line 1: Expected `float`, got `str` - at `$.at`"),
    ],
)
def test_a_bad_trace_is_one_sentence(
    simulate: Command, tmp_path: Path, text: str, sentence: str
) -> None:
    path = tmp_path / "day.jsonl"
    path.write_text(text)
    refused(simulate("--trace", str(path)), sentence)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((), "give --rate, --concurrent or --trace"),
        (("--rate", "1", "--concurrent", "2"), "rate and concurrent is not usable; give one"),
        (("--rate", "-1"), "rate=-1.0 is not usable"),
        (("--rate", "0"), "rate=0.0"),
        (("--rate", "nan"), "rate=nan"),
        (("--concurrent", "0"), "concurrent=0"),
        (("--rate", "1", "--num-parallel", "0"), "parallel=0 is not usable"),
        (("--rate", "1", "--num-parallel", "4,-2"), "parallel=-2"),
        (("--rate", "1", "--num-parallel", "four"), "'four' is not usable"),
        (("--rate", "1", "--num-parallel", ""), "'' is not usable"),
        (("--rate", "1", "--servers", "0"), "servers=0"),
        (("--rate", "1", "--prompt-tokens", "0"), "prompt_tokens=0"),
        (("--rate", "1", "--prefix-tokens", "500"), "prefix_tokens=500"),
        (("--rate", "1", "--hit-rate", "1"), "hit_rate=1.0"),
        (("--rate", "1", "--vary", "-1"), "vary=-1.0"),
        (("--rate", "1", "--target-ttft", "0"), "ttft=0.0"),
        (("--rate", "1", "--decode", "fast"), "decode='fast' is not usable"),
        (("--rate", "1", "--decode", "2:50"), "from one slot on"),
        (("--rate", "1", "--decode", "0"), "decode[1]=0.0"),
        (("--rate", "1", "--decode", "1:50,2:90", "--contention", "0.1"), "give one of the two"),
        (("--rate", "1", "--prefill", "-5"), "prefill=-5.0"),
        (("--rate", "1", "--machine", "dgx-spark"), "Give one of --machine"),
        (("--trace", "no-such-file"), "no-such-file cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_sentence(
    simulate: Command, given: tuple[str, ...], sentence: str
) -> None:
    refused(simulate(*given), sentence)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((), "Give one of --machine"),
        (("--machine", "cray-1"), "no machine 'cray-1' is known; give one of dgx-spark"),
        (("--prefill", "100"), "Give both"),
        (("--machine", "dgx-spark", "--contention", "1"), "leave --contention out"),
        (("--machine", "dgx-spark", "--from", "http://127.0.0.1:1"), "Give one of"),
        (("--from", "http://[bad"), "not usable"),
    ],
)
def test_a_speed_that_is_not_given_is_one_sentence(
    command: Command, given: tuple[str, ...], sentence: str
) -> None:
    refused(command("simulate", "--rate", "1", *given), sentence)


def refused(result: Result, sentence: str) -> None:
    """Check that a sentence of one line says what is wrong."""
    assert result.exit_code == 2, result.output
    assert sentence in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_server_is_measured(command: Command) -> None:
    """Its clock only moves by what the model does, so the speeds come out as they are."""
    timing = Timing(load=3.0, prefill=500.0, decode=20.0)
    sim = OllamaSimulator(timing=timing, clock=ManualClock(), embedder=HashedNgrams())
    given = ("--rate", "0.1", "--requests", "200", "--num-parallel", "1", "--json")
    with sim:
        plan = told(command("simulate", "--from", sim.base_url, *given))
    assert plan["speed"]["prefill"] == pytest.approx(500, rel=0.01)
    assert plan["speed"]["decode"] == [[1, pytest.approx(20, rel=0.01)]]
    assert "llama3.1:8b at http://127.0.0.1" in plan["speed"]["source"]
    assert sim.count("/api/generate") == 5


def test_a_server_that_is_not_there_or_has_no_such_model(
    command: Command, ollama: OllamaSimulator
) -> None:
    absent = command("simulate", "--rate", "1", "--from", "http://u:secret@127.0.0.1:1")
    assert (absent.exit_code, "no Ollama answers at" in absent.output) == (1, True)
    assert "secret" not in absent.output
    unknown = command("simulate", "--rate", "1", "--from", ollama.base_url, "--model", "no-such")
    assert (unknown.exit_code, "ollama pull no-such" in unknown.output) == (1, True)


def reply(**more: float) -> Reply:
    given: dict[str, Any] = {
        "load_s": 0.0, "prefill_s": 1.0, "decode_s": 2.0, "wait_s": 0.0, "prompt_tokens": 1000,
        "output_tokens": 64,
    }  # fmt: skip
    return Reply(**(given | more))


def test_what_replies_say_of_the_speed() -> None:
    pair = [reply(decode_s=2.2), reply(decode_s=2.2)]
    assert speeds(reply(), reply(), pair) == pytest.approx((1000, 32, 0.1))
    queued = [reply(), reply(wait_s=2.0)]  # one slot: the second waited
    assert speeds(reply(), reply(), queued).contention is None
    with pytest.raises(AegisError, match="could be timed"):
        speeds(reply(), reply(output_tokens=0), pair)
