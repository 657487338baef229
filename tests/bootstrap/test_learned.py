"""The workload by what a cache keeps."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm import AegisError, ConfigError, codec
from aegis_llm.bootstrap.learned import learned_workload, workload_of
from aegis_llm.values import Answer, Entry
from tests.redis_server import RedisServer
from tests.servers import nobody

MANY = 250


def entry(prompt: int, output: int, model: str = "llama3.1:8b") -> Entry:
    now = int(time.time() * 1000)
    answer = Answer("Thirty days.", prompt_tokens=prompt, completion_tokens=output)
    return Entry("k", (answer,), now, now + 60_000, model=model)


def key(namespace: str, number: int) -> str:
    return f"aegis:v1:{namespace}:x:{number:064x}:llama3.1:8b:0"


def test_it_is_that_of_the_entries_of_one_namespace(
    redis_server: RedisServer, redis_url: str, namespace: str
) -> None:
    with redis_server.client() as client:
        for number in range(MANY):
            model = "llama3.1:8b" if number % 5 else "qwen3:8b"
            data = codec.encode(entry(1000 + number, 100 + number, model))
            client.set(key(namespace, number), data, ex=60)
        client.set(key(f"{namespace}2", 1), codec.encode(entry(9_999, 9_999)), ex=60)
        client.set(key(namespace, MANY), b"no entry", ex=60)
        client.lpush(key(namespace, MANY + 1), "foreign")

    found = learned_workload(redis_url, namespace, concurrent=8, goal="latency")

    assert (found.prompt_tokens, found.output_tokens) == (1237, 347)
    assert found.models == ("llama3.1:8b", "qwen3:8b")
    assert (found.concurrent, found.goal) == (8, "latency")
    assert found.source.startswith(f"250 answers of {namespace} at redis://127.0.0.1:")


def test_a_sample_is_enough(redis_server: RedisServer, redis_url: str, namespace: str) -> None:
    with redis_server.client() as client:
        for number in range(MANY):
            client.set(key(namespace, number), codec.encode(entry(1000, 100)), ex=60)
    assert learned_workload(redis_url, namespace, sample=50).source.startswith("50 answers")
    with pytest.raises(AegisError, match="no answer of"):
        learned_workload(redis_url, namespace, most_s=0)


def test_where_nothing_is_known_it_says_so(redis_url: str, namespace: str) -> None:
    with pytest.raises(AegisError, match=f"no answer of {namespace} at redis://"):
        learned_workload(redis_url, namespace)
    with pytest.raises(AegisError, match=r"cannot be read \(redis_down\)"):
        learned_workload(nobody().replace("http", "redis"), namespace)
    for url in ("memory://", "embedded://", "nothing"):
        with pytest.raises(ConfigError):
            learned_workload(url)


def test_answers_that_tell_no_tokens_do_not_count() -> None:
    found = workload_of([entry(0, 0), entry(700, 0), entry(500, 20)], "here")
    assert (found.prompt_tokens, found.output_tokens) == (500, 20)
    assert found.source == "1 answers of here"


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=300))
def test_it_covers_what_it_says(lengths: list[tuple[int, int]]) -> None:
    found = workload_of([entry(*one) for one in lengths], "here")
    prompts = sum(prompt <= found.prompt_tokens for prompt, _ in lengths)
    outputs = sum(output <= found.output_tokens for _, output in lengths)
    assert prompts >= 0.95 * len(lengths)
    assert outputs >= 0.99 * len(lengths)
    assert found.prompt_tokens in {prompt for prompt, _ in lengths}
