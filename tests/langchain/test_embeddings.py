"""AegisEmbeddings: what OllamaEmbeddings gives, asked for once and kept in Redis."""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from langchain_ollama import OllamaEmbeddings

from aegis_llm import AegisConfig, ConfigError, cache_control
from aegis_llm.errors import EmbeddingError, TextTooLongError
from aegis_llm.testing import OllamaSimulator
from langchain_aegis import AegisEmbeddings
from langchain_aegis._embedder import derived_id
from tests.contracts.kit import Watch
from tests.langchain.embeddings_kit import LONG, MODEL, PATH, Makes, make
from tests.langchain.kit import NO_TLS
from tests.redis_server import RedisServer

__all__ = ["make"]
TEXTS = ["a cactus", "watering", "a cactus", "", "sand & stones"]


@pytest.fixture
def stock(ollama: OllamaSimulator) -> OllamaEmbeddings:
    return OllamaEmbeddings(model=MODEL, base_url=ollama.base_url, client_kwargs=NO_TLS)


def test_the_vectors_are_those_of_the_stock_class(make: Makes, stock: OllamaEmbeddings) -> None:
    expected = np.array(stock.embed_documents(TEXTS), np.float32)
    made = make()
    for _ in range(2):
        assert np.allclose(made.embed_documents(TEXTS), expected, atol=1e-6)
        assert np.allclose(made.embed_query(TEXTS[1]), expected[1], atol=1e-6)
    make.new_process()
    again = make()
    assert again.embed_documents(TEXTS) == made.embed_documents(TEXTS), "a hit is no other vector"
    assert make.sent == [TEXTS, ["a cactus", "watering", "", "sand & stones"]]


async def test_awaited_calls_give_the_same(make: Makes) -> None:
    made = make()
    assert await made.aembed_documents(TEXTS) == made.embed_documents(TEXTS)
    assert await made.aembed_query("a cactus") == made.embed_query("a cactus")
    assert await made.aembed_documents([]) == made.embed_documents([]) == []
    assert len(make.sent) == 1


def test_nobody_gets_the_list_of_another(make: Makes) -> None:
    made = make()
    one, two = made.embed_documents(["a", "a"])
    one.clear()
    assert len(two) == len(made.embed_query("a")) == 384


def test_nothing_is_sent_before_it_is_asked_for(make: Makes, ollama: OllamaSimulator) -> None:
    make(warm=False)
    assert ollama.calls == ()


def test_a_hit_asks_ollama_nothing_in_a_new_process(
    make: Makes, redis_server: RedisServer, namespace: str
) -> None:
    make(ttl=60).embed_documents(["a", "b"])
    with redis_server.client() as client:
        keys = list(client.scan_iter(f"aegis:v1:{namespace}:v:*"))
        assert len(keys) == 2
        assert all(key.endswith(b":all-minilm:latest") for key in keys)
        assert all(0 < client.pttl(key) <= 60_000 for key in keys)
        assert {len(client.get(key) or b"") for key in keys} == {4 * 384 + 20}
    make.new_process()
    make().embed_documents(["b", "c", "a"])
    assert make.sent == [["a", "b"], ["c"]]


def test_what_redis_gave_is_not_asked_for_again_at_once(
    make: Makes, redis_server: RedisServer
) -> None:
    make().embed_query("a")
    make.new_process()
    made = make()
    made.embed_query("a")
    with Watch(redis_server) as watch:
        assert made.embed_query("a") == made.embed_query("a")
    assert "MGET" not in watch.names


def test_another_pull_of_the_model_is_another_vector(make: Makes, ollama: OllamaSimulator) -> None:
    make().embed_query("a")
    ollama.repull(MODEL)
    make.new_process()
    make().embed_query("a")
    assert make.sent == [["a"], ["a"]]


def test_a_model_that_the_server_does_not_list_is_not_cached(
    make: Makes, ollama: OllamaSimulator, redis_server: RedisServer, namespace: str
) -> None:
    made = make(model="unknown", warm=False)
    with pytest.raises(Exception, match="not found"):
        made.embed_query("a")
    ollama.faults.status(500, {"error": "no tags"}, path="/api/tags")
    with redis_server.client() as client:
        assert list(client.scan_iter(f"aegis:v1:{namespace}:v:*")) == []


