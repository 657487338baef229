"""What AegisOllama takes, refuses, shows and survives."""

from __future__ import annotations

import copy
import json
import pickle  # noqa: TID251 - models are pickled by their users
import subprocess
import sys
from typing import Any

import ollama
import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM, ChatMessage
from llama_index.llms.ollama import Ollama

from aegis_llm import AegisConfig, ConfigError
from llama_index.llms.aegis import AegisOllama
from tests.llama_index.kit import MODEL, Kit, ask, outcome

SECRET = "redis://user:hunter2@localhost:6379"


def test_it_takes_what_ollama_takes() -> None:
    with ollama.Client("http://127.0.0.1:1") as client:
        given: dict[str, Any] = {
            "temperature": 0.5,
            "context_window": 2048,
            "request_timeout": 7.0,
            "prompt_key": "p",
            "json_mode": True,
            "additional_kwargs": {"seed": 1},
            "client": client,
            "async_client": None,
            "is_function_calling_model": False,
            "keep_alive": "1m",
            "thinking": "low",
            "headers": {"a": "b"},
            "system_prompt": "Be brief.",
            "messages_to_prompt": str,
            "completion_to_prompt": str,
            "callback_manager": CallbackManager([]),
        }
        stock, ours = (
            Ollama(MODEL, "http://h:1", **given),
            AegisOllama(MODEL, "http://h:1", **given),
        )
        fields = set(Ollama.model_fields)
        assert {f: getattr(ours, f) for f in fields} == {f: getattr(stock, f) for f in fields}
        assert ours.client._clients == (client,)
        assert isinstance(ours, Ollama)
        assert Ollama(MODEL, "http://h:1", 0.3).temperature == 0.3
        assert AegisOllama(MODEL, "http://h:1", 0.3).temperature == 0.3


def test_settings_take_it() -> None:
    llm = AegisOllama(MODEL, redis_url="memory://")
    manager = CallbackManager([])
    Settings.llm = llm
    Settings.callback_manager = manager
    assert Settings.llm is llm
    assert llm.callback_manager is manager
    assert isinstance(Settings.llm, LLM)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"similarty": 0.9}, "did you mean 'similarity'"),
        ({"temperatur": 0.9}, "did you mean 'temperature'"),
        ({"embeddings": None}, "'embed_model'|known:"),
        ({"redis_timeout_ms": 5}, "belongs into aegis="),
        ({"ttl": 0}, "ttl=0"),
        ({"similarity": 1.5}, "similarity=1.5"),
        ({"namespace": "a b"}, "namespace 'a b'"),
        ({"redis_url": "http://h"}, "redis_url 'http://h'"),
        ({"aegis": {"ttl": 3}}, "give an AegisConfig"),
    ],
)
def test_wrong_settings_say_what_to_do(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AegisOllama(MODEL, **given)


def test_the_fields_win_over_the_config() -> None:
    config = AegisConfig().with_options(redis_url="memory://a", ttl=5, similarity=0.5)
    llm = AegisOllama(MODEL, aegis=config, ttl=7)
    cache = llm.answering.service.rules.cache
    assert (cache.redis_url, cache.ttl, cache.similarity) == ("memory://a", 7, 0.5)


def test_the_redis_url_is_never_shown() -> None:
    llm = AegisOllama(MODEL, redis_url=SECRET)
    shown = [
        repr(llm), str(llm), str(llm.model_dump()), str(llm.dict()), llm.to_json(),
        llm.json(), str(llm.to_dict()), str(llm.to_payload()), llm.model_dump_json(),
        json.dumps(AegisOllama.model_json_schema(mode="serialization")),
    ]  # fmt: skip
    assert not [text for text in shown if "hunter2" in text]
    assert llm.to_dict()["class_name"] == AegisOllama.class_name() == "AegisOllama_llm"


def test_it_can_be_made_again_from_its_dictionary(kit: Kit) -> None:
    llm = kit.aegis(temperature=0.5, ttl=7.0, context_window=2048)
    again = AegisOllama.from_dict(llm.to_dict(), redis_url=kit.redis_url)
    assert again.to_dict() == llm.to_dict()
    assert AegisOllama(**llm.to_dict(), redis_url="memory://").ttl == 7.0


def test_construction_makes_no_connection(kit: Kit) -> None:
    kit.aegis(warm=False)
    AegisOllama(MODEL, redis_url="redis://127.0.0.1:1", base_url="http://127.0.0.1:1")
    assert kit.ollama.calls == ()


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda llm: llm.model_copy(),
        lambda llm: llm.model_copy(deep=True),
    ],
    ids=["copy", "deepcopy", "model_copy", "model_copy_deep"],
)
def test_a_copy_shares_the_cache(kit: Kit, copied: Any, used: bool) -> None:
    llm = kit.aegis()
    if used:
        llm.chat(ask("Who?"))
    twin = copied(llm)
    kit._open.append(twin)
    assert twin.to_dict() == llm.to_dict()
    assert twin.embed_model is llm.embed_model
    assert outcome(twin.chat(ask("Who?"))) == ("hit_local" if used else "miss")
    assert outcome(llm.chat(ask("Who?"))) == "hit_local"


