"""The service between adapters and plans: it never costs an answer, whatever breaks inside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from aegis_llm import NotCachedError, cache_control, observe
from aegis_llm import answering as answering_module
from aegis_llm import lookup as lookup_module
from aegis_llm import service as service_module
from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig
from aegis_llm.errors import StoreTrouble
from aegis_llm.lookup import Lookup
from aegis_llm.quiet import Quiet
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build

REQUEST = Request("m:latest", ({"role": "user", "content": "Why?"},), server="s")
NAMED = Request("m", ({"role": "user", "content": "Why?"},), identity="test")


@pytest.fixture(autouse=True)
def _talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was said before."""
    for module in (service_module, lookup_module, answering_module):
        monkeypatch.setattr(module, "_quiet", Quiet())


class Broken(MemoryStore):
    """A store with a bug: it raises what no store may raise."""

    def __init__(self, *methods: str) -> None:
        super().__init__()
        self.methods = methods
        self.error: Exception = ZeroDivisionError("a bug")

    def _check(self, method: str) -> None:
        if method in self.methods:
            raise self.error

    def get(self, key: str) -> bytes | None:
        self._check("get")
        return super().get(key)

    async def aget(self, key: str) -> bytes | None:
        return self.get(key)

    def put(self, put: Any) -> None:
        self._check("put")
        super().put(put)

    async def aput(self, put: Any) -> None:
        self.put(put)


class Source:
    """Knows the digest of one model."""

    server = "s"

    def __init__(self) -> None:
        self.asked = 0

    def fetch(self) -> dict[str, str]:
        self.asked += 1
        return {"m": "digest"}


def made(store: MemoryStore | None = None, **options: Any) -> Answering:
    config = AegisConfig().with_options(redis_url="memory://", local_max_bytes=0, **options)
    return Answering(build(config, None, MemoryStore() if store is None else store))


