"""The simulator beside the Ollama at OLLAMA_HOST, field by field.

Runs when a server answers there. With AEGIS_TEST_OLLAMA=1 a missing server is a failure.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx
import pytest

from aegis_llm.testing import HashedNgrams, OllamaSimulator, SimulatedModel

pytestmark = pytest.mark.ollama

FIRST_COMPARED = (0, 30)
HELLO = [{"role": "user", "content": "Hello, who are you?"}]
FEW = {"num_predict": 3, "num_ctx": 2048}
CHAT: dict[str, Any] = {"messages": HELLO, "options": FEW, "stream": False}
PROMPT: dict[str, Any] = {"prompt": "Hello, who are you?", "options": FEW, "stream": False}
LONG = {"messages": [{"role": "user", "content": "word " * 3000}], "options": FEW}
# What a Modelfile may hold or lack.
OPTIONAL = {
    "license", "system", "parameters", "template", "messages", "requires", "projector_info",
    "renderer", "parser", "context_length", "embedding_length",
}  # fmt: skip


def host() -> str:
    found = os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434"
    found = found if "://" in found else f"http://{found}"
    return found.replace("//0.0.0.0", "//127.0.0.1").rstrip("/")


def absent(why: str) -> NoReturn:
    if os.environ.get("AEGIS_TEST_OLLAMA") == "1":
        pytest.fail(f"AEGIS_TEST_OLLAMA=1 promises a usable Ollama, but {why}")
    pytest.skip(why)


@dataclass
class Pair:
    """The real server and the simulator, with models of the same names and abilities."""

    real: httpx.Client
    sim: httpx.Client
    chat: str
    embed: str | None

    def both(self, method: str, path: str, **request: Any) -> tuple[Any, Any]:
        return tuple(client.request(method, path, **request) for client in (self.real, self.sim))


def simulated(client: httpx.Client, name: str) -> SimulatedModel:
    shown = client.post("/api/show", json={"model": name}).json()
    info = shown["model_info"]
    arch = info["general.architecture"]
    return SimulatedModel(
        capabilities=tuple(shown["capabilities"]),
        family=shown["details"]["family"],
        context_length=info[f"{arch}.context_length"],
        system=shown.get("system", ""),
    )


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with httpx.Client(base_url=host(), timeout=120) as real:
        try:
            version = real.get("/api/version", timeout=2).json()["version"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            absent(f"no Ollama answers at {host()}: {error}")
        numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
        if (0, 0) < numbers < FIRST_COMPARED:  # a build of one's own says 0.0.0
            absent(f"Ollama {version} is older than 0.30, whose answers are simulated")
        models = {
            entry["name"]: simulated(real, entry["name"])
            for entry in real.get("/api/tags").json()["models"]
        }
        chat = next((name for name, model in models.items() if model.can("completion")), None)
        embed = next((name for name, model in models.items() if model.can("embedding")), None)
        if chat is None:
            absent(f"the Ollama at {host()} has no model that chats: `ollama pull llama3.2:1b`")
        with (
            OllamaSimulator(models, embedder=HashedNgrams(), context_length=2048) as sim,
            httpx.Client(base_url=sim.base_url, timeout=10) as simulator,
        ):
            yield Pair(real, simulator, chat, embed)


def shape(value: Any) -> Any:
    """Return the value with its leaves replaced by their types; of a list the first is kept."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return value if isinstance(value, bool) else type(value).__name__


def seen(response: httpx.Response) -> Any:
    """Return what a client can tell about an answer, without its contents."""
    kind = response.headers.get("content-type")
    head = (response.status_code, kind, response.headers.get("allow"))
    if not response.text or "json" not in (kind or ""):
        return head, response.text
    lines = [json.loads(line) for line in response.text.splitlines()]
    if "error" in lines[0]:
        return head, lines
    ends = [lines[0], lines[-1]]
    fields = [list(line) for line in ends]
    return head, fields, [shape(line) for line in ends], lines[-1].get("done_reason")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("HEAD", "/"), ("POST", "/"), ("GET", "/nope"), ("GET", "/api/chat"),
        ("GET", "/api/version"), ("HEAD", "/api/version"), ("HEAD", "/api/ps"),
        ("POST", "/api/tags"), ("GET", "/metrics"), ("GET", "/api/tags/"),
    ],
)  # fmt: skip
def test_plain_routes(pair: Pair, method: str, path: str) -> None:
    real, sim = pair.both(method, path)
    assert seen(sim) == seen(real)