def test_what_changes_a_vector_is_another_entry_and_what_does_not_is_none(make: Makes) -> None:
    make().embed_query("a")
    make(num_thread=2, temperature=0.5, keep_alive=60, top_k=3).embed_query("a")
    assert len(make.sent) == 1
    half = make(dimensions=128)
    assert len(half.embed_query("a")) == 128
    make(num_ctx=128).embed_query("a")
    assert len(make.sent) == 3
    assert len(make(dimensions=128).embed_query("a")) == 128
    assert math.isclose(np.linalg.norm(half.embed_query("a")), 1.0, abs_tol=1e-5)
    assert len(make.sent) == 3


def test_the_request_is_that_of_the_stock_class_but_for_cutting(
    make: Makes, ollama: OllamaSimulator
) -> None:
    given: dict[str, Any] = {"num_ctx": 200, "keep_alive": 60, "dimensions": 64, "stop": ["x"]}
    make(**given).embed_documents(["a", "b"])
    stock = OllamaEmbeddings(model=MODEL, base_url=ollama.base_url, client_kwargs=NO_TLS, **given)
    stock.embed_documents(["a", "b"])
    ours, theirs = (dict(call.body) for call in ollama.calls if call.path == PATH)
    assert ours.pop("truncate") is False
    theirs["options"] = {n: v for n, v in theirs["options"].items() if v is not None}
    assert ours == theirs


def test_a_text_that_is_too_long_is_named(make: Makes) -> None:
    made = make()
    with pytest.raises(TextTooLongError, match=r"^text 2 of 3 \('tree tree .*1500 characters"):
        made.embed_documents(["a", LONG, "b"])
    assert len(make.sent) == 3
    made.embed_documents(["a", "b"])
    assert len(make.sent) == 3, "the others were kept"
    with pytest.raises(TextTooLongError, match=r"^the text \("):
        made.embed_query(LONG)


def test_a_text_that_is_too_long_can_be_cut(make: Makes, stock: OllamaEmbeddings) -> None:
    made = make(truncate=True)
    vectors = made.embed_documents(["a", LONG])
    expected = np.array(stock.embed_documents(["a", LONG]), np.float32)
    assert np.allclose(vectors, expected, atol=1e-6)
    before = len(make.sent)
    made.embed_documents(["a", LONG])
    assert [LONG] in make.sent[before:], "what was cut is not kept"
    assert ["a"] not in make.sent[before:]


@pytest.mark.parametrize("texts", [["a", 7], ["a", "\ud800"], [None]])
def test_what_the_client_refuses_is_refused_as_it_refuses(
    make: Makes, stock: OllamaEmbeddings, texts: Any
) -> None:
    def raised(call: Callable[[Any], Any]) -> type[BaseException]:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - compared with that of the other
            call(texts)
        return caught.type

    assert raised(make().embed_documents) is raised(stock.embed_documents)


def test_a_reply_without_vectors_is_said(make: Makes, ollama: OllamaSimulator) -> None:
    made = make()
    ollama.faults.status(200, {"model": MODEL, "embeddings": [[1.0]]}, path=PATH)
    with pytest.raises(EmbeddingError, match="1 vectors for 2 texts"):
        made.embed_documents(["a", "b"])
    assert len(made.embed_documents(["a", "b"])) == 2


def test_an_error_of_the_server_is_that_of_the_stock_class(
    make: Makes, ollama: OllamaSimulator
) -> None:
    made = make()
    ollama.faults.status(503, {"error": "busy"}, path=PATH)
    with pytest.raises(Exception, match="busy"):
        made.embed_query("a")
    assert len(made.embed_query("a")) == 384


def test_the_controls_hold(make: Makes) -> None:
    made = make()
    for control in ({"bypass": True}, {"bypass": True}, {}, {}, {"refresh": True}, {}):
        with cache_control(**control):
            made.embed_query("a")
    assert len(make.sent) == 4


def test_without_stored_prompts_no_vector_leaves_the_process(
    make: Makes, redis_server: RedisServer, namespace: str
) -> None:
    made = make(store_prompts=False)
    assert made.embed_query("a") == made.embed_query("a")
    assert len(make.sent) == 1
    with redis_server.client() as client:
        assert list(client.scan_iter(f"aegis:v1:{namespace}:v:*")) == []


