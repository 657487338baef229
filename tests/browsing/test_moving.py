"""Exports and imports on a real Redis: what was cached is cached again, and nothing planted is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm import codec
from aegis_llm.browsing import Browser, storing
from aegis_llm.browsing.lines import Ready, Refused, header_of, ready
from aegis_llm.browsing.moving import _some, take_in
from aegis_llm.config import AegisConfig
from aegis_llm.control import cache_control
from aegis_llm.errors import ConfigError
from aegis_llm.plan import Put
from aegis_llm.stores import redis_invalidation as invalidating
from aegis_llm.stores.document_commands import invalidation
from aegis_llm.stores.index_redisvl import SemanticIndex
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build
from tests.browsing.kit import HOUR_MS, entry, key_of, now_ms, numbers, store
from tests.redis_server import RedisServer

PATIENT = {"redis_timeout_ms": 2000, "redis_connect_timeout_ms": 2000}
INDEX = SemanticIndex("n", "small", 4).index_id
Opened = Callable[..., Browser]


def changed(line: bytes, **changes: Any) -> bytes:
    """Return a line with other fields; `entry_...` names one of the entry."""
    told = msgspec.json.decode(line)
    for name, value in changes.items():
        inner = name.removeprefix("entry_")
        (told["entry"] if inner != name else told)[inner] = value
    return msgspec.json.encode(told)


def test_what_is_exported_is_the_same_again(
    open_namespace: Opened, redis_url: str, namespace: str
) -> None:
    store(redis_url, namespace, *(entry(n, expires_ms=now_ms() + HOUR_MS * 5) for n in range(5)))
    lines = list(open_namespace().export())
    other = open_namespace(f"{namespace}-b")
    done = other.take_in(lines)
    assert (done.stored, done.refused) == (5, 0)
    names = (namespace, other.namespace)
    with redis.Redis.from_url(redis_url) as client:
        for n in range(5):
            old, new = (key_of(name, entry(n)) for name in names)
            assert client.get(old) == client.get(new)
            assert abs(client.pttl(old) - client.pttl(new)) < 5000
            old, new = (f"aegis:v1:{name}:s:{INDEX}:{entry(n).key}" for name in names)
            kept = client.hgetall(old)
            assert kept.pop(b"exact") == key_of(namespace, entry(n)).encode()
            assert kept.items() <= client.hgetall(new).items()
    assert sorted(list(other.export())[1:]) == sorted(lines[1:])
    assert other.page().via == "search"


def test_an_imported_answer_is_served_and_found_by_its_document(
    open_namespace: Opened, redis_url: str, namespace: str
) -> None:
    options: dict[str, Any] = {"redis_url": redis_url, **PATIENT}
    asked = Request("m", ({"role": "user", "content": "Which?"},), identity="x")
    first = build(AegisConfig().with_options(namespace=namespace, **options))
    first.store.ready(5)
    with cache_control(documents=["d"]):
        first.open(asked).store(Answer("This one.", done_reason="stop"))
    lines = list(open_namespace().export())
    target = f"{namespace}-b"
    assert open_namespace(target).take_in(lines).stored == 1
    second = build(AegisConfig().with_options(namespace=target, **options))
    hit = second.open(asked)
    assert hit.origin.outcome == "hit_exact"
    assert hit.entry is not None
    assert hit.entry.answer.text == "This one."
    assert second.invalidate("d") == 1
    for service in (first, second):
        service.store.close()


def test_what_only_a_reworded_question_finds_is_exported_whole(
    open_namespace: Opened, redis_url: str, namespace: str
) -> None:
    store(redis_url, namespace, entry(0), entry(1))
    with redis.Redis.from_url(redis_url) as client:
        client.delete(key_of(namespace, entry(1)))
        lines = list(open_namespace().export())
        other = open_namespace(f"{namespace}-b")
        assert other.take_in(lines).stored == 2
        assert client.exists(key_of(other.namespace, entry(1)))
    assert numbers(other.page().entries) == [0, 1]


def test_a_key_that_nothing_of_ours_has_made_is_no_matter(
    browser: Browser, redis_url: str
) -> None:
    store(redis_url, browser.namespace, entry(0))
    with redis.Redis.from_url(redis_url) as client:
        for rest in ("x:short", "x:", "x:\x1b:\x07", "s:i", "s:i:x", "x:" + "0" * 64 + ":"):
            client.set(f"aegis:v1:{browser.namespace}:{rest}", codec.encode(entry(1)))
    lines = list(browser.export())
    assert browser.take_in(lines).kept == 1
    assert browser.search("", everywhere=True).entries
    assert [stock.complete for stock in browser.stock()][-1]


def test_nothing_is_written_by_looking(browser: Browser, redis_url: str) -> None:
    """A namespace without a version has none after it: an import may have to set one."""
    browser.page()
    browser.labels()
    list(browser.stock())
    list(browser.export())
    assert browser.show("a" * 64) is None
    with redis.Redis.from_url(redis_url) as client:
        assert list(client.scan_iter(f"aegis:*:{browser.namespace}:*")) == []


def test_what_is_there_is_kept_unless_told(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, entry(0))
    lines = list(browser.export())
    lines[1] = changed(lines[1], entry_answers=[{"text": "Answer 9."}])
    assert browser.take_in(lines).kept == 1
    assert numbers(browser.page().entries) == [0]
    assert browser.take_in(lines, overwrite=True).stored == 1
    assert numbers(browser.page().entries) == [9]


def test_what_is_overwritten_is_found_by_no_rewording(browser: Browser, redis_url: str) -> None:
    """The export has no vectors: what was stored with one would answer as before."""
    store(redis_url, browser.namespace, entry(0), entry(1))
    lines = [line for line in browser.export(vectors=False) if b"part 0" not in line]
    lines[1] = changed(lines[1], entry_answers=[{"text": "Answer 9."}])
    assert browser.take_in(lines, overwrite=True).stored == 1
    assert numbers(browser.search("part").entries) == [0]
    assert sorted(numbers(browser.search("", everywhere=True).entries)) == [0, 9]


def test_what_was_invalidated_after_the_export_stays_away(
    browser: Browser, redis_url: str
) -> None:
    browser.store.ready(5)
    store(redis_url, browser.namespace, *map(entry, range(3)))
    lines = list(browser.export())
    browser.invalidate(["doc-1"], [])
    with redis.Redis.from_url(redis_url) as client:
        for n in range(3):
            client.delete(key_of(browser.namespace, entry(n)))
    done = browser.take_in(lines)
    assert (done.stored, done.invalidated) == (2, 1)


def test_another_version_is_refused_since_nothing_would_be_found(
    browser: Browser, redis_url: str
) -> None:
    browser.store.ready(5)
    store(redis_url, browser.namespace, entry(0))
    lines = list(browser.export())
    browser.clear()
    with pytest.raises(ConfigError, match="everything was invalidated"):
        browser.take_in(lines)
    assert browser.page(count=5).entries == ()


def test_expired_entries_are_counted_not_stored(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, entry(0))
    lines = list(browser.export())
    old = now_ms() - HOUR_MS
    lines[1] = changed(lines[1], entry_created_ms=old - 1000, entry_expires_ms=old)
    done = browser.take_in(lines, overwrite=True)
    assert (done.expired, done.stored) == (1, 0)


PLANTED = {
    "a key with another namespace in it": {"tail": "m:0\r\nSET x y"},
    "a tail that leaves the namespace": {"tail": "../x y"},
    "an id that is no hash": {"entry_key": "aegis:v1:other:x:" + "0" * 47},
    "a scope that is a query": {"entry_scope": "*"},
    "no answer": {"entry_answers": []},
    "an alias": {"entry_alias_of": "aegis:v1:n:x:1"},
    "another schema": {"entry_v": 2},
    "an unknown field": {"command": "FLUSHALL"},
    "a vector of another length": {"vectors": [{"index": INDEX, "vector": "AAAA"}]},
    "an index that is none": {"vectors": [{"index": "x:y", "vector": "AAAAAA=="}]},
    "a vector that is no number": {
        "vectors": [{"index": "small-1-8bd9b2b5", "vector": "AADAfw=="}]
    },
    "a life of a thousand years": {"entry_expires_ms": 33_000_000_000_000},
    "made in the future": {"entry_created_ms": 33_000_000_000_000},
    "a tag that is a control character": {"entry_tags": ["\x1f"]},
    "documents without end": {"entry_documents": [str(n) for n in range(10_001)]},
    "vectors without end": {"vectors": [{"index": INDEX, "vector": "A" * 22}] * 9},
    "an index that takes a gigabyte": {
        "vectors": [{"index": "small-99999-8bd9b2b5", "vector": "A" * 533_328}]
    },
}


@pytest.mark.parametrize("changes", PLANTED.values(), ids=PLANTED)
def test_a_planted_line_is_refused_and_the_others_are_stored(
    open_namespace: Opened, redis_url: str, namespace: str, changes: dict[str, Any]
) -> None:
    store(redis_url, namespace, entry(0), entry(1))
    lines = list(open_namespace().export())
    lines.insert(1, changed(lines[1], **changes))
    other = open_namespace(f"{namespace}-b")
    done = other.take_in(lines)
    assert (done.refused, done.stored) == (1, 2)
    assert done.told[0][0] == 2
    assert sorted(numbers(other.page().entries)) == [0, 1]


@given(
    st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode)
)
def test_no_line_does_anything_but_be_refused(line: bytes) -> None:
    with pytest.raises(Refused):
        ready(line, "n", 0)


def test_a_deep_line_is_refused() -> None:
    with pytest.raises(Refused):
        ready(b'{"entry":' + b"[" * 100_000, "n", 0)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "no export"),
        (b"{}", "no export"),
        (b"\x80\x04.", "no export"),
        (b'{"aegis_export":2}', "format 2"),
        (b'{"aegis_export":1}', "broken"),
        (
            b'{"aegis_export":1,"namespace":"n","version":0,"sequence":0,"exported_ms":-1}',
            "broken",
        ),
        (
            b'{"aegis_export":1,"namespace":"n","version":18446744073709551615,"sequence":0,'
            b'"exported_ms":1}',
            "broken",
        ),
        (b'{"aegis_export":"\\u001b[31m"}', "format \ufffd"),
        (b'{"aegis_export":1,"\\u001b[2J":1}', "`\ufffd"),
    ],
)
def test_a_header_that_is_none_is_refused(browser: Browser, header: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        browser.take_in([header])


def test_a_mark_of_windows_and_its_ends_of_lines_are_read(
    open_namespace: Opened, redis_url: str, namespace: str
) -> None:
    store(redis_url, namespace, entry(0))
    lines = [line[:-1] + b"\r\n" for line in open_namespace().export()]
    lines[0] = b"\xef\xbb\xbf" + lines[0]
    done = open_namespace(f"{namespace}-b").take_in(lines)
    assert (done.stored, done.refused, done.whole) == (1, 0, True)


def test_an_export_that_was_cut_off_is_told(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, *map(entry, range(3)))
    lines = list(browser.export())
    assert browser.take_in(lines).whole
    assert not browser.take_in(lines[:-1]).whole


def test_what_a_process_stores_meanwhile_stays(
    browser: Browser, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(redis_url, browser.namespace, entry(0))
    lines = list(browser.export())
    newer = entry(0, answers=(Answer("Answer 7.", done_reason="stop"),))
    real = storing._valid

    def slow(*args: Any) -> list[bool]:
        store(redis_url, browser.namespace, newer)
        return real(*args)

    with redis.Redis.from_url(redis_url) as client:
        client.delete(key_of(browser.namespace, entry(0)))
    monkeypatch.setattr(storing, "_valid", slow)
    done = browser.take_in(lines)
    assert (done.stored, done.kept) == (0, 1)
    assert numbers(browser.page().entries) == [7]


def test_what_is_invalidated_meanwhile_is_not_there_afterwards(
    open_namespace: Opened, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(redis_url, namespace, entry(0), entry(1))
    lines = list(open_namespace().export())
    other = open_namespace(f"{namespace}-b")
    real = storing._made

    def slow(client: Any, where: str, some: Any, now: int, *, overwrite: bool) -> Any:
        with monkeypatch.context() as at_once:
            at_once.setattr(invalidating.documents, "invalidation", only_marks)
            other.invalidate(["doc-1"], [])  # it has looked for what is to go, and found nothing
        return real(client, where, some, now, overwrite=overwrite)

    def only_marks(*args: Any) -> Any:
        return [one for one in invalidation(*args) if one[0] == "SET"]

    monkeypatch.setattr(storing, "_made", slow)
    done = other.take_in(lines)
    assert (done.stored, done.invalidated) == (1, 1)
    assert numbers(other.page().entries) == [0]
    assert other.show(entry(1).key) is None


def test_an_entry_expires_when_it_was_to_however_long_the_import_takes(
    browser: Browser, redis_url: str
) -> None:
    life = 100_000
    store(redis_url, browser.namespace, entry(0, expires_ms=now_ms() + life))
    lines = list(browser.export())
    later = iter([now_ms() + 40_000] * 9)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(key_of(browser.namespace, entry(0)))
        header = header_of(lines[0])
        take_in(client, browser.namespace, header, lines[1:], lambda: next(later))
        assert client.pttl(key_of(browser.namespace, entry(0))) <= life - 40_000


def test_large_entries_are_stored_a_few_at_a_time() -> None:
    made = [Ready(Put(str(n), bytes(3_000_000), 1)) for n in range(5)]
    assert [len(some) for some in _some(made)] == [3, 2]
    assert [len(some) for some in _some([Ready(Put("x", b"", 1))] * 450)] == [200, 200, 50]


def test_without_the_query_engine_no_vector_is_stored(
    browser: Browser, redis_url: str, open_namespace: Opened
) -> None:
    store(redis_url, browser.namespace, entry(0))
    lines = list(browser.export())
    with RedisServer(modules=False) as plain:
        assert open_namespace("n", plain.url).take_in(lines).stored == 1
        with plain.client() as client:
            keys = [key.split(b":")[3] for key in client.scan_iter("aegis:v1:n:[xs]:*")]
    assert keys == [b"x"]