@pytest.mark.parametrize("path", ["chat", "generate", "embed", "embeddings", "show"])
@pytest.mark.parametrize(
    "raw",
    [
        b"", b"  ", b"{", b"[]", b"nope", b"null", b"12", b'"x"', b'{"model":}', b"{model:1}",
        b'{"model" 1}', b'{"model":"a" "b"}', b"{}", b'{"model":""}', b'{"model":"absent-x"}',
        b'{"model":"absent-x:1b"}', b'{"model":"bad name!"}', b'{"model":"a/b/c/d/e"}',
        b'{"model":5}', b'{"model":["a"]}', b'{"model":"absent-x","options":5}',
        b'{"model":"absent-x","keep_alive":"30"}', b'{"model":"absent-x","keep_alive":"1d"}',
        b'{"model":"absent-x","keep_alive":"abc"}', b'{"model":"absent-x","keep_alive":true}',
        b'{"model":"absent-x","think":"x"}', b'{"model":"absent-x","think":5}',
        b'{"model":"absent-x","top_logprobs":21}', b'{"model":"\xff"}',
    ],
)  # fmt: skip
def test_refused_before_a_model_is_touched(pair: Pair, path: str, raw: bytes) -> None:
    real, sim = pair.both("POST", f"/api/{path}", content=raw)
    assert seen(sim) == seen(real)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat", CHAT),
        ("chat", {**CHAT, "stream": True}),
        ("chat", {**CHAT, "logprobs": True, "top_logprobs": 2}),
        ("chat", {**CHAT, "tools": []}),
        ("chat", {**CHAT, "think": False}),
        ("chat", {**CHAT, "options": {**FEW, "unheard_of": 1}}),
        ("chat", {**CHAT, "options": {"num_ctx": "x"}}),
        ("chat", {**CHAT, "options": {"temperature": "x"}}),
        ("chat", {**CHAT, "options": {"stop": [1]}}),
        ("chat", {**CHAT, "options": {"use_mmap": 1}}),
        ("chat", {**CHAT, "messages": "x"}),
        ("chat", {**CHAT, "messages": [5]}),
        ("chat", {**CHAT, "messages": [{"role": "user", "content": 5}]}),
        ("chat", {**CHAT, "format": "xml"}),
        ("chat", {**CHAT, "top_logprobs": -1}),
        ("chat", {"messages": []}),
        ("chat", {}),
        ("chat", {**LONG, "stream": False}),
        ("generate", PROMPT),
        ("generate", {**PROMPT, "stream": True}),
        ("generate", {**PROMPT, "raw": True}),
        ("generate", {**PROMPT, "system": "Be brief."}),
        ("generate", {**PROMPT, "raw": True, "system": "x"}),
        ("generate", {**PROMPT, "logprobs": True}),
        ("generate", {"prompt": 5}),
        ("generate", {}),
        ("embed", {"input": "Hello"}),
        ("embed", {"input": 5}),
        ("embed", {}),
        ("embeddings", {"prompt": "Hello"}),
        ("chat", {"keep_alive": 0}),
        ("generate", {"keep_alive": 0}),
    ],
)
def test_a_model_that_chats(pair: Pair, path: str, body: dict[str, Any]) -> None:
    real, sim = pair.both("POST", f"/api/{path}", json={"model": pair.chat, **body})
    assert seen(sim) == seen(real)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("embed", {"input": "Hello"}),
        ("embed", {"input": ["a", "b"]}),
        ("embed", {"input": []}),
        ("embed", {"input": ""}),
        ("embed", {}),
        ("embed", {"input": [1]}),
        ("embed", {"input": "Hello", "dimensions": 8}),
        ("embed", {"input": "word " * 20_000}),
        ("embed", {"input": "word " * 20_000, "truncate": False}),
        ("embeddings", {"prompt": "Hello"}),
        ("embeddings", {}),
        ("chat", CHAT),
        ("chat", {**CHAT, "think": True}),
        ("generate", PROMPT),
    ],
)
def test_a_model_that_embeds(pair: Pair, path: str, body: dict[str, Any]) -> None:
    if pair.embed is None:
        absent("the server has no model that embeds: `ollama pull all-minilm`")
    real, sim = pair.both("POST", f"/api/{path}", json={"model": pair.embed, **body})
    assert seen(sim) == seen(real)


def test_embeddings_have_unit_length(pair: Pair) -> None:
    if pair.embed is None:
        absent("the server has no model that embeds: `ollama pull all-minilm`")
    for response in pair.both(
        "POST", "/api/embed", json={"model": pair.embed, "input": "a", "dimensions": 8}
    ):
        (vector,) = response.json()["embeddings"]
        assert sum(value**2 for value in vector) == pytest.approx(1, abs=1e-4)
        assert len(vector) == 8


def test_lists_of_models(pair: Pair) -> None:
    pair.both("POST", "/api/generate", json={"model": pair.chat, "keep_alive": -1})
    try:
        for path in ("/api/tags", "/api/ps"):
            real, sim = (response.json()["models"][0] for response in pair.both("GET", path))
            assert shape(_common(sim)) == shape(_common(real))
            assert list(_common(sim)) == list(_common(real))
        real, sim = pair.both("GET", "/api/ps")
        assert sim.json()["models"][0]["expires_at"] > "2300"
        assert real.json()["models"][0]["expires_at"] > "2300"
    finally:
        pair.both("POST", "/api/generate", json={"model": pair.chat, "keep_alive": 0})


def test_show(pair: Pair) -> None:
    real, sim = (
        response.json() for response in pair.both("POST", "/api/show", json={"model": pair.chat})
    )
    assert list(_common(sim)) == list(_common(real))
    for field in ("details", "capabilities"):
        assert shape(_common(sim[field])) == shape(_common(real[field]))
    arch = real["model_info"]["general.architecture"]
    for key in ("general.parameter_count", f"{arch}.context_length", f"{arch}.block_count"):
        assert type(sim["model_info"][key]) is type(real["model_info"][key]) is int


def _common(fields: Any) -> Any:
    if not isinstance(fields, dict):
        return fields
    return {key: _common(value) for key, value in fields.items() if key not in OPTIONAL}