@pytest.mark.parametrize("url", ["memory://vectors", "embedded://"])
def test_it_works_without_a_redis_of_the_users(make: Makes, url: str) -> None:
    made = make(redis_url=url, local_max_bytes=0)
    made.connect_now(30)
    assert made.embed_query("a") == made.embed_query("a")
    assert len(make.sent) == 1


def test_its_name_is_that_of_the_stock_class(make: Makes) -> None:
    """So that the semantic tier of both is one, and the calibrated score holds."""
    given: dict[str, Any] = {"model": MODEL, "num_ctx": 256, "dimensions": 64, "client_kwargs": {}}
    stock = derived_id(OllamaEmbeddings(**given))
    assert derived_id(make(**given, ttl=5, truncate=True)) == stock
    assert derived_id(make(**(given | {"num_ctx": 512}))) != stock

    class Own(AegisEmbeddings):
        """One that may do anything to the vectors."""

    assert derived_id(Own(**given, redis_url="memory://")).startswith("Own ")


def test_settings_changed_later_hold(make: Makes) -> None:
    made = make()
    copy = made.model_copy(update={"dimensions": 32})
    assert len(copy.embed_query("a")) == 32
    made.dimensions = 16
    assert len(made.embed_query("a")) == 16
    made.namespace = "elsewhere"
    made.embed_query("a")
    assert len(make.sent) == 3
    with pytest.raises(ConfigError, match="namespace"):
        made.namespace = "not a name"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"redis_ulr": "redis://x"}, "did you mean 'redis_url'"),
        ({"local_max_bytes": 0}, r"aegis=AegisConfig\(\)"),
        ({"ttl": -1}, "ttl"),
        ({"redis_url": "http://x"}, "redis_url"),
        ({"embeddings": None}, "unknown option"),
    ],
)
def test_a_wrong_setting_is_said_at_once(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AegisEmbeddings(model=MODEL, **given)


def test_no_secret_is_shown() -> None:
    made = AegisEmbeddings(model=MODEL, redis_url="redis://:hunter2@localhost:1")
    assert "hunter2" not in f"{made!r} {made} {made.model_dump()}"


def test_the_settings_of_the_environment_are_taken(make: Makes) -> None:
    config = AegisConfig.from_env({"AEGIS_NAMESPACE": "from-env", "AEGIS_TTL": "5"})
    made = make(aegis=config, namespace=None, redis_url="memory://")
    assert made._vectors._rules.namespace == "from-env"
    assert made._vectors._rules.ttl_ms() == 5000


def test_each_event_loop_has_connections_of_its_own(make: Makes) -> None:
    made = make(local_max_bytes=0)
    for text in ("a", "b", "a"):
        assert len(asyncio.run(made.aembed_query(text))) == 384
    assert make.sent == [["a"], ["b"]]


def test_headers_and_users_part_requests_and_reach_the_server(
    make: Makes, ollama: OllamaSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "k")
    keyed = make()
    monkeypatch.delenv("OLLAMA_API_KEY")
    plain = make()
    slow = make(client_kwargs={**NO_TLS, "timeout": 5})
    assert len({id(one._vectors) for one in (keyed, plain, slow, make(truncate=True))}) == 4
    token = make(client_kwargs={**NO_TLS, "headers": {"x-token": "t"}})
    url = ollama.base_url.replace("http://", "http://me:secret@")
    user = make(base_url=url, client_kwargs=dict(NO_TLS))
    identities = {made._vectors.source.identity for made in (plain, token, user)}
    assert len(identities) == 3
    assert make()._vectors is plain._vectors
    with cache_control(bypass=True):
        for made in (plain, token, user):
            made.embed_query("a")
    told = [call.headers for call in ollama.calls if call.path == PATH]
    assert [("x-token" in h, "authorization" in h) for h in told] == [
        (False, False), (True, False), (False, True)
    ]  # fmt: skip


def test_what_was_opened_is_closed_with_the_model(make: Makes) -> None:
    made = make(redis_url="memory://")
    client: httpx.Client = made._blocking._client
    made.embed_query("a")
    assert not client.is_closed
    del made
    make.made.clear()
    gc.collect()
    assert client.is_closed
