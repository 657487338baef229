"""Entries a page at a time, on a real Redis: all of them, once each, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from aegis_llm.browsing import Browser, Page, Seen
from aegis_llm.browsing.searching import query_of
from aegis_llm.config import AegisConfig
from aegis_llm.errors import ConfigError, StoreTrouble
from aegis_llm.values import Entry
from tests.browsing.kit import entry, key_of, now_ms, numbers, store
from tests.redis_server import RedisServer


def all_pages(browser: Browser, text: str = "", count: int = 7, **given: bool) -> Iterator[Page]:
    place, more = "", True
    while more:
        page = browser.search(text, place, count, **given)  # type: ignore[arg-type]
        yield page
        place, more = page.next, bool(page.next)


def all_numbers(browser: Browser, text: str = "", count: int = 7, **given: bool) -> list[int]:
    return [n for page in all_pages(browser, text, count, **given) for n in numbers(page.entries)]


def test_the_index_gives_all_newest_first(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, *map(entry, range(40)))
    pages = list(all_pages(browser))
    assert all_numbers(browser) == list(range(40))
    assert {page.via for page in pages} == {"search"}
    assert pages[0].total == 40


def test_entries_of_one_moment_come_once_each(browser: Browser, redis_url: str) -> None:
    made = now_ms()
    store(redis_url, browser.namespace, *(entry(n, created_ms=made) for n in range(20)))
    assert sorted(all_numbers(browser, count=3)) == list(range(20))


def test_old_entries_are_found_beside_new_ones(browser: Browser, redis_url: str) -> None:
    year = 365 * 86_400_000
    store(redis_url, browser.namespace, entry(0), entry(1, created_ms=now_ms() - year))
    assert all_numbers(browser, count=1) == [0, 1]


def test_every_key_is_looked_at_once(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, *map(entry, range(300)), index=False)
    found = all_numbers(browser, count=70)
    assert sorted(found) == list(range(300))
    assert browser.page().via == "scan"


def test_everywhere_shows_what_the_index_lacks(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, entry(0))
    store(redis_url, browser.namespace, entry(1, question=None), index=False)
    assert all_numbers(browser) == [0]
    assert sorted(all_numbers(browser, everywhere=True)) == [0, 1]
    assert all_numbers(browser, "answer 1", everywhere=True) == [1]


def test_what_only_a_reworded_question_finds_is_listed_shown_and_rejected(
    browser: Browser, redis_url: str
) -> None:
    """Redis has evicted the key of the exact tier: the entry still answers."""
    store(redis_url, browser.namespace, *map(entry, range(20)))
    with redis.Redis.from_url(redis_url) as client:
        client.delete(*(key_of(browser.namespace, entry(n)) for n in (3, 4)))
    assert browser.search("").total == 20
    assert all_numbers(browser) == list(range(20))
    assert sorted(all_numbers(browser, everywhere=True)) == list(range(20))
    assert all_numbers(browser, "answer 3", everywhere=True) == [3]
    for found in (browser.show(entry(3).key), browser.show(entry(3).key[:9])):
        assert found is not None
        assert (found.entry, found.reworded_only, found.tail) == (entry_like(found, 3), True, "")
        assert found.ttl_ms
    kept = browser.show(entry(5).key)
    assert kept is not None
    assert not kept.reworded_only
    assert browser.reject(entry(3).key)
    assert browser.show(entry(3).key) is None
    assert 3 not in all_numbers(browser) + all_numbers(browser, everywhere=True)


def entry_like(found: Seen, number: int) -> Entry:
    times = {"created_ms": found.entry.created_ms, "expires_ms": found.entry.expires_ms}
    return entry(number, **times)


def test_an_empty_index_hides_no_entry(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, entry(0), index=False)
    store(redis_url, browser.namespace)
    assert all_numbers(browser) == [0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("part 7", [7]),
        ("PART", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("par", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("doc:doc-1", [1, 4, 7]),
        ("tag:tag 1", [1, 3, 5, 7]),
        ("model:llama3.1:8b", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("doc:doc", []),
        ("nowhere", []),
    ],
)
def test_words_documents_tags_and_models_are_found(
    browser: Browser, redis_url: str, text: str, found: list[int]
) -> None:
    store(redis_url, browser.namespace, *map(entry, range(9)))
    assert all_numbers(browser, text) == found
    assert browser.search(text).via == "search"


@pytest.mark.parametrize(
    "text",
    [
        "@scope:{a*}",
        "*)|(@model:{x}",
        '"',
        "part => [KNN 1 @vector $x]",
        "doc:x} | @tags:{*",
        "the",
    ],
)
def test_a_search_is_never_query_language(browser: Browser, redis_url: str, text: str) -> None:
    store(redis_url, browser.namespace, entry(0))
    assert all_numbers(browser, text) == []


def test_an_emoji_is_looked_for_in_every_entry(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, entry(0), entry(1, question="Why 🙂?"))
    assert query_of("🙂") is None
    assert all_numbers(browser, "🙂") == [1]


def test_a_page_ends_when_its_time_is_over_and_goes_on_where_it_was(
    browser: Browser, redis_url: str
) -> None:
    store(redis_url, browser.namespace, *map(entry, range(450)), index=False)
    place, found, pages = "", [], 0
    while place or not pages:
        page = browser.search("answer 44", place, 50, within_s=0.0)
        found += numbers(page.entries)
        place, pages = page.next, pages + 1
    assert sorted(found) == [44, *range(440, 450)]
    assert pages > 1


def test_other_namespaces_and_foreign_values_are_not_shown(
    open_namespace: Callable[..., Browser], redis_url: str, namespace: str
) -> None:
    browser = open_namespace()
    store(redis_url, namespace, entry(0), index=False)
    store(redis_url, f"{namespace}-other", entry(1), index=False)
    with redis.Redis.from_url(redis_url) as client:
        client.rpush(key_of(namespace, entry(2)), "a list")
        client.set(key_of(namespace, entry(3)), b"no entry")
    assert all_numbers(browser) == [0]
    assert all_numbers(browser, everywhere=True) == [0]


def test_without_the_query_engine_all_are_listed() -> None:
    with RedisServer(modules=False) as plain:
        store(plain.url, "n", *map(entry, range(9)), index=False)
        browser = Browser(AegisConfig().with_options(redis_url=plain.url, namespace="n"))
        assert sorted(all_numbers(browser)) == list(range(9))
        assert all_numbers(browser, "part 7") == [7]
        browser.close()


def test_an_entry_is_shown_with_its_use(browser: Browser, redis_url: str) -> None:
    one = entry(0)
    store(redis_url, browser.namespace, one)
    unknown = browser.show(one.key)
    assert unknown is not None
    assert (unknown.hits, unknown.used_ms) == (None, None)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(f"aegis:v1:{browser.namespace}:n:hits", one.key, 7)
        client.zadd(f"aegis:v1:{browser.namespace}:n:used", {one.key: 1_700_000_000_000})
    found = browser.show(one.key, unknown.tail)
    assert found is not None
    assert (found.hits, found.used_ms, found.entry) == (7, 1_700_000_000_000, one)
    assert found.ttl_ms is not None
    assert unknown.tail == "llama3.1:8b:0"
    assert browser.page().entries == (found,) or browser.page().entries[0].hits == 7


def test_the_first_digits_are_enough_if_they_name_one(browser: Browser, redis_url: str) -> None:
    twins = [entry(n, key=f"{'ab' * 10}{n}{'0' * 43}") for n in (1, 2)]
    store(redis_url, browser.namespace, *twins, index=False)
    found = browser.show("ab" * 10 + "2")
    assert found is not None
    assert found.entry == twins[1]
    with pytest.raises(ConfigError, match="2 entries begin"):
        browser.show("ab" * 10)
    for none in ("ab", "*", "zz" * 32, "0" * 64, ""):
        assert browser.show(none) is None


@pytest.mark.parametrize(
    "place",
    [
        "x",
        "s1",
        "s0-1-2-3",
        "f-1-0",
        "s0-99999999999999999999999-0",
        "s0-18446744073709551616-0",
        "f1-999999",
    ],
)
def test_a_place_that_is_none_is_refused(browser: Browser, place: str) -> None:
    with pytest.raises(ConfigError, match="names no page"):
        browser.page(place)


def test_redis_down_is_trouble_with_a_reason(open_namespace: Callable[..., Browser]) -> None:
    with pytest.raises(StoreTrouble, match="redis_down"):
        open_namespace(url="redis://127.0.0.1:1").page()


def test_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="its own process"):
        Browser(AegisConfig().with_options(redis_url="memory://x"))
