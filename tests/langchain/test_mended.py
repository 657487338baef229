"""What AegisCache and ChatAegis promise at the edges: tools, streams read late, edited chunks."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage, SystemMessage

from aegis_llm import observe
from langchain_aegis import caches
from tests.langchain.fakes import Named
from tests.langchain.kit import Kit

ASKED = "What is the capital of France?"
NEAR = "What's the capital of France?"
TOOLS = [{"type": "function", "function": {"name": "book", "parameters": {}}}]


class Serial(Named):
    """As `Named`, and serialised into its llm string."""

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True


@pytest.mark.parametrize("make", [Named, Serial])
@pytest.mark.parametrize("bound", [{"tools": TOOLS}, {"functions": TOOLS}, {"tools": [object]}])
def test_with_tools_bound_a_reworded_question_is_a_miss(
    kit: Kit, make: type[Named], bound: dict[str, Any]
) -> None:
    set_llm_cache(kit.cache())
    model = make().bind(**bound)
    with observe() as seen:
        for text in (ASKED, NEAR, ASKED):
            model.invoke(text)
    assert seen.outcomes == ["miss", "miss", "hit_local"]
    assert seen[1].reason == "tools_bound"


@pytest.mark.parametrize("make", [Named, Serial])
def test_with_no_tools_in_the_list_it_hits(kit: Kit, make: type[Named]) -> None:
    set_llm_cache(kit.cache())
    with observe() as seen:
        make().bind(tools=[]).invoke(ASKED)
        make().bind(tools=[]).invoke(NEAR)
    assert seen.outcomes == ["miss", "hit_semantic"]


def test_what_a_text_block_says_beside_its_text_counts(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    with observe() as seen:
        for extra in ({}, {"cache_control": {"type": "x"}}, {"annotations": [{"a": 1}]}, {}):
            block = {"type": "text", "text": "Be brief.", **extra}
            Named().invoke([SystemMessage([block]), HumanMessage(ASKED)])
    assert seen.outcomes == ["miss", "miss", "miss", "hit_local"]


def test_misses_that_no_update_follows_are_bounded(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = kit.cache(embeddings=None)
    monkeypatch.setattr(caches, "_PENDING_BYTES", 1_000_000)
    llm = str([("model", "m-1")])
    for number in range(20):
        cache.lookup(f"{number}" + "x" * 100_000, llm)
        assert cache._pending_bytes <= 1_000_000
    assert 0 < len(cache._pending) < 10
    for number in range(20):
        cache._asked(f"{number}" + "x" * 100_000, llm)
    assert cache._pending_bytes == 0
    assert not cache._pending
