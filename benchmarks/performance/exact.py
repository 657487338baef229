"""Exact hits: the core, AegisCache and the peers' look-ups beside a GET of the same size."""

from __future__ import annotations

from langchain_core.outputs import ChatGeneration
from langchain_redis import RedisCache

from aegis_llm.values import Answer
from aegis_llm.wiring import build
from benchmarks.common.measuring import Effort, Target, interleave
from benchmarks.common.parts import (
    ANSWER,
    Bench,
    KnownModels,
    answer_message,
    cache_strings,
    in_memory,
    request,
)
from benchmarks.performance.result import Result, at_most, details
from langchain_aegis import AegisCache

GET = "floor: redis-py GET of the core's value"
GET_LANGCHAIN = "floor: redis-py GET of AegisCache's value"
CORE = "core: Service.open"
CACHE = "AegisCache.lookup"


def measure(bench: Bench, effort: Effort) -> Result:
    """Time look-ups that hit the exact tier."""
    service = build(bench.config())
    service.digests.register(KnownModels())
    wanted = request()
    service.open(wanted).store(Answer(text=ANSWER, done_reason="stop", completion_tokens=200))
    assert service.open(wanted).origin.outcome == "hit_exact"

    prompt, llm_string = cache_strings()
    generations = [ChatGeneration(message=answer_message())]
    aegis = AegisCache(config=bench.config(namespace=bench.namespace + "lc"))
    aegis.update(prompt, llm_string, generations)
    peer = RedisCache(bench.url, prefix=bench.namespace + "peer")
    peer.update(prompt, llm_string, generations)
    memory = in_memory()
    memory.update(prompt, llm_string, generations)
    assert all(cache.lookup(prompt, llm_string) for cache in (aegis, peer, memory))

    client = bench.client()
    key = next(iter(client.scan_iter(match=f"aegis:v1:{bench.namespace}:x:*")))
    key_langchain = next(iter(client.scan_iter(match=f"aegis:v1:{bench.namespace}lc:x:*")))
    sizes = [len(client.get(k) or b"") for k in (key, key_langchain)]
    timings = interleave(
        [
            Target(GET, lambda: client.get(key)),
            Target(GET_LANGCHAIN, lambda: client.get(key_langchain)),
            Target(CORE, lambda: service.open(wanted)),
            Target(CACHE, lambda: aegis.lookup(prompt, llm_string)),
            Target("langchain-redis RedisCache.lookup", lambda: peer.lookup(prompt, llm_string)),
            Target("LangChain InMemoryCache.lookup", lambda: memory.lookup(prompt, llm_string)),
        ],
        effort,
    )
    note = (
        f"Values of {sizes[0]} and {sizes[1]} bytes (an answer of 1,000 characters); local copy "
        f"off; n = {effort.calls} for each, in blocks of {effort.block}."
    )
    return Result(
        [
            at_most("core exact look-up / redis-py GET", timings[CORE], timings[GET], 1.3),
            at_most(
                "`AegisCache.lookup` / redis-py GET", timings[CACHE], timings[GET_LANGCHAIN], 1.6
            ),
        ],
        [details("Exact look-ups", timings, GET, note)],
    )
