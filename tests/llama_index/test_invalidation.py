"""invalidate() of AegisOllama."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_llm import cache_control
from tests.llama_index.kit import Kit, ask, origin

ASKED = "What is the capital of France?"


def outcome(llm: Any) -> str:
    return str(origin(llm.chat(ask(ASKED)))["outcome"])


@pytest.mark.parametrize("given", [{"document": "d1"}, {"tag": "t1"}, {"everything": True}])
def test_what_was_answered_is_gone(kit: Kit, given: dict[str, Any]) -> None:
    llm = kit.aegis()
    with cache_control(documents=["d1"], tags=["t1"]):
        assert [outcome(llm), outcome(llm)] == ["miss", "hit_local"]
    assert llm.invalidate(**given) == (0 if "everything" in given else 1)
    assert [outcome(llm), outcome(llm)] == ["miss", "hit_local"]


async def test_awaited(kit: Kit) -> None:
    llm = kit.aegis()
    with cache_control(documents=["d1"]):
        llm.chat(ask(ASKED))
    assert await llm.ainvalidate("d1") == 1
    assert outcome(llm) == "miss"
    await llm.answering.service.store.aclose()
