"""The protocol to the letter: statuses, texts, field order, omitted fields, types."""

import json
import re
from typing import Any

import httpx
import pytest

from aegis_llm.testing import OllamaSimulator

CHAT, GENERATE, EMBED = "/api/chat", "/api/generate", "/api/embed"
EMBEDDINGS, SHOW = "/api/embeddings", "/api/show"
WORKING = (CHAT, GENERATE, EMBED, EMBEDDINGS)
HELLO = [{"role": "user", "content": "Hello"}]
CHAT_BODY: dict[str, Any] = {"model": "llama3.1:8b", "messages": HELLO, "stream": False}
COUNTERS = [
    "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration",
    "eval_count", "eval_duration",
]  # fmt: skip


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def error(response: httpx.Response) -> tuple[int, str]:
    assert list(response.json()) == ["error"]
    return response.status_code, response.json()["error"]


def test_root_and_version(http: httpx.Client) -> None:
    root = http.get("/")
    assert (root.status_code, root.text) == (200, "Ollama is running")
    assert root.headers["content-type"] == "text/plain; charset=utf-8"
    head = http.head("/")
    assert (head.status_code, head.text, head.headers["content-length"]) == (200, "", "17")
    assert http.get("/api/version").json() == {"version": "0.33.0"}
    assert http.get("/api/status").json() == {"cloud": {"disabled": True, "source": "env"}}


def test_unknown_route_and_method(http: httpx.Client) -> None:
    for path in ("/nope", "/metrics", "/api"):
        response = http.get(path)
        assert (response.status_code, response.text) == (404, "404 page not found")
        assert response.headers["content-type"] == "text/plain"
    response = http.get(CHAT)
    assert (response.status_code, response.text) == (405, "405 method not allowed")
    assert response.headers["allow"] == "POST"
    assert http.post("/api/tags").headers["allow"] == "HEAD, GET"
    assert http.get("/api/tags/").headers["location"] == "/api/tags"


def test_a_foreign_host_is_refused(http: httpx.Client) -> None:
    response = http.post(CHAT, json=CHAT_BODY, headers={"Host": "evil.example"})
    assert (response.status_code, response.content) == (403, b"")


def test_chat_at_once(http: httpx.Client) -> None:
    response = http.post(CHAT, json=CHAT_BODY)
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    body = response.json()
    assert list(body) == ["model", "created_at", "message", "done", "done_reason", *COUNTERS]
    assert body["message"] == {
        "role": "assistant",
        "content": "Hello! How can I help you today?",
    }
    assert (body["model"], body["done"], body["done_reason"]) == ("llama3.1:8b", True, "stop")
    assert all(type(body[name]) is int and body[name] > 0 for name in COUNTERS)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z", body["created_at"])


def test_chat_streams_unless_told_not_to(http: httpx.Client) -> None:
    body = {key: value for key, value in CHAT_BODY.items() if key != "stream"}
    response = http.post(CHAT, json=body)
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["transfer-encoding"] == "chunked"
    *parts, last = lines(response)
    assert all(list(part) == ["model", "created_at", "message", "done"] for part in parts)
    assert "".join(part["message"]["content"] for part in parts).startswith("Hello! ")
    assert len(parts) == last["eval_count"] > 3
    assert list(last) == ["model", "created_at", "message", "done", "done_reason", *COUNTERS]
    assert last["message"] == {"role": "assistant", "content": ""}


def test_generate(http: httpx.Client) -> None:
    body = {"model": "llama3.1:8b", "prompt": "Hello"}
    *parts, last = lines(http.post(GENERATE, json=body))
    assert all(list(part) == ["model", "created_at", "response", "done"] for part in parts)
    fields = ["model", "created_at", "response", "done", "done_reason", "context", *COUNTERS]
    assert list(last) == fields
    assert len(last["context"]) == last["prompt_eval_count"] + last["eval_count"]
    at_once = http.post(GENERATE, json={**body, "stream": False}).json()
    assert at_once["response"] == "".join(part["response"] for part in parts)
    assert "context" not in http.post(GENERATE, json={**body, "stream": False, "raw": True}).json()


