"""What a namespace holds, counted; and figures read from an exposition."""

from __future__ import annotations

import contextlib
import importlib
import math
import socket
import threading
from collections.abc import Iterator

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.browsing import Browser
from aegis_llm.browsing.endpoint import NoFiguresError, endpoint
from aegis_llm.browsing.figures import Figures, figures_of, quantile
from aegis_llm.browsing.overview import Overview
from aegis_llm.browsing.stocktaking import Stocktaking
from aegis_llm.config import AegisConfig
from aegis_llm.errors import ConfigError, StoreTrouble
from aegis_llm.testing import OllamaSimulator
from tests.browsing.kit import entry, store
from tests.redis_server import RedisServer

TEXT = """# HELP aegis_requests_total Requests.
# TYPE aegis_requests_total counter
aegis_requests_total{outcome="hit_exact",reason="",framework="langchain"} 30
aegis_requests_total{outcome="hit_exact",reason="",framework="llama-index"} 20
aegis_requests_total{outcome="miss",reason="no_entry",framework="langchain"} 50 1700000000000
aegis_requests_total{outcome="bypass",reason="a\\"}b",framework="x"} 3
aegis_lookup_seconds_bucket{tier="exact",le="0.001"} 50
aegis_lookup_seconds_bucket{tier="exact",le="0.002"} 100
aegis_lookup_seconds_bucket{tier="exact",le="+Inf"} 100
aegis_saved_seconds_total 12.5
aegis_in_flight{server="a"} 2
aegis_in_flight{server="b"} 1
aegis_slots NaN
broken line {
python_gc_objects 7
"""


def test_everything_is_counted_once(browser: Browser, redis_url: str) -> None:
    entries = [entry(n) for n in range(30)]
    store(redis_url, browser.namespace, *entries)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(
            f"aegis:v1:{browser.namespace}:n:hits",
            mapping={entries[0].key: 3, entries[1].key: 1, "gone": 100, entries[2].key: "x"},
        )
    *_, stock = browser.stock()
    assert stock.complete
    assert (stock.entries, stock.reworded, stock.hits, stock.used) == (30, 30, 4, 2)
    assert (stock.saved_ms, stock.saved_tokens) == (2000.0, 400)
    assert stock.answered_by_entries == 4 / 34
    assert stock.models == {"llama3.1:8b": 30}
    assert stock.newest_ms == entries[0].created_ms


def test_without_counts_hits_are_unknown(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, entry(0))
    *_, stock = browser.stock()
    assert (stock.entries, stock.hits, stock.saved_ms) == (1, None, None)


def test_counting_goes_on_in_the_background_and_rests(browser: Browser, redis_url: str) -> None:
    store(redis_url, browser.namespace, entry(0))
    taking = Stocktaking(browser.stock)
    taking.latest()
    taking.wait(10)
    first = taking.latest()
    assert first is not None
    assert first.complete
    store(redis_url, browser.namespace, entry(1))
    assert taking.latest() is first
    taking.outdated()
    taking.latest()
    taking.wait(10)
    again = taking.latest()
    assert again is not None
    assert again.entries == 2


def test_an_exposition_is_summed_over_processes_and_labels() -> None:
    told = figures_of(TEXT)
    assert told.outcomes == {"hit_exact": 50, "miss": 50, "bypass": 3}
    assert told.hit_rate == 0.5
    assert (told.in_flight, told.saved_s, told.slots) == (3, 12.5, None)
    assert quantile(told.lookup, 0.5) == 0.001
    assert quantile(told.lookup, 0.75) == 0.0015
    assert quantile({}, 0.5) is None


@given(st.text() | st.from_regex(r"aegis_\w+(\{.*\})? .*", fullmatch=True))
def test_whatever_is_shown_can_be_read(text: str) -> None:
    assert isinstance(figures_of(text), Figures)


