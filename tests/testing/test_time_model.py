"""Loading, slots, queues and time, with a clock that only moves when it is told to."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from aegis_llm.testing import HashedNgrams, ManualClock, OllamaSimulator, Timing

CHAT = "/api/chat"
SLOW = Timing(load=2.0, prefill=100.0, decode=10.0, embed=0.5)


def body(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {
        "model": "llama3.1:8b",
        "messages": [{"role": "user", "content": text}],
        "stream": False,
        **more,
    }


@contextmanager
def server(**settings: Any) -> Iterator[tuple[OllamaSimulator, httpx.Client, ManualClock]]:
    clock = ManualClock()
    models = settings.pop("models", ("llama3.1:8b", "all-minilm", "b:1", "c:1", "d:1"))
    with (
        OllamaSimulator(models, clock=clock, embedder=HashedNgrams(), **settings) as sim,
        httpx.Client(base_url=sim.base_url, timeout=10) as client,
    ):
        yield sim, client, clock


def loaded(client: httpx.Client) -> list[str]:
    return [entry["name"] for entry in client.get("/api/ps").json()["models"]]


def seconds(nanoseconds: int) -> float:
    return nanoseconds / 1e9


def test_every_phase_takes_its_time() -> None:
    with server(timing=SLOW) as (_, client, _clock):
        first = client.post(CHAT, json=body("one two three")).json()
        assert seconds(first["load_duration"]) == pytest.approx(2.0)
        assert seconds(first["prompt_eval_duration"]) == pytest.approx(
            first["prompt_eval_count"] / 100
        )
        assert seconds(first["eval_duration"]) == pytest.approx(first["eval_count"] / 10)
        parts = ("load_duration", "prompt_eval_duration", "eval_duration")
        assert first["total_duration"] == pytest.approx(sum(first[part] for part in parts))


def test_a_loaded_model_and_a_known_prefix_cost_nothing_again() -> None:
    with server(timing=SLOW) as (sim, client, _):
        long = "word " * 200
        cold = client.post(CHAT, json=body(f"{long}first?")).json()
        warm = client.post(CHAT, json=body(f"{long}second?")).json()
        assert warm["load_duration"] < cold["load_duration"] / 1000
        assert warm["prompt_eval_count"] == cold["prompt_eval_count"]
        assert warm["prompt_eval_duration"] < cold["prompt_eval_duration"] / 10
        assert sim.loads == 1


def test_streamed_and_whole_answers_take_the_same() -> None:
    with server(timing=SLOW) as (_, client, clock):
        client.post(CHAT, json=body())
        took = []
        for stream in (False, True):
            before = clock.monotonic()
            assert client.post(CHAT, json=body(stream=stream)).status_code == 200
            took.append(clock.monotonic() - before)
        assert took[0] == pytest.approx(took[1])


def test_keep_alive() -> None:
    with server(keep_alive=300) as (sim, client, clock):
        client.post(CHAT, json=body())
        clock.advance(299)
        assert loaded(client) == ["llama3.1:8b"]
        client.post(CHAT, json=body())
        clock.advance(299)
        assert loaded(client) == ["llama3.1:8b"]
        clock.advance(1)
        assert loaded(client) == []
        client.post(CHAT, json=body(keep_alive="10s"))
        clock.advance(10)
        assert loaded(client) == []
        client.post(CHAT, json=body(keep_alive=-1))
        clock.advance(10_000_000)
        assert loaded(client) == ["llama3.1:8b"]
        client.post(CHAT, json=body(keep_alive=0))
        assert loaded(client) == []
        assert sim.loads == 3


def test_the_last_keep_alive_wins() -> None:
    with server() as (_, client, clock):
        client.post(CHAT, json=body(keep_alive=-1))
        client.post(CHAT, json=body(keep_alive=5))
        client.post(CHAT, json=body())
        clock.advance(5)
        assert loaded(client) == []


@pytest.mark.parametrize(
    ("options", "loads"),
    [
        ({"num_ctx": 4096}, 1),  # what it was loaded with
        ({"temperature": 0.9, "seed": 3, "stop": ["x"], "num_predict": 5, "top_k": 3}, 1),
        ({"num_gpu": -1}, 1),
        ({"num_ctx": 8192}, 2),
        ({"num_batch": 64}, 2),
        ({"num_gpu": 10}, 2),
        ({"num_thread": 4}, 2),
        ({"use_mmap": False}, 2),
        ({"main_gpu": 0}, 2),
    ],
)
def test_runner_options_reload_and_sampling_does_not(options: dict[str, Any], loads: int) -> None:
    with server() as (sim, client, _):
        client.post(CHAT, json=body())
        client.post(CHAT, json=body(options=options))
        assert sim.loads == loads
        client.post(CHAT, json=body(options=options))
        assert sim.loads == loads


def test_shift_reloads() -> None:
    with server() as (sim, client, _):
        client.post(CHAT, json=body())
        client.post(CHAT, json=body(shift=False))
        assert sim.loads == 2


def test_the_model_that_expires_first_makes_room() -> None:
    with server(max_loaded_models=2) as (sim, client, clock):
        for name in ("llama3.1:8b", "b:1", "c:1"):
            client.post(CHAT, json={"model": name})
            clock.advance(1)
        assert loaded(client) == ["c:1", "b:1"]
        assert sim.loads == 3


@contextmanager
def held(sim: OllamaSimulator, client: httpx.Client, n: int) -> Iterator[list[Future[Any]]]:
    """Send `n` requests that wait at the gate or for a slot."""
    sim.gate.clear()
    with ThreadPoolExecutor(n) as pool:
        before = sim.count(CHAT)
        futures = []
        for number in range(n):
            futures.append(pool.submit(client.post, CHAT, json=body(f"Question {number}?")))
            sim.wait_for(before + number + 1, CHAT)
        try:
            yield futures
        finally:
            sim.gate.set()


def test_many_requests_can_be_held() -> None:
    with server(num_parallel=4) as (sim, client, _), held(sim, client, 24) as futures:
        assert sim.in_flight == 24
        assert not any(future.done() for future in futures)
        sim.gate.set()
        assert {future.result().status_code for future in futures} == {200}
        assert (sim.in_flight, sim.peak_in_flight) == (0, 24)


def test_a_model_in_use_is_not_unloaded_for_another_context() -> None:
    with server() as (sim, client, _), ThreadPoolExecutor(1) as pool:
        with held(sim, client, 1) as (first,):
            other = pool.submit(client.post, CHAT, json=body(options={"num_ctx": 1024}))
            sim.wait_for(2, CHAT)
            assert not first.done()
            sim.gate.set()
            assert first.result().status_code == other.result().status_code == 200
        assert sim.loads == 2


def test_a_full_queue_is_refused() -> None:
    # The first request holds the model, so that the second waits for its reload.
    with server(max_queue=0) as (sim, client, _), ThreadPoolExecutor(1) as pool:
        client.post(CHAT, json=body())
        with held(sim, client, 1) as (first,):
            waiting = pool.submit(client.post, CHAT, json=body(options={"num_ctx": 1024}))
            sim.wait_for(3, CHAT)
            refused = _until_refused(client)
            assert refused.json() == {
                "error": "server busy, please try again.  maximum pending requests exceeded"
            }
            sim.gate.set()
            assert first.result().status_code == waiting.result().status_code == 200


def _until_refused(client: httpx.Client) -> httpx.Response:
    """Ask until the queue is seen to be full: the request before may still be arriving."""
    for _ in range(100):
        try:
            response = client.post(CHAT, json=body(options={"num_ctx": 512}), timeout=0.2)
        except httpx.TimeoutException:
            continue
        if response.status_code == 503:
            return response
    raise AssertionError


def test_a_client_that_leaves_frees_its_place() -> None:
    with server() as (sim, client, _):
        sim.gate.clear()
        with pytest.raises(httpx.ReadTimeout):
            client.post(CHAT, json=body("first"), timeout=0.05)
        sim.gate.set()
        assert client.post(CHAT, json=body("second")).status_code == 200


def test_embedding_takes_its_time_one_after_the_other() -> None:
    with server(timing=SLOW, num_parallel=4) as (_, client, clock):
        client.post("/api/embed", json={"model": "all-minilm"})
        before = clock.monotonic()
        client.post("/api/embed", json={"model": "all-minilm", "input": ["a", "b"]})
        assert clock.monotonic() - before == pytest.approx(2 * 0.5 + 2 / 100)


def test_start_and_stop() -> None:
    sim = OllamaSimulator(["m"], embedder=HashedNgrams())
    with pytest.raises(RuntimeError, match="not running"):
        _ = sim.base_url
    sim.start()
    with pytest.raises(RuntimeError, match="already"):
        sim.start()
    port = sim.port
    sim.stop()
    sim.stop()
    with OllamaSimulator(["m"], port=port, embedder=HashedNgrams()) as again:
        assert again.port == port
    with pytest.raises(ValueError, match="not a model name"):
        OllamaSimulator(["not a name"])


def test_stop_ends_what_is_held() -> None:
    with ThreadPoolExecutor(1) as pool, server() as (sim, client, _):
        sim.gate.clear()
        future = pool.submit(client.post, CHAT, json=body())
        sim.wait_for(1, CHAT)
        sim.stop()
        assert isinstance(future.exception(timeout=10), httpx.TransportError)


def test_calls_are_recorded() -> None:
    with server() as (sim, client, _):
        client.post(CHAT, json=body("Why?"))
        client.get("/api/tags")
        client.post(CHAT, content=b"\xff{")
        assert [(call.method, call.path) for call in sim.calls] == [
            ("POST", CHAT), ("GET", "/api/tags"), ("POST", CHAT),
        ]  # fmt: skip
        assert sim.calls[0].body == body("Why?")
        assert sim.calls[2].body == {}
        assert (sim.count(), sim.count(CHAT), sim.count("/api/embed")) == (3, 2, 0)
        with pytest.raises(TimeoutError, match="2 of 3"):
            sim.wait_for(3, CHAT, timeout=0.01)
        sim.reset()
        assert sim.count() == 0
