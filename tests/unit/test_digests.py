"""Digests of models: known without waiting, refreshed behind the scenes, kept for others."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import msgspec
import pytest

from aegis_llm.errors import StoreTrouble
from aegis_llm.keys import digest_key
from aegis_llm.plan import Put
from aegis_llm.scheduler.digests import REFRESH_S, RETRY_S, DigestBook
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.testing import ManualClock

SERVER = "http://ollama:11434"


class Ollama:
    """A source of digests that can be asked, or not."""

    def __init__(self, server: str = SERVER, **digests: str) -> None:
        self.server = server
        self.digests: Any = digests or {"m": "one"}
        self.error: Exception | None = None
        self.asked = 0

    def fetch(self) -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.digests


class Pool:
    """Runs jobs when told to, so that a test sees what happens before."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Any], Any]] = []

    def submit(self, call: Any, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append((future, lambda: call(*args)))
        return future

    def run(self) -> int:
        jobs, self.jobs = self.jobs, []
        for future, call in jobs:
            future.set_result(call())
        return len(jobs)


class Process:
    """What one process knows; several may share a store."""

    def __init__(self, source: Ollama | None, store: Any = None) -> None:
        self.clock, self.pool = ManualClock(), Pool()
        self.store = MemoryStore() if store is None else store
        self.book = DigestBook(
            self.store,
            "ns",
            self.pool,  # type: ignore[arg-type]
            self.clock.monotonic,
        )
        if source is not None:
            self.book.register(source)

    def digest(self, model: str = "m:latest", server: str = SERVER) -> str | None:
        """Ask as a request does that waits for the first answer."""
        digest, fetching = self.book.look(server, model)
        if digest is None and fetching is not None:
            self.pool.run()
            assert fetching.done()
            digest = self.book.known(server, model)
        return digest


def test_the_first_request_waits_for_the_list_and_the_others_for_the_same() -> None:
    process = Process(Ollama())
    looks = [process.book.look(SERVER, "m:latest") for _ in range(5)]
    assert [digest for digest, _ in looks] == [None] * 5
    assert len({id(fetching) for _, fetching in looks}) == 1
    assert process.pool.run() == 1
    assert process.book.look(SERVER, "m:latest") == ("one", None)


def test_within_a_minute_ollama_is_not_asked_again() -> None:
    source = Ollama()
    process = Process(source)
    for _ in range(59):
        assert process.digest() == "one"
        assert process.pool.run() == 0
        process.clock.advance(1)
    assert source.asked == 1
    assert REFRESH_S == 60


def test_after_a_minute_it_is_asked_once_in_the_background() -> None:
    source = Ollama()
    process = Process(source)
    process.digest()
    source.digests = {"m": "two"}
    process.clock.advance(60)
    for _ in range(5):
        assert process.book.look(SERVER, "m:latest") == ("one", None), "nobody waits"
    assert process.pool.run() == 1
    assert process.digest() == "two"
    assert source.asked == 2


def test_a_model_that_was_pulled_anew_is_another_within_a_minute() -> None:
    source = Ollama()
    process = Process(source)
    seen = []
    for second in range(130):
        if second == 30:
            source.digests = {"m": "two"}
        seen.append(process.digest())
        process.pool.run()
        process.clock.advance(1)
    assert seen[29] == "one"
    assert seen[91] == "two"


def test_a_model_that_is_not_there_is_not_known() -> None:
    process = Process(Ollama())
    assert process.digest("other:latest") is None
    assert process.book.look(SERVER, "other:latest") == (None, None), "nobody waits again"


def test_a_model_pulled_later_becomes_known() -> None:
    source = Ollama()
    process = Process(source)
    assert process.digest("new:latest") is None
    source.digests = {"m": "one", "new": "n"}
    process.clock.advance(60)
    process.digest("new:latest")
    process.pool.run()
    assert process.digest("new:latest") == "n"


def test_a_model_that_was_removed_is_no_longer_known() -> None:
    source = Ollama()
    process = Process(source)
    process.digest()
    source.digests = {"other": "x"}
    process.clock.advance(60)
    process.digest()
    process.pool.run()
    assert process.digest() is None


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), ValueError("html")])
def test_while_ollama_is_gone_the_last_known_stays(error: Exception) -> None:
    source = Ollama()
    process = Process(source)
    process.digest()
    source.error = error
    for _ in range(10):
        process.clock.advance(60)
        assert process.digest() == "one"
        process.pool.run()
    assert process.digest() == "one"
    source.error = None
    source.digests = {"m": "two"}
    process.clock.advance(RETRY_S)
    process.digest()
    process.pool.run()
    assert process.digest() == "two"