@given(st.lists(st.floats(0.001, 10), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    bounds = [0.01, 0.1, 1.0, math.inf]
    buckets = {bound: float(sum(v <= bound for v in values)) for bound in bounds}
    told = quantile(buckets, share)
    assert told is not None
    true = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    above = next(bound for bound in bounds if true <= bound)
    below = max([0.0, *(bound for bound in bounds if bound < above)])
    assert below <= told <= above


def test_what_was_counted_since_a_reading() -> None:
    before, after = Figures(outcomes={"miss": 5}), Figures(outcomes={"miss": 8, "hit_local": 3})
    assert after.since(before).outcomes == {"miss": 3, "hit_local": 3}
    assert before.since(after) == before


@pytest.mark.parametrize("url", ["ftp://x/metrics", "file:///etc/passwd", "x", "http://[::", ""])
def test_a_url_that_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="no metrics endpoint"):
        endpoint(url)


def test_an_endpoint_without_metrics_is_a_sentence(ollama: OllamaSimulator) -> None:
    with pytest.raises(NoFiguresError, match="holds no metrics of aegis-llm"):
        endpoint(f"{ollama.base_url}/api/version")()
    with pytest.raises(NoFiguresError, match="404"):
        endpoint(f"{ollama.base_url}/metrics")()
    with pytest.raises(NoFiguresError, match=r"no metrics at http://127\.0\.0\.1:1/"):
        endpoint("http://user:secret@127.0.0.1:1/")()


def test_no_password_of_an_endpoint_is_told(ollama: OllamaSimulator) -> None:
    host = ollama.base_url.removeprefix("http://")
    for path in ("metrics", "api/version"):
        with pytest.raises(NoFiguresError) as caught:
            endpoint(f"http://user:hunter2@{host}/{path}?token=hunter2")()
        assert "hunter2" not in str(caught.value)


@pytest.fixture
def endless() -> Iterator[str]:
    """The address of an endpoint whose answer does not end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as visitor, contextlib.suppress(OSError):
                visitor.sendall(b"HTTP/1.1 200 \x1b[31mOK\r\n\r\n")
                while True:
                    visitor.sendall(b"# nothing\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


def test_an_endpoint_that_never_ends_is_left(
    endless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("aegis_llm.browsing.endpoint")
    monkeypatch.setattr(module, "_WHOLE_S", 0.05)
    monkeypatch.setattr(module, "_MOST_BYTES", 1 << 40)
    with pytest.raises(NoFiguresError, match="holds no metrics"):
        endpoint(endless)()


@pytest.mark.parametrize("value", ["1e308", "+Inf", "-Inf", "NaN", "-3"])
def test_a_count_that_is_none_is_left_out(value: str) -> None:
    told = figures_of(f"aegis_saved_seconds_total {value}\naegis_slots {value}\n")
    assert (told.saved_s, told.slots) == (None, None)


def test_a_look_says_what_does_not_answer(browser: Browser) -> None:
    view = Overview(browser, endpoint("http://127.0.0.1:1/metrics")).look()
    assert view.no_figures.startswith("no metrics at")
    assert not view.redis_trouble


def test_a_count_that_fails_shows_nothing() -> None:
    def failing() -> object:
        raise StoreTrouble("redis_down")

    taking = Stocktaking(failing)  # type: ignore[arg-type]
    taking.latest()
    taking.wait(10)
    assert taking.latest() is None
    assert taking.trouble == "redis_down"


def test_a_user_of_redis_who_may_little_sees_what_he_may(namespace: str) -> None:
    with RedisServer() as server, server.client() as client:
        store(server.url, namespace, entry(0))
        reader = ("on", ">pw", f"~aegis:v1:{namespace}:*", "+@read", "+ping")
        client.execute_command("ACL", "SETUSER", "reader", *reader)
        client.execute_command("ACL", "SETUSER", "nobody", "on", ">pw", "~*", "+ping")
        for user, trouble in (("reader", ""), ("nobody", "redis_no_permission")):
            url = server.url.replace("//", f"//{user}:pw@")
            config = AegisConfig().with_options(namespace=namespace, redis_url=url)
            with contextlib.closing(Browser(config)) as browser:
                overview = Overview(browser, None)
                overview.look()
                overview.stocktaking.wait(10)
                view = overview.look()
                assert (view.redis_trouble, view.stock is None) == (trouble, bool(trouble))
                assert browser.labels() is None
