"""`aegis-llm invalidate`, as a person types it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from aegis_llm import ConfigError, StoreTrouble, cache_control, cli
from aegis_llm.config import AegisConfig
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build


def request(question: str) -> Request:
    return Request("m", ({"role": "user", "content": question},), identity="x")


def invalidate(*arguments: str, fails: type[Exception] | None = None) -> str:
    result = CliRunner().invoke(cli.app, ["invalidate", *arguments])
    if fails is None:
        assert result.exit_code == 0, result.output
    else:
        assert isinstance(result.exception, fails)
        return str(result.exception)
    return " ".join(result.output.split())


def test_it_removes_what_was_made_from_a_document_or_has_a_tag(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEGIS_REDIS_URL", redis_url)
    service = build(AegisConfig().with_options(redis_url=redis_url, namespace=namespace))
    for question, given in (
        ("1?", {"documents": ["d1"]}),
        ("2?", {"documents": ["d2"]}),
        ("3?", {"tags": ["t"]}),
        ("4?", {}),
    ):
        with cache_control(**given):  # type: ignore[arg-type]
            service.open(request(question)).store(Answer(text="x", done_reason="stop"))

    def left() -> list[str]:
        service.local.clear()
        found = [q for q in ("1?", "2?", "3?", "4?") if service.open(request(q)).entry]
        service.flights.renew()
        return found

    here = ["--namespace", namespace]
    assert "1 answer of" in invalidate("--document", "d1", *here)
    assert left() == ["2?", "3?", "4?"]
    both = invalidate("--document", "d2", "--tag", "t", "--redis-url", redis_url, *here)
    assert "2 answers of" in both
    assert left() == ["4?"]
    assert "0 answers of" in invalidate("--document", "nobody's", *here)
    assert f"All answers of {namespace}" in invalidate("--all", *here)
    service.store.renew()
    assert left() == []
    service.store.close()


def test_what_it_cannot_do_it_says() -> None:
    assert "needs a document" in invalidate(fails=ConfigError)
    assert "needs a document" in invalidate("--all", "--tag", "x", fails=ConfigError)
    memory = invalidate("--all", "--redis-url", "memory://x", fails=ConfigError)
    assert "its own process" in memory
    secret = "redis://:hunter2@127.0.0.1:1"
    said = invalidate("--all", "--redis-url", secret, fails=StoreTrouble)
    assert said.startswith("redis_down: ")
    assert "hunter2" not in said
