"""Putting the parts together: what is shared, and that nothing happens before the first use."""

from __future__ import annotations

import socket
import subprocess
import threading
from typing import Any

import pytest

from aegis_llm import wiring
from aegis_llm.config import AegisConfig
from aegis_llm.wiring import build, connect, say_once, server_name


class Embedder:
    """An embedder that must not be asked."""

    def __init__(self, embedding_id: str = "e") -> None:
        self.embedding_id = embedding_id

    def embed(self, text: str) -> list[float]:
        raise AssertionError(text)


def config(**options: Any) -> AegisConfig:
    return AegisConfig().with_options(**({"redis_url": "memory://"} | options))


URLS = [
    "redis://:hunter2@localhost:1", "rediss://localhost:1", "unix:///nowhere.sock", "memory://",
    "redis+sentinel://localhost:1/main", "redis+cluster://localhost:1", "embedded://",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_connecting_does_nothing_yet(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("no I/O and no thread before the first use")

    for where, name in (
        (socket.socket, "connect"), (socket, "getaddrinfo"), (threading.Thread, "start"),
        (subprocess, "Popen"),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, forbidden)
    answering = connect(config(redis_url=url), Embedder())
    assert "hunter2" not in repr(answering.service.store)
    assert "hunter2" not in caplog.text


def test_models_with_the_same_settings_share_everything() -> None:
    one = connect(config(ttl=60), Embedder())
    assert connect(config(ttl=60), Embedder()) is one
    assert connect(config(ttl=61), Embedder()) is not one
    assert connect(config(ttl=60), Embedder("other")) is not one
    assert connect(config(ttl=60)) is not one


def test_only_the_latest_settings_are_kept() -> None:
    """A model made anew for each request finds its connections; settings do not pile up."""
    first = connect(config(ttl=1))
    for ttl in range(2, 9):
        connect(config(ttl=ttl))
    assert connect(config(ttl=1)) is first
    connect(config(ttl=100))
    assert connect(config(ttl=1)) is first
    for ttl in range(200, 208):
        connect(config(ttl=ttl))
    assert connect(config(ttl=1)) is not first


def test_threads_that_connect_at_once_get_one() -> None:
    meeting = threading.Barrier(8, timeout=10)
    got: list[Any] = []

    def work() -> None:
        meeting.wait()
        got.append(connect(config()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in got}) == 1


@pytest.mark.parametrize(
    ("embedder", "options", "semantic"),
    [
        (Embedder(), {}, True),
        (None, {}, False),
        (Embedder(), {"store_prompts": False}, False),
    ],
)
def test_the_semantic_tier_needs_an_embedder_and_the_questions(
    embedder: Any, options: dict[str, Any], semantic: bool
) -> None:
    assert build(config(**options), embedder).rules.semantic is semantic


def test_settings_reach_the_parts() -> None:
    service = build(config(ttl=7, local_max_bytes=0, single_flight=False))
    assert service.rules.cache.ttl == 7
    service.local.put("k", b"v", 60)
    assert service.local.get("k") is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://ollama:11434", "http://ollama:11434"),
        ("http://ollama:11434/", "http://ollama:11434"),
        ("https://user:hunter2@gpu.example/ollama?key=hunter2", "https://gpu.example/ollama"),
        ("http://10.0.0.7:11434", "http://10.0.0.7:11434"),
        ("http://[2001:db8::1]:11434", "http://[2001:db8::1]:11434"),
    ],
)
def test_a_server_elsewhere_is_named_by_its_url_without_secrets(url: str, name: str) -> None:
    assert server_name(url) == name


@pytest.mark.parametrize(
    "url",
    ["http://localhost:11434", "http://127.0.0.1:11434", "http://127.1.2.3", "http://[::1]:11434"],
)
def test_a_server_on_this_machine_carries_the_machines_name(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "mine")
    assert server_name(url) == f"{url}@mine"


def test_a_sentence_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        say_once("one thing")
        say_once("another")
    assert caplog.messages == ["one thing", "another"]
    wiring.forget_all()
    say_once("one thing")
    assert len(caplog.messages) == 3