@pytest.mark.parametrize(("path", "said"), [(CHAT, "message"), (GENERATE, "response")])
def test_load_and_unload(http: httpx.Client, path: str, said: str) -> None:
    loaded = http.post(path, json={"model": "llama3.1:8b"})
    assert list(loaded.json()) == ["model", "created_at", said, "done", "done_reason"]
    assert loaded.json()["done_reason"] == "load"
    assert len(http.get("/api/ps").json()["models"]) == 1
    gone = http.post(path, json={"model": "llama3.1:8b", "keep_alive": 0})
    assert gone.json()["done_reason"] == "unload"
    assert http.get("/api/ps").json() == {"models": []}


def test_tags_ps_show(http: httpx.Client, sim: OllamaSimulator) -> None:
    tags = http.get("/api/tags").json()["models"]
    assert [entry["name"] for entry in tags] == [
        "llama3.1:8b", "all-minilm:latest", "qwen3:8b", "llava:latest",
    ]  # fmt: skip
    assert list(tags[0]) == [
        "name", "model", "modified_at", "size", "digest", "details", "capabilities",
    ]  # fmt: skip
    details = [
        "parent_model", "format", "family", "families", "parameter_size", "quantization_level",
    ]  # fmt: skip
    assert list(tags[0]["details"]) == details
    assert re.fullmatch(r"[0-9a-f]{64}", tags[0]["digest"])

    http.post(CHAT, json={"model": "llama3.1:8b", "keep_alive": -1})
    http.post(EMBED, json={"model": "all-minilm"})
    running = http.get("/api/ps").json()["models"]
    assert [entry["name"] for entry in running] == ["llama3.1:8b", "all-minilm:latest"]
    assert list(running[0]) == [
        "name", "model", "size", "digest", "details", "expires_at", "size_vram",
        "context_length",
    ]  # fmt: skip
    assert running[0]["expires_at"] > "2300"
    assert running[0]["digest"] == sim.digest("llama3.1:8b") == tags[0]["digest"]

    shown = http.post(SHOW, json={"model": "llama3.1:8b"}).json()
    assert shown["capabilities"] == ["completion", "tools"]
    assert shown["model_info"]["general.parameter_count"] == 8_000_000_000
    assert shown["model_info"]["tokenizer.ggml.tokens"] is None
    assert shown["details"] == tags[0]["details"]


def test_repull_changes_the_digest(http: httpx.Client, sim: OllamaSimulator) -> None:
    before = sim.digest("all-minilm")
    after = sim.repull("all-minilm")
    assert before != after
    assert http.get("/api/tags").json()["models"][1]["digest"] == after


@pytest.mark.parametrize("path", [*WORKING, SHOW])
@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "missing request body"),
        (b"{", "unexpected EOF"),
        (b'{"model":}', "invalid character '}' looking for beginning of value"),
        (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"model" 1}', "invalid character '1' after object key"),
        (b'{"a":"b" 1}', "invalid character '1' after object key:value pair"),
        (b"nope", "invalid character 'o' in literal null (expecting 'u')"),
    ],
)
def test_bad_json(http: httpx.Client, path: str, raw: bytes, text: str) -> None:
    assert error(http.post(path, content=raw)) == (400, text)


