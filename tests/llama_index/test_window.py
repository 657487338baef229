"""The context window: what is sent, what is told, and when Ollama is asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from ollama import ShowResponse

from llama_index.llms.aegis._window import usable_window, windows
from tests.llama_index.kit import MODEL, Kit, ask, outcome


def test_no_num_ctx_of_its_own_making(kit: Kit) -> None:
    llm = kit.aegis()
    assert llm.metadata.context_window
    llm.chat(ask("Who?"))
    assert kit.body["options"] == {}
    assert llm.context_window == -1


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"context_window": 2048}, {"num_ctx": 2048}),
        ({"context_window": 2048, "temperature": 0.0}, {"num_ctx": 2048, "temperature": 0.0}),
        ({"additional_kwargs": {"num_ctx": 1024, "seed": 3}}, {"num_ctx": 1024, "seed": 3}),
        ({"context_window": 2048, "additional_kwargs": {"num_ctx": 1024}}, {"num_ctx": 1024}),
    ],
)
def test_what_is_set_is_sent_and_told_without_asking(
    kit: Kit, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    llm = kit.aegis(**given)
    assert llm.metadata.context_window == sent["num_ctx"]
    llm.chat(ask("Who?"))
    assert kit.body["options"] == sent
    assert kit.shows == 0


async def test_calls_and_hits_never_ask(kit: Kit) -> None:
    for _ in range(2):
        llm = kit.aegis()
        llm.chat(ask("Who?"))
        llm.complete("Who?")
        await llm.achat(ask("Who?"))
        list(llm.stream_chat(ask("Who?")))
        async for _chunk in await llm.astream_chat(ask("Who?")):
            pass
    assert kit.shows == 0


def test_it_is_asked_once_in_a_process(kit: Kit) -> None:
    for _ in range(3):
        assert kit.aegis().metadata.context_window == DEFAULT_CONTEXT_WINDOW
    assert kit.shows == 1
    assert kit.aegis().to_payload()["context_window"] == DEFAULT_CONTEXT_WINDOW


async def test_a_loop_is_not_blocked(kit: Kit) -> None:
    kit.ollama.faults.hang(path="/api/show")
    llm = kit.aegis()
    for _ in range(3):
        assert llm.metadata.context_window == DEFAULT_CONTEXT_WINDOW
    assert outcome(await llm.achat(ask("Who?"))) == "miss"
    kit.ollama.faults.release()
    await asyncio.to_thread(kit.ollama.wait_for, 1, "/api/show")
    assert kit.shows == 1


def test_an_ollama_that_is_down_delays_and_breaks_nothing(kit: Kit) -> None:
    llm = kit.aegis(base_url="http://127.0.0.1:1", warm=False)
    for _ in range(3):
        assert llm.metadata.context_window == DEFAULT_CONTEXT_WINDOW


def test_a_failed_asking_is_not_repeated_at_once(kit: Kit) -> None:
    kit.ollama.faults.status(500, path="/api/show", n=5)
    llm = kit.aegis()
    for _ in range(3):
        assert llm.metadata.context_window == DEFAULT_CONTEXT_WINDOW
    assert kit.shows == 1


def test_what_was_asked_is_used(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = kit.aegis()
    shown = _shown("num_ctx 8192", 131072)
    monkeypatch.setattr(llm._links, "show", lambda model: shown)
    assert llm.metadata.context_window == 8192
    assert windows.known((llm.server(awaited=False), MODEL)) == 8192
    assert llm.to_payload()["context_window"] == 8192


@pytest.mark.parametrize(
    ("parameters", "trained", "window"),
    [
        (None, 131072, DEFAULT_CONTEXT_WINDOW),
        ('stop "<|eot|>"\nnum_ctx                        32768\ntop_k 3', 131072, 32768),
        ("num_ctx 32768", 4096, 4096),
        (None, 2048, 2048),
        ("", None, DEFAULT_CONTEXT_WINDOW),
        ('stop "num_ctx 7"', None, DEFAULT_CONTEXT_WINDOW),
    ],
)
def test_the_window_is_what_the_model_runs_with(
    parameters: str | None, trained: int | None, window: int
) -> None:
    assert usable_window(_shown(parameters, trained)) == window


def test_it_says_once_what_prompts_are_packed_for(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert kit.aegis().metadata.context_window
    assert caplog.text.count("context_window is not set") == 1
    caplog.clear()
    assert kit.aegis(context_window=2048).metadata.context_window == 2048
    assert "context_window" not in caplog.text


def _shown(parameters: str | None, trained: int | None) -> ShowResponse:
    info = {"general.architecture": "llama"}
    if trained is not None:
        info["llama.context_length"] = trained  # type: ignore[assignment]
    return ShowResponse(parameters=parameters, model_info=info)