@pytest.fixture(params=["call", "acall"])
def ask(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Asks, blocking or awaited; returns the lookup and what the model said."""
    if request.param == "call":
        yield lambda answers, asked=NAMED, read=_read: answers.call(asked, lambda: "text", read)
        return

    async def generate() -> str:
        return "text"

    with asyncio.Runner() as runner:
        yield lambda answers, asked=NAMED, read=_read: runner.run(
            answers.acall(asked, generate, read)
        )


def _read(text: str) -> list[Answer]:
    return [Answer(text=text, done_reason="stop")]


def test_a_bug_in_looking_up_is_a_bypass_and_is_said_once(
    ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers = made(Broken("get"))
    for _ in range(5):
        lookup, native = ask(answers)
        assert native == "text"
        assert (lookup.origin.outcome, lookup.origin.reason) == ("bypass", "internal_error")
    assert len(caplog.messages) == 1
    assert "ZeroDivisionError" in caplog.text
    assert len(answers.service.flights) == 0


def test_a_bug_in_storing_costs_only_the_storing(
    ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers = made(Broken("put"))
    for _ in range(5):
        lookup, native = ask(answers)
        assert (native, lookup.origin.outcome) == ("text", "miss")
    assert len(caplog.messages) == 1
    assert len(answers.service.flights) == 0


def test_an_answer_that_cannot_be_read_is_served_and_not_stored(
    ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers = made()

    def unreadable(_: str) -> list[Answer]:
        raise KeyError("message")

    for _ in range(5):
        lookup, native = ask(answers, NAMED, unreadable)
        assert (native, lookup.origin.outcome) == ("text", "miss")
        assert lookup.origin.reason == "no_entry; not stored: empty_answer"
    assert len(caplog.messages) == 1
    assert len(answers.service.store) == 0  # type: ignore[arg-type]


def test_trouble_in_storing_is_in_the_reason(ask: Any) -> None:
    store = Broken("put")
    store.error = StoreTrouble("redis_full")
    assert ask(made(store))[0].origin.reason == "no_entry; not stored: redis_full"


def test_the_same_trouble_is_not_told_twice(ask: Any) -> None:
    store = Broken("get", "put")
    store.error = StoreTrouble("redis_timeout")
    assert ask(made(store))[0].origin.reason == "redis_timeout"


def test_every_call_is_observed_once_with_what_became_of_it(ask: Any) -> None:
    answers = made()
    for expected in ("miss", "hit_exact", "hit_exact"):
        lookup, native = ask(answers)
        assert (native is None) is (expected != "miss")
        assert lookup.origin.outcome == expected
        assert lookup.origin.lookup_ms >= 0


def test_observe_sees_it() -> None:
    answers = made()
    with observe() as seen:
        for _ in range(2):
            answers.call(NAMED, lambda: "text", _read)
        with pytest.raises(ZeroDivisionError), cache_control(refresh=True):
            answers.call(NAMED, lambda: 1 // 0, _read)  # type: ignore[arg-type,return-value]
    assert seen.outcomes == ["miss", "hit_exact"]


def test_an_error_of_the_model_passes_through_untouched_and_stores_nothing(ask: Any) -> None:
    answers = made()
    error = ConnectionRefusedError("the model's own")

    def broken() -> str:
        raise error

    async def abroken() -> str:
        raise error

    with pytest.raises(ConnectionRefusedError) as caught:
        answers.call(NAMED, broken, _read)
    assert caught.value is error
    with pytest.raises(ConnectionRefusedError) as caught:
        asyncio.run(answers.acall(NAMED, abroken, _read))
    assert caught.value is error
    assert error.__context__ is None
    assert len(answers.service.flights) == 0
    assert ask(answers)[0].origin.outcome == "miss"


def test_only_if_cached_never_calls_the_model(ask: Any) -> None:
    answers = made()
    called: list[int] = []
    with cache_control(only_if_cached=True), pytest.raises(NotCachedError, match="no_entry"):
        answers.call(NAMED, lambda: called.append(1) or "text", _read)  # type: ignore[func-returns-value]
    assert called == []
    ask(answers)
    with cache_control(only_if_cached=True):
        assert answers.call(NAMED, lambda: "never", _read)[1] is None
    assert len(answers.service.flights) == 0


def test_the_first_request_waits_for_the_digest_and_no_other_does(ask: Any) -> None:
    answers, source = made(), Source()
    answers.service.digests.register(source)
    assert ask(answers, REQUEST)[0].origin.outcome == "miss"
    assert ask(answers, REQUEST)[0].origin.outcome == "hit_exact"
    assert source.asked == 1


def test_a_model_that_nobody_knows_is_a_bypass(ask: Any) -> None:
    answers = made()
    assert ask(answers, REQUEST)[0].origin.reason == "model_unknown"
    answers.service.digests.register(Source())
    other = Request("other:latest", REQUEST.messages, server="s")
    assert ask(answers, other)[0].origin.reason == "model_unknown"


def test_an_answer_belongs_to_the_digest_that_was_asked(ask: Any) -> None:
    answers, source = made(), Source()
    answers.service.digests.register(source)
    ask(answers, REQUEST)
    known = answers.service.digests._servers["s"]
    known.digests = {"m:latest": "pulled anew"}
    assert ask(answers, REQUEST)[0].origin.outcome == "miss"
    known.digests = {"m:latest": "digest"}
    assert ask(answers, REQUEST)[0].origin.outcome == "hit_exact"


def test_bypass_neither_looks_nor_stores(ask: Any) -> None:
    answers = made(Broken("get", "put"))
    with cache_control(bypass=True):
        lookup, native = answers.call(NAMED, lambda: "text", _read)
    assert (native, lookup.origin.outcome, lookup.origin.reason) == ("text", "bypass", "asked")


def test_a_lookup_that_has_no_ticket_stores_nothing() -> None:
    answers = made()
    with cache_control(bypass=True):
        lookup = answers.service.open(NAMED)
    assert isinstance(lookup, Lookup)
    lookup.store(Answer(text="x", done_reason="stop"))
    asyncio.run(lookup.astore(Answer(text="x", done_reason="stop")))
    lookup.failed(RuntimeError())
    assert len(answers.service.store) == 0  # type: ignore[arg-type]