def test_what_follows_the_object_is_left_unread(http: httpx.Client) -> None:
    raw = json.dumps(CHAT_BODY).encode() + b"trailing"
    assert http.post(CHAT, content=raw).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        (CHAT, {}, 400, "model is required"),
        (GENERATE, {}, 404, "model '' not found"),
        (EMBED, {}, 404, "model '' not found"),
        (EMBEDDINGS, {}, 400, "model is required"),
        (SHOW, {}, 400, "model is required"),
        (CHAT, {"model": "x"}, 404, "model 'x' not found"),
        (GENERATE, {"model": "x"}, 404, "model 'x' not found"),
        (SHOW, {"model": "x"}, 404, "model 'x:latest' not found"),
        (EMBED, {"model": "x"}, 404, 'model "x" not found, try pulling it first'),
        (EMBEDDINGS, {"model": "x"}, 404, 'model "x" not found, try pulling it first'),
        (EMBEDDINGS, {"model": "ALL-MINILM"}, 404,
         'model "ALL-MINILM" not found, try pulling it first'),
        (CHAT, {"model": "bad name!"}, 400, "invalid model name"),
        (CHAT, {"model": "all-minilm"}, 400, '"all-minilm" does not support chat'),
        (GENERATE, {"model": "all-minilm"}, 400, '"all-minilm" does not support generate'),
        (CHAT, {**CHAT_BODY, "think": True}, 400, '"llama3.1:8b" does not support thinking'),
        (GENERATE, {"model": "llama3.1:8b", "prompt": "a", "suffix": "b"}, 400,
         "registry.ollama.ai/library/llama3.1:8b does not support insert"),
        (CHAT, {**CHAT_BODY, "think": "x"}, 400,
         'invalid think value: "x" (must be "high", "medium", "low", "max", true, or false)'),
        (CHAT, {**CHAT_BODY, "top_logprobs": 21}, 400,
         "top_logprobs must be between 0 and 20"),
        (CHAT, {**CHAT_BODY, "options": {"num_ctx": "x"}}, 500,
         'option "num_ctx" must be of type integer'),
        (CHAT, {**CHAT_BODY, "options": {"temperature": "x"}}, 500,
         'option "temperature" must be of type float32'),
        (CHAT, {**CHAT_BODY, "options": {"stop": [1]}}, 500,
         'option "stop" must be of an array of strings'),
        (CHAT, {**CHAT_BODY, "options": {"unheard_of": 1}}, 200, ""),
        (CHAT, {**CHAT_BODY, "model": 5}, 400,
         "json: cannot unmarshal number into Go struct field ChatRequest.model of type string"),
        (CHAT, {**CHAT_BODY, "messages": [{"role": "user", "content": 5}]}, 400,
         "json: cannot unmarshal number into Go struct field ChatRequest.messages.content of "
         "type string"),
        (CHAT, {**CHAT_BODY, "format": "xml"}, 500,
         'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'),
        (CHAT, {**CHAT_BODY, "keep_alive": "30"}, 400,
         'time: missing unit in duration "30"'),
        (CHAT, {**CHAT_BODY, "keep_alive": "1d"}, 400,
         'time: unknown unit "d" in duration "1d"'),
        (CHAT, {**CHAT_BODY, "keep_alive": True}, 400, "Unsupported type: 'bool'"),
        (CHAT, {**CHAT_BODY, "keep_alive": "1h2m3.5s"}, 200, ""),
        (EMBED, {"model": "all-minilm", "input": 5}, 400, "invalid input type"),
        (EMBED, {"model": "llama3.1:8b", "input": "a"}, 501,
         "This server does not support embeddings. Start it with `--embeddings`"),
        (EMBED, {"model": "all-minilm", "input": "word " * 9000, "truncate": False}, 400,
         "the input length exceeds the context length"),
        (GENERATE, {"model": "llama3.1:8b", "prompt": "a", "raw": True, "system": "s"}, 400,
         "raw mode does not support template, system, or context"),
    ],
)  # fmt: skip
def test_refusals(
    http: httpx.Client, path: str, body: dict[str, Any], status: int, text: str
) -> None:
    response = http.post(path, json=body)
    if text:
        assert error(response) == (status, text)
    else:
        assert response.status_code == status


def test_images_need_a_model_that_sees(http: httpx.Client) -> None:
    messages = [{"role": "user", "content": "What is this?", "images": ["aGk="]}]
    refused = http.post(CHAT, json={**CHAT_BODY, "messages": messages})
    assert refused.status_code == 400
    assert "does not support multimodal" in json.loads(refused.json()["error"])["error"]["message"]
    seen = http.post(CHAT, json={**CHAT_BODY, "model": "llava", "messages": messages}).json()
    assert seen["prompt_eval_count"] > 256
    bad = [{**messages[0], "images": ["!!"]}]
    refused = http.post(CHAT, json={**CHAT_BODY, "model": "llava", "messages": bad})
    assert error(refused) == (400, "illegal base64 data at input byte 0")