def test_a_deep_copy_has_settings_of_its_own(kit: Kit) -> None:
    llm = kit.aegis(additional_kwargs={"seed": 1})
    twin = copy.deepcopy(llm)
    twin.additional_kwargs["seed"] = 2
    assert llm.additional_kwargs == {"seed": 1}


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_pickle_connects_afresh(kit: Kit, used: bool, caplog: pytest.LogCaptureFixture) -> None:
    llm = kit.aegis(ttl=7.0)
    if used:
        llm.chat(ask("Who?"))
    twin = pickle.loads(pickle.dumps(llm))
    kit._open.append(twin)
    assert "_links" not in caplog.text
    assert (twin.ttl, twin.redis_url) == (7.0, kit.redis_url)
    assert outcome(twin.chat(ask("Who?"))) == ("hit_local" if used else "miss")


def test_another_model_name_is_another_identity(kit: Kit) -> None:
    llm = kit.aegis()
    llm.chat(ask("Who?"))
    llm.model = "mistral:7b"
    assert outcome(llm.chat(ask("Who?"))) == "miss"
    llm.model = MODEL
    assert outcome(llm.chat(ask("Who?"))) == "hit_local"


async def test_given_clients_are_used(kit: Kit) -> None:
    url = kit.ollama.base_url
    awaited = ollama.AsyncClient(url, headers={"x-who": "awaited"})
    with ollama.Client(url, headers={"x-who": "blocking"}) as client:
        llm = kit.aegis(base_url="http://127.0.0.1:1", client=client, async_client=awaited)
        assert outcome(llm.chat(ask("Who?"))) == "miss"
        assert outcome(await llm.achat(ask("When?"))) == "miss"
        assert llm.client._clients == (client,)
        assert llm.async_client._clients == (awaited,)
        assert outcome(await llm.achat(ask("Who?"))) == "hit_local"
        assert llm.metadata.context_window
    await awaited.close()
    who = [call.headers["x-who"] for call in kit.ollama.calls if call.path == "/api/chat"]
    assert who == ["blocking", "awaited"]


def test_headers_reach_every_request(kit: Kit) -> None:
    llm = kit.aegis(headers={"Authorization": "Bearer t"})
    llm.chat([ChatMessage(role="user", content="Who?")])
    assert llm.metadata.context_window
    told = {call.path: call.headers.get("authorization") for call in kit.ollama.calls}
    assert told == dict.fromkeys(("/api/tags", "/api/chat", "/api/show"), "Bearer t")


@pytest.mark.parametrize("absent", ["llama_index.core", "llama_index.llms.ollama"])
def test_a_missing_extra_is_named(absent: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{absent!r}] = None\n"
        "from aegis_llm import MissingExtraError\n"
        "try:\n    import llama_index.llms.aegis\n"
        "except MissingExtraError as exc:\n    print(exc)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "the extra llama-index: pip install 'llama-index-core" in ran.stdout


def test_it_says_once_that_nothing_is_embedded(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        AegisOllama(MODEL, redis_url="memory://")
    assert caplog.text.count("no embed_model given") == 1
