"""`aegis-llm reject` and `labels`, called as from a shell, on a real Redis."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aegis_llm import observe, wiring
from aegis_llm.cli import app
from aegis_llm.config import AegisConfig
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build
from tests.langchain.kit import PATIENT

FIRST = "How do I reset my password?"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AEGIS_REDIS_URL", "AEGIS_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(redis_url: str, namespace: str) -> Any:
    """Runs a command on the test's namespace."""

    def run(*arguments: str, url: str = redis_url) -> Result:
        given = [*arguments, "--redis-url", url, "--namespace", namespace]
        return CliRunner().invoke(app, given, env={"COLUMNS": "200"})

    return run


@pytest.fixture
def stored(redis_url: str, namespace: str) -> str:
    """The id of an entry that another process stored."""
    config = AegisConfig().with_options(redis_url=redis_url, namespace=namespace, **PATIENT)
    service = build(config)
    request = Request("m", ({"role": "user", "content": FIRST},), identity="test")
    with observe() as seen:
        service.open(request).store(Answer("By asking.", done_reason="stop"))
        assert service.open(request).reported().hit
    service.store.close()
    assert seen[0].entry_id is not None
    return seen[0].entry_id


def test_an_entry_of_another_process_is_removed(run: Any, stored: str) -> None:
    done = run("reject", stored)
    assert done.exit_code == 0, done.output
    assert "Removed." in done.output
    again = run("reject", stored)
    assert again.exit_code == 1
    assert "There is no entry" in again.output


@pytest.mark.parametrize("entry", ["*", "abc"])
def test_what_is_no_entry_is_said(run: Any, stored: str, entry: str) -> None:
    assert run("reject", entry).exit_code == 1
    assert run("reject", stored).exit_code == 0


def test_with_the_question_the_rejection_is_a_wrong_label(run: Any, stored: str) -> None:
    assert run("reject", stored, "--asked", "How do I change my name?").exit_code == 0
    wiring.forget_all()
    told = run("labels")
    assert told.exit_code == 0, told.output
    assert "right 0, wrong 1" in told.output
    assert "last 0 drawn blindly" in told.output


def test_redis_down_is_one_sentence(run: Any) -> None:
    from aegis_llm.errors import StoreTrouble

    done = run("reject", "a" * 64, url="redis://127.0.0.1:1")
    assert isinstance(done.exception, StoreTrouble)  # `main` makes a line of it