def test_too_long_a_prompt(http: httpx.Client) -> None:
    body = {**CHAT_BODY, "messages": [{"role": "user", "content": "word " * 5000}]}
    assert http.post(CHAT, json=body).json()["prompt_eval_count"] == 4096
    assert (
        "longer than the context length"
        in error(http.post(CHAT, json={**body, "shift": False}))[1]
    )
    refused = http.post(CHAT, json={**body, "truncate": False, "stream": True})
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/json"
    assert json.loads(refused.json()["error"])["error"]["n_ctx"] == 4096


def test_thinking(http: httpx.Client) -> None:
    body = {**CHAT_BODY, "model": "qwen3:8b"}
    thought = http.post(CHAT, json=body).json()["message"]
    assert list(thought) == ["role", "content", "thinking"]
    plain = http.post(CHAT, json={**body, "think": False}).json()["message"]
    assert list(plain) == ["role", "content"]
    assert plain["content"] == thought["content"]
    first, *_ = lines(http.post(CHAT, json={**body, "stream": True}))
    assert first["message"]["thinking"] == "The"
    assert first["message"]["content"] == ""


def test_length_and_stop(http: httpx.Client) -> None:
    short = http.post(CHAT, json={**CHAT_BODY, "options": {"num_predict": 3}}).json()
    assert (short["done_reason"], short["eval_count"]) == ("length", 3)
    assert short["message"]["content"] == "Hello! How"
    stopped = http.post(CHAT, json={**CHAT_BODY, "options": {"stop": ["you", " can"]}}).json()
    assert (stopped["done_reason"], stopped["message"]["content"]) == ("stop", "Hello! How")


def test_logprobs(http: httpx.Client) -> None:
    body = {**CHAT_BODY, "logprobs": True, "top_logprobs": 2}
    answer = http.post(CHAT, json=body).json()
    entries = answer["logprobs"]
    assert "".join(entry["token"] for entry in entries) == answer["message"]["content"]
    assert bytes(entries[0]["bytes"]).decode() == entries[0]["token"]
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)
    assert list(answer)[4:6] == ["done_reason", "logprobs"]


def test_embeddings(http: httpx.Client) -> None:
    answer = http.post(EMBED, json={"model": "all-minilm", "input": ["a b", "c"]}).json()
    assert list(answer) == [
        "model", "embeddings", "total_duration", "load_duration", "prompt_eval_count",
    ]  # fmt: skip
    assert [len(vector) for vector in answer["embeddings"]] == [384, 384]
    assert answer["prompt_eval_count"] == 3
    cut = http.post(EMBED, json={"model": "all-minilm", "input": "a b", "dimensions": 8}).json()
    assert sum(value**2 for value in cut["embeddings"][0]) == pytest.approx(1)
    assert len(cut["embeddings"][0]) == 8
    for empty in ("", [], None):
        answer = http.post(EMBED, json={"model": "all-minilm", "input": empty}).json()
        assert answer == {"model": "all-minilm", "embeddings": []}
    legacy = http.post(EMBEDDINGS, json={"model": "all-minilm", "prompt": "c"}).json()
    assert list(legacy) == ["embedding"]
    assert http.post(EMBEDDINGS, json={"model": "all-minilm"}).json() == {"embedding": []}


def test_names_are_found_in_any_case_and_echoed_as_written(http: httpx.Client) -> None:
    for name in ("LLAMA3.1:8B", "library/llama3.1:8b", "registry.ollama.ai/library/llama3.1:8b"):
        assert http.post(CHAT, json={**CHAT_BODY, "model": name}).json()["model"] == name


def test_html_is_escaped_as_go_does(http: httpx.Client) -> None:
    asked = [{"role": "user", "content": "Is <a> & <b> the same?"}]
    raw = http.post(CHAT, json={**CHAT_BODY, "messages": asked})
    assert "\\u003ca\\u003e \\u0026 " in raw.text
    assert "<a> & <b>" in raw.json()["message"]["content"]


def test_a_body_in_chunks_and_several_requests_on_one_connection(http: httpx.Client) -> None:
    raw = json.dumps(CHAT_BODY).encode()
    for _ in range(3):
        response = http.post(CHAT, content=iter([raw[:10], raw[10:]]))
        assert response.json()["done"] is True