def test_one_that_is_gone_is_tried_again_after_seconds_not_at_every_request() -> None:
    source = Ollama()
    source.error = ConnectionRefusedError()
    process = Process(source)
    assert process.digest() is None
    for _ in range(20):
        assert process.digest() is None
        assert process.pool.run() == 0
    process.clock.advance(RETRY_S)
    source.error = None
    process.digest()
    process.pool.run()
    assert process.digest() == "one"


def test_a_new_process_knows_what_an_earlier_one_kept() -> None:
    earlier = Process(Ollama())
    earlier.digest()
    gone = Ollama()
    gone.error = ConnectionRefusedError()
    later = Process(gone, earlier.store)
    assert later.digest() == "one"


def test_what_was_never_known_is_none() -> None:
    gone = Ollama()
    gone.error = ConnectionRefusedError()
    assert Process(gone).digest() is None
    assert Process(None).digest() is None
    assert Process(Ollama()).digest(server="http://elsewhere") is None


class BrokenStore:
    """A store that cannot be asked, or holds something else."""

    def __init__(self, held: bytes | Exception) -> None:
        self.held = held
        self.puts: list[Put] = []

    def get(self, key: str) -> bytes:
        if isinstance(self.held, Exception):
            raise self.held
        return self.held

    def put(self, put: Put) -> None:
        self.puts.append(put)
        if isinstance(self.held, Exception):
            raise self.held


@pytest.mark.parametrize(
    "held",
    [StoreTrouble("redis_down"), b"", b"junk", b"[]", b'{"m": 1}', b"\xff", RuntimeError("bug")],
)
def test_a_store_that_does_not_help_does_no_harm(held: Any) -> None:
    source = Ollama()
    source.error = ConnectionRefusedError()
    process = Process(source, BrokenStore(held))
    digest, fetching = process.book.look(SERVER, "m:latest")
    assert fetching is not None
    if isinstance(held, RuntimeError):
        with pytest.raises(RuntimeError):
            process.pool.run()
    else:
        process.pool.run()
    assert process.book.known(SERVER, "m:latest") is digest is None
    process.clock.advance(RETRY_S)
    source.error = None
    process.book.look(SERVER, "m:latest")
    assert process.pool.run() == 1, "it is never asked again"
    assert process.digest() == "one"


def test_the_list_is_stored_when_it_has_changed_and_for_long() -> None:
    source = Ollama()
    process = Process(source, BrokenStore(b""))
    for digests in ({"m": "one"}, {"m": "one"}, {"m": "two"}, {}):
        source.digests = digests
        process.digest()
        process.pool.run()
        process.clock.advance(60)
    puts = process.store.puts
    assert [put.key for put in puts] == [digest_key("ns", SERVER)] * 2
    assert [msgspec.json.decode(put.data) for put in puts] == [
        {"m:latest": "one"}, {"m:latest": "two"},
    ]  # fmt: skip
    assert all(put.ttl_ms >= 86400 * 1000 for put in puts)


def test_two_servers_are_two_lists() -> None:
    process = Process(Ollama())
    process.book.register(Ollama("http://other", m="elsewhere"))
    assert process.digest() == "one"
    assert process.digest(server="http://other") == "elsewhere"
    assert digest_key("ns", SERVER) != digest_key("ns", "http://other")


@pytest.mark.parametrize(
    ("listed", "asked"),
    [("m", "m:latest"), ("m:latest", "m:latest"), ("M:Latest", "m:latest"),
     ("registry.ollama.ai/library/m:latest", "m:latest"), ("me/m:8B-Q4", "me/m:8b-q4")],
)  # fmt: skip
def test_a_name_is_found_however_it_is_written(listed: str, asked: str) -> None:
    assert Process(Ollama(**{listed: "x"})).digest(asked) == "x"


def test_a_model_without_a_digest_is_not_known() -> None:
    assert Process(Ollama(m="")).digest() is None


def test_the_latest_source_of_a_server_is_asked() -> None:
    process = Process(Ollama())
    process.book.register(Ollama(m="latest source"))
    assert process.digest() == "latest source"


def test_after_long_silence_the_first_request_waits_for_the_list() -> None:
    source = Ollama()
    process = Process(source)
    process.digest()
    source.digests = {"m": "two"}
    process.clock.advance(2 * REFRESH_S)
    digest, fetching = process.book.look(SERVER, "m:latest")
    assert digest == "one"
    assert fetching is not None, "the model may have been pulled anew in all that time"
    process.pool.run()
    assert process.book.known(SERVER, "m:latest") == "two"


def test_one_request_waits_in_vain_for_a_list_and_no_other() -> None:
    process = Process(Ollama())
    _, fetching = process.book.look(SERVER, "m:latest")
    assert fetching is not None
    process.book.gave_up(SERVER, fetching)
    assert process.book.look(SERVER, "m:latest") == (None, None)
    process.pool.run()
    assert process.book.look(SERVER, "m:latest") == ("one", None)
