"""Models that change, are missing, or whose server is away."""

from __future__ import annotations

from typing import Any

import httpx
from ollama import ResponseError

from aegis_llm import wiring
from aegis_llm.testing import OllamaSimulator
from langchain_aegis import ChatAegis
from tests.langchain.kit import MODEL, Kit, error_of, outcome, reason, warm_up

ASKED = "What is the capital of France?"


def refetch(model: ChatAegis) -> None:
    """Let the digests be fetched now, as they are once a minute, and wait for them."""
    digests = model._answering.service.digests
    server = model._source.server
    digests._servers[server].next_fetch = 0
    digests.look(server, MODEL)
    fetching = digests._servers[server].fetching
    if fetching is not None:
        fetching.result(10)


def test_a_model_pulled_anew_is_not_served_the_old_answer(kit: Kit) -> None:
    model = kit.aegis()
    model.invoke(ASKED)
    assert outcome(model.invoke(ASKED)) == "hit_local"
    kit.ollama.repull(MODEL)
    refetch(model)
    assert outcome(model.invoke(ASKED)) == "miss"
    assert outcome(model.invoke("What's the capital of France?")) == "hit_semantic"
    assert outcome(next(_last(model.stream(ASKED)))) == "hit_local"


def test_a_model_that_does_not_exist_is_not_cached(kit: Kit) -> None:
    expected = _error(kit.stock(model="nobody"))
    model = kit.aegis(model="nobody")
    for _ in range(2):
        assert _error(model) == expected
    assert expected[0] is ResponseError
    assert _keys(kit) == []


def test_a_model_that_appears_later_is_cached_then(kit: Kit) -> None:
    model = kit.aegis(model="later:1b")
    assert _error(model)[0] is ResponseError
    kit.ollama.models["later:1b"] = kit.ollama.models[MODEL]
    try:
        unknown = model.invoke(ASKED)
        assert (outcome(unknown), reason(unknown)) == ("bypass", "model_unknown")
        refetch(model)
        assert outcome(model.invoke(ASKED)) == "miss"
        assert outcome(model.invoke(ASKED)) == "hit_local"
    finally:
        del kit.ollama.models["later:1b"]


def test_a_server_that_was_away_at_first(kit: Kit) -> None:
    with OllamaSimulator() as elsewhere:
        port = elsewhere.port
        url = elsewhere.base_url
    model = kit.aegis(base_url=url, embeddings=None)
    expected = _error(kit.stock(base_url=url))
    assert expected[0] is httpx.ConnectError
    assert _error(model) == expected
    with OllamaSimulator(port=port) as back:
        answer = model.invoke(ASKED)
        assert outcome(answer) == "bypass"
        refetch(model)
        assert outcome(model.invoke(ASKED)) == "miss"
        assert outcome(model.invoke(ASKED)) == "hit_local"
        assert back.count("/api/chat") == 2


def test_answers_outlive_the_server_and_the_process(kit: Kit) -> None:
    with OllamaSimulator() as server:
        url = server.base_url
        first = kit.aegis(base_url=url, embeddings=None).invoke(ASKED)
    wiring.forget_all()  # as a new process, while Ollama is away
    model = kit.aegis(base_url=url, embeddings=None)
    answer = model.invoke(ASKED)
    assert outcome(answer) == "hit_exact"
    assert answer.text == first.text
    assert "".join(chunk.text for chunk in model.stream(ASKED)) == first.text
    assert _error(model, "Something else?")[0] is httpx.ConnectError


async def test_awaited_the_first_request_waits_for_the_digest(kit: Kit) -> None:
    model = kit.aegis(warm=False)
    assert outcome(await model.ainvoke(ASKED)) in ("miss", "bypass")
    warm_up(model)
    await model.ainvoke(ASKED)
    assert outcome(await model.ainvoke(ASKED)) == "hit_local"
    assert kit.ollama.count("/api/tags") == 1


def test_many_models_ask_for_the_digests_once(kit: Kit) -> None:
    for number in range(5):
        kit.aegis(seed=number).invoke(ASKED)
    assert kit.ollama.count("/api/tags") == 1


def test_constructors_do_nothing_on_the_network() -> None:
    model = ChatAegis(model=MODEL, base_url="http://192.0.2.1:1", redis_url="redis://192.0.2.1:1")
    assert model.model == MODEL


def _error(model: Any, asked: str = ASKED) -> tuple[type, str]:
    error = error_of(lambda: model.invoke(asked))
    assert error is not None
    return error


def _keys(kit: Kit) -> list[bytes]:
    import redis

    with redis.Redis.from_url(kit.redis_url) as client:
        return list(client.scan_iter(f"aegis:*:{kit.namespace}:[xs]:*"))


def _last(chunks: Any) -> Any:
    yield [chunk for chunk in chunks if "aegis" in chunk.response_metadata][-1]
