"""Faults that a test scripts: what the client sees."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from aegis_llm.testing import OllamaSimulator

CHAT, EMBED = "/api/chat", "/api/embed"
BODY: dict[str, Any] = {
    "model": "llama3.1:8b",
    "messages": [{"role": "user", "content": "Hello"}],
}
WHOLE = {**BODY, "stream": False}
TEXTS = {"model": "all-minilm", "input": "a"}


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def test_status_for_the_next_calls_of_a_route(sim: OllamaSimulator, http: httpx.Client) -> None:
    sim.faults.status(503, {"error": "busy"}, n=2, path=CHAT)
    assert http.post(EMBED, json=TEXTS).status_code == 200
    for _ in range(2):
        response = http.post(CHAT, json=BODY)
        assert (response.status_code, response.json()) == (503, {"error": "busy"})
    assert http.post(CHAT, json=WHOLE).status_code == 200
    assert sim.faults.pending == 0


def test_status_with_plain_text(sim: OllamaSimulator, http: httpx.Client) -> None:
    sim.faults.status(502, "Bad Gateway")
    response = http.post(EMBED, json=TEXTS)
    assert (response.status_code, response.text) == (502, "Bad Gateway")
    assert response.headers["content-type"].startswith("text/plain")


def test_error_line_in_a_stream(sim: OllamaSimulator, http: httpx.Client) -> None:
    sim.faults.midstream_error("boom", after=2, n=2)
    response = http.post(CHAT, json=BODY)
    assert response.status_code == 200
    found = lines(response)
    assert len(found) == 3
    assert found[-1] == {"error": "boom"}
    whole = http.post(CHAT, json=WHOLE)
    assert (whole.status_code, whole.json()) == (500, {"error": "boom"})


def test_error_before_the_first_line(sim: OllamaSimulator, http: httpx.Client) -> None:
    sim.faults.midstream_error("boom", after=0)
    response = http.post(CHAT, json=BODY)
    assert (response.status_code, response.json()) == (500, {"error": "boom"})
    assert response.headers["content-type"] == "application/json"


def test_a_stream_that_just_ends(sim: OllamaSimulator, http: httpx.Client) -> None:
    sim.faults.no_done(after=2, n=2)
    found = lines(http.post(CHAT, json=BODY))
    assert [line["done"] for line in found] == [False, False]
    assert http.post(CHAT, json=WHOLE).json()["done"] is False


def test_a_stream_without_its_last_line(sim: OllamaSimulator, http: httpx.Client) -> None:
    sim.faults.no_done(after=1000)
    assert lines(http.post(CHAT, json=BODY))[-1]["done"] is True
    sim.faults.no_done(after=9)
    found = lines(http.post(CHAT, json=BODY))
    assert "".join(line["message"]["content"] for line in found).endswith("today?")
    assert not found[-1]["done"]


@pytest.mark.parametrize("body", [BODY, WHOLE])
def test_connection_reset(sim: OllamaSimulator, http: httpx.Client, body: dict[str, Any]) -> None:
    sim.faults.reset(after=1)
    with pytest.raises(httpx.TransportError):
        http.post(CHAT, json=body)
    assert http.post(CHAT, json=WHOLE).status_code == 200


@pytest.mark.parametrize(("path", "body"), [(CHAT, BODY), (CHAT, WHOLE), (EMBED, TEXTS)])
def test_hang_until_released(
    sim: OllamaSimulator, http: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    sim.faults.hang(path=path)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(http.post, path, json=body)
        sim.wait_for(1, path)
        assert not future.done()
        sim.faults.release()
        assert future.result(timeout=10).status_code == 200


def test_empty_answer(sim: OllamaSimulator, http: httpx.Client) -> None:
    sim.faults.empty(n=2)
    assert http.post(CHAT, json=WHOLE).json()["message"]["content"] == ""
    assert [line["done"] for line in lines(http.post(CHAT, json=BODY))] == [True]


def test_cleared_faults_do_not_happen(sim: OllamaSimulator, http: httpx.Client) -> None:
    sim.faults.status(500, n=3)
    sim.faults.clear()
    assert http.post(CHAT, json=WHOLE).status_code == 200
