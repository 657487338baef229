"""A fact file is what the probe prints, and what cannot be is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from aegis_llm.bootstrap.facts import Cpu, Facts, Gpu, Memory, ModelFacts, Unknown
from aegis_llm.bootstrap.probing import probe, read_facts
from aegis_llm.cli_bootstrap.given import facts_of
from aegis_llm.errors import ConfigError
from tests.bootstrap.machines import DGX_SPARK, SPARK_SMI, Commands, planted


def written(path: Path, content: bytes | str | Facts) -> Path:
    """Write a fact file; return its path."""
    target = path / "facts.json"
    raw = msgspec.json.encode(content) if isinstance(content, Facts) else content
    target.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return target


def test_what_the_probe_found_comes_back(tmp_path: Path) -> None:
    facts = probe(root=planted(tmp_path / "root", DGX_SPARK), run=Commands(SPARK_SMI))
    assert read_facts(written(tmp_path, facts)) == facts


def test_a_few_fields_are_enough_and_the_file_is_their_source(tmp_path: Path) -> None:
    path = written(tmp_path, '{"memory": {"total": 8589934592}, "gpus": []}')
    facts = read_facts(path)
    assert (facts.memory.total, facts.gpus, facts.source) == (8 << 30, (), str(path))


def test_what_was_filled_in_is_no_longer_unknown(tmp_path: Path) -> None:
    whats = ("cpu.physical_cores", "memory.total", "gpus", "gpus.0.memory",
             "models.llama3.1:8b.layers", "models.llama3.1:8b.size", "models.b:1")  # fmt: skip
    unknown = tuple(Unknown(what=what, why="w", give="g") for what in whats)
    facts = Facts(
        cpu=Cpu(physical_cores=4),
        gpus=(Gpu(vendor="nvidia", name="x"),),
        models=(ModelFacts(name="llama3.1:8b", layers=32),),
        unknown=unknown,
    )
    left = [one.what for one in read_facts(written(tmp_path, facts)).unknown]
    assert left == ["memory.total", "gpus.0.memory", "models.llama3.1:8b.size", "models.b:1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        (b"\xff", "no JSON"),
        ("[]", "expected `object`, got `array` at the top"),
        ('{"memory": {"total": -1}}', "expected `int` >= 0 at memory.total"),
        ('{"memory": {"total": "8 GB"}}', "expected `int | null`, got `str` at memory.total"),
        ('{"memory": {"totl": 1}}', "no field 'totl' at memory; did you mean 'total'"),
        ('{"cpus": {}}', "no field 'cpus' at the top; did you mean 'cpu'"),
        ('{"cpu": {"physical_cores": 0}}', "expected `int` >= 1 at cpu.physical_cores"),
        ('{"v": 2}', "at v"),
        ('{"os": "beos"}', "at os"),
        ('{"gpus": [{"vendor": "nvidia", "name": "x", "memory": 1, "free": 2}]}', "gpus.0.free"),
        ('{"memory": {"total": 1, "available": 2}}', "memory.available is 2, which is more than"),
        ('{"memory": {"total": 0}}', "memory.total is 0"),
        ('{"cpu": {"physical_cores": 8, "logical_cores": 4}}', "cpu.physical_cores is 8"),
        ('{"models": [{"name": "a"}, {"name": "a"}]}', "the model a is there twice"),
        ('{"models": [{"name": "a", "layers": 3, "kv_heads": [1, 2]}]}', "2 numbers for 3 layers"),
        ('{"models": [{"name": "a", "layers": 2147483647}]}', "<= 10000 at models[0].layers"),
        ('{"memory": {"bandwidth": -3}}', "at memory.bandwidth"),
        ('{"memory": {"bandwidth": NaN}}', "no JSON"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    tmp_path: Path, content: bytes | str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_facts(written(tmp_path, content))
    assert said.lower() in str(caught.value).lower()
    assert "facts.json" in str(caught.value)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_facts(tmp_path / "absent.json")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_facts(tmp_path)


def test_a_file_and_a_profile_exclude_each_other(tmp_path: Path) -> None:
    path = written(tmp_path, Facts(memory=Memory(total=1)))
    assert facts_of(host_facts=path).memory.total == 1
    with pytest.raises(ConfigError, match="not both"):
        facts_of(host_facts=path, profile="dgx-spark")
