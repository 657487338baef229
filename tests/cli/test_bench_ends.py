"""How a bench ends when something is in its way: a full disk, a login."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from aegis_llm.bench.results import decode
from aegis_llm.testing import OllamaSimulator
from tests.cli.bench_kit import SMALL, Command, commands, fast_server

FEW = (*SMALL[:-2], "--cache", "0", "--no-cold", "--rounds", "1")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    return commands(monkeypatch, tmp_path)


@pytest.fixture
def server() -> Iterator[OllamaSimulator]:
    with fast_server() as simulator:
        yield simulator


@pytest.mark.parametrize("out", ["nowhere/now", "file/now"])
def test_a_place_that_cannot_be_written_is_found_out_beforehand(
    run: Command, server: OllamaSimulator, tmp_path: Path, out: str
) -> None:
    (tmp_path / "file").write_text("")
    result = run("--url", server.base_url, "--out", out, *FEW)
    assert result.exit_code == 2
    assert "cannot be written" in " ".join(result.output.split())
    assert server.count("/api/chat") == 0


def test_what_was_measured_is_kept_elsewhere_when_its_place_is_gone(
    run: Command, server: OllamaSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if elsewhere not in path.parents:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    result = run("--url", server.base_url, "--out", "now", *FEW)
    assert result.exit_code == 0, result.output
    assert "No space left on device" in " ".join(result.output.split())
    (kept,) = elsewhere.glob("aegis-bench-*/now.json")
    assert decode(kept.read_bytes(), "now.json").requests


def test_nothing_is_left_in_a_redis_that_others_use(
    run: Command, server: OllamaSimulator, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("somebody:else", "1")
        before = set(client.keys("*"))
        url = ("--url", server.base_url, "--redis-url", redis_url)
        run(*url, "--out", "now", *FEW, "--cache", "12")
        assert set(client.keys("*")) == before
        indexes = client.execute_command("FT._LIST") if searches(client) else []
        assert [name for name in indexes if b"bench-" in name] == []


def searches(client: redis.Redis) -> bool:
    return any(one.get(b"name", one.get("name")) == b"search" for one in client.module_list())


def test_a_password_for_a_proxy_reaches_it_and_nothing_else(
    run: Command, tmp_path: Path, redis_url: str
) -> None:
    with fast_server() as server:
        url = server.base_url.replace("http://", "http://me:hunter2@")
        result = run(
            "--url",
            url,
            "--redis-url",
            redis_url,
            "--out",
            "now",
            *FEW,
            "--cache",
            "4",
            "--way",
            "both",
        )
        assert result.exit_code in (0, 3), result.output
        seen = {call.headers.get("authorization") for call in server.calls}
    assert seen == {"Basic bWU6aHVudGVyMg=="}
    for ending in ("json", "md", "html"):
        text = (tmp_path / f"now.{ending}").read_text()
        assert "hunter2" not in text
        assert "bWU6aHVudGVyMg" not in text
    assert "hunter2" not in result.output
