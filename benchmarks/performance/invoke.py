"""Whole `invoke` calls on a hit, beside a model that takes no time."""

from __future__ import annotations

from unittest.mock import patch

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_ollama import ChatOllama
from langchain_redis import RedisCache

from aegis_llm.config import AegisConfig
from aegis_llm.testing import OllamaSimulator
from benchmarks.common.measuring import Effort, Target, interleave
from benchmarks.common.parts import ANSWER, MESSAGES, MODEL, Bench, InstantChat, in_memory
from benchmarks.performance.result import Result, at_most, details
from langchain_aegis import AegisCache, ChatAegis

EMPTY = "LangChain's own cost: invoke of an instant model"
GET_INSIDE = "floor: invoke of an instant model that makes one GET inside"
IN_MEMORY = "floor: invoke of an instant model, hit in InMemoryCache"
OLLAMA_IN_MEMORY = "ChatOllama.invoke, hit in InMemoryCache"
EXACT = "ChatAegis.invoke, exact hit (local copy off)"
LOCAL = "ChatAegis.invoke, local hit"


def measure(bench: Bench, effort: Effort) -> Result:
    """Time `invoke` on hits."""
    client = bench.client()
    with OllamaSimulator() as ollama:
        exact = _filled(ollama.base_url, bench.config(), "hit_exact")
        kept = bench.config(local_max_bytes=1 << 24, local_max_age_s=3600)
        local = _filled(ollama.base_url, kept, "hit_local")
    key = next(iter(client.scan_iter(match=f"aegis:v1:{bench.namespace}:x:*")))
    inside = InstantChat(inside=lambda: client.get(key))
    plain = InstantChat()
    memory = InstantChat(cache=in_memory())
    aegis = AegisCache(config=bench.config()).bind(InstantChat())
    peer = InstantChat(cache=RedisCache(bench.url, prefix=bench.namespace + "peer"))
    ollama_memory = ChatOllama(model=MODEL, temperature=0.0, cache=in_memory())
    with patch.object(ChatOllama, "_generate", return_value=_result()):
        ollama_memory.invoke(MESSAGES)
    for model in (memory, aegis, peer):
        model.invoke(MESSAGES)
    timings = interleave(
        [
            Target(EMPTY, lambda: plain.invoke(MESSAGES)),
            Target(GET_INSIDE, lambda: inside.invoke(MESSAGES)),
            Target(EXACT, lambda: exact.invoke(MESSAGES)),
            Target(IN_MEMORY, lambda: memory.invoke(MESSAGES)),
            Target(LOCAL, lambda: local.invoke(MESSAGES)),
            Target(OLLAMA_IN_MEMORY, lambda: ollama_memory.invoke(MESSAGES)),
            Target("instant model with AegisCache", lambda: aegis.invoke(MESSAGES)),
            Target("instant model with langchain-redis RedisCache", lambda: peer.invoke(MESSAGES)),
        ],
        effort,
    )
    assert (_outcome(exact), _outcome(local)) == ("hit_exact", "hit_local")
    note = f"An answer of 1,000 characters; n = {effort.calls} for each."
    return Result(
        [
            at_most(
                "`ChatAegis.invoke` exact hit / invoke of an instant model with one GET inside",
                timings[EXACT],
                timings[GET_INSIDE],
                1.3,
            ),
            at_most(
                "`ChatAegis.invoke` local hit / an instant model's with `InMemoryCache`",
                timings[LOCAL],
                timings[IN_MEMORY],
                1.1,
            ),
            at_most(
                "beside it: `ChatOllama.invoke` with `InMemoryCache`",
                timings[LOCAL],
                timings[OLLAMA_IN_MEMORY],
                None,
            ),
        ],
        [details("`invoke` on a hit", timings, GET_INSIDE, note)],
    )


def _filled(base_url: str, config: AegisConfig, outcome: str) -> ChatAegis:
    """Return a ChatAegis that has an answer to the messages of the benchmark."""
    model = ChatAegis(model=MODEL, base_url=base_url, temperature=0.0, aegis=config)
    with patch.object(ChatOllama, "_generate", return_value=_result()):
        model.invoke(MESSAGES)
        model.invoke(MESSAGES)
    assert _outcome(model) == outcome
    return model


def _result() -> ChatResult:
    """Return what ChatOllama makes of a complete answer."""
    message = AIMessage(content=ANSWER)
    info = {"model": MODEL, "done": True, "done_reason": "stop", "eval_count": 200}
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])


def _outcome(model: ChatAegis) -> str:
    message = model.invoke(MESSAGES)
    assert message.content == ANSWER
    return str(message.response_metadata["aegis"]["outcome"])
