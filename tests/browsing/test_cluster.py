"""A Redis Cluster of three nodes: looked at, exported, imported and cleared as one server is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from aegis_llm import codec
from aegis_llm.browsing import Browser
from aegis_llm.browsing.overview import memory_of
from aegis_llm.browsing.places import ScanPlace, place_of
from aegis_llm.config import AegisConfig
from aegis_llm.errors import StoreTrouble
from aegis_llm.names import names_of
from aegis_llm.plan import Put
from aegis_llm.stores.document_commands import records
from aegis_llm.stores.redis_commands import set_exact
from tests.browsing.kit import HOUR_MS, entry, key_of, numbers
from tests.contracts.topologies import cluster
from tests.redis_server import RedisServer

COUNT = 60


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[RedisServer]]:
    with cluster(3) as nodes:
        yield nodes


@pytest.fixture
def browser(nodes: list[RedisServer], namespace: str) -> Iterator[Browser]:
    """A namespace with entries on every node."""
    with contextlib.closing(opened(nodes, namespace)) as browser:
        with browser.store.lent() as client:
            for n in range(COUNT):
                store(client, namespace, n)
        yield browser
        browser.clear()


def opened(nodes: list[RedisServer], namespace: str) -> Browser:
    url = f"redis+cluster://127.0.0.1:{nodes[0].port}"
    return Browser(AegisConfig().with_options(redis_url=url, namespace=namespace))


def store(client: Any, namespace: str, number: int) -> None:
    one, key = entry(number), key_of(namespace, entry(number))
    put = Put(key, codec.encode(one), HOUR_MS, names=names_of(one.documents, one.tags))
    client.execute_command(*set_exact(key, put.data, HOUR_MS))
    for command in records(namespace, put, [key], one.created_ms):
        client.execute_command(*command)


def listed(browser: Browser, text: str = "", **given: bool) -> list[int]:
    """Return the numbers of all pages, each of which is full but the last."""
    found, place, servers = [], "", set()
    while True:
        page = browser.search(text, place, 7, within_s=60, **given)  # type: ignore[arg-type]
        found += numbers(page.entries)
        if not (place := page.next):
            assert servers >= {0, 1, 2} or text
            return sorted(found)
        assert len(page.entries) == 7
        here = place_of(place)
        assert isinstance(here, ScanPlace)
        servers.add(here.node)


def test_every_entry_of_every_node_comes_once(browser: Browser) -> None:
    assert listed(browser) == listed(browser, everywhere=True) == list(range(COUNT))
    assert listed(browser, "answer 4") == [4, *range(40, 50)]


def test_one_entry_is_shown_and_all_are_counted(browser: Browser) -> None:
    with browser.store.lent() as client:
        client.hset(f"aegis:v1:{browser.namespace}:n:hits", entry(5).key, 4)
    for found in (browser.show(entry(5).key), browser.show(entry(5).key[:10])):
        assert found is not None
        assert (found.entry.answer.text, found.hits) == ("Answer 5.", 4)
    *_, stock = browser.stock()
    assert (stock.entries, stock.hits, stock.complete) == (COUNT, 4, True)
    assert browser.labels()


def test_the_memory_of_all_nodes_is_told(browser: Browser, nodes: list[RedisServer]) -> None:
    used = 0
    for node in nodes:
        with node.client() as client:
            used += client.info("memory")["used_memory"]
    told = memory_of(browser).used
    assert told is not None
    assert told > 0.8 * used


def test_a_document_is_invalidated_and_one_entry_rejected(browser: Browser) -> None:
    assert browser.invalidate(["doc-1"], []) == 20
    assert browser.reject(entry(0).key)
    assert listed(browser) == [n for n in range(1, COUNT) if n % 3 != 1]


def test_an_export_is_imported_on_every_node_and_cleared(
    browser: Browser, nodes: list[RedisServer], namespace: str
) -> None:
    lines = list(browser.export())
    with contextlib.closing(opened(nodes, f"{namespace}-b")) as other:
        assert other.take_in(lines).stored == COUNT
        assert listed(other) == list(range(COUNT))
        assert other.take_in(lines).kept == COUNT
        other.clear()
        assert other.page().entries == ()
    assert len(listed(browser)) == COUNT


def test_a_cluster_that_is_gone_is_trouble_with_a_reason(namespace: str) -> None:
    with cluster() as (node,):
        there = opened([node], namespace)
    for look in (there.page, lambda: list(there.stock()), there.labels, lambda: memory_of(there)):
        with pytest.raises(StoreTrouble, match="redis_down"):
            look()
    there.close()


def test_nothing_is_written_by_looking(nodes: list[RedisServer], namespace: str) -> None:
    with contextlib.closing(opened(nodes, namespace)) as browser:
        looks = (browser.page, browser.labels, lambda: list(browser.export()))
        for look in (*looks, lambda: list(browser.stock()), lambda: browser.show("a" * 64)):
            look()
        with browser.store.lent() as client:
            assert list(client.scan_iter(f"aegis:*:{namespace}:*")) == []
