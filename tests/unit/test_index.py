"""The semantic index: its name, its prefix, and the policy of each search."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.stores.index_redisvl import BIG_SCOPE, SemanticIndex

SCOPE = "ab" * 32
VECTOR = b"\x00" * 8


@pytest.fixture(scope="module")
def index() -> SemanticIndex:
    return SemanticIndex("ns", "OllamaEmbeddings model=all-minilm", 2)


def test_its_name_and_prefix_can_be_read(index: SemanticIndex) -> None:
    assert index.name.startswith("aegis:v1:ns:i:OllamaEmbeddings-model-all-minil-2-")
    assert index.prefix.startswith("aegis:v1:ns:s:OllamaEmbeddings-model-all-minil-2-")
    assert index.prefix.endswith(":")


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=50), st.text(max_size=50), st.sampled_from([2, 384]))
def test_another_embedder_is_another_index(one: str, two: str, dimension: int) -> None:
    first, second = SemanticIndex("ns", one, dimension), SemanticIndex("ns", two, 384)
    same = (one, dimension) == (two, 384)
    assert (first.name == second.name) is same
    assert (first.prefix == second.prefix) is same
    assert first.prefix.isascii()
    if not same:
        assert not first.prefix.startswith(second.prefix)


@pytest.mark.parametrize(
    ("size", "policy"),
    [(None, ""), (0, "ADHOC_BF"), (4, "ADHOC_BF"), (BIG_SCOPE - 1, "ADHOC_BF"),
     (BIG_SCOPE, "BATCHES BATCH_SIZE 10"), (1_000_000, "BATCHES BATCH_SIZE 10")],
)  # fmt: skip
def test_the_policy_goes_by_the_size_of_the_scope(
    index: SemanticIndex, size: int | None, policy: str
) -> None:
    text = str(index.search(SCOPE, VECTOR, 4, size)[2])
    assert f"@scope:{{{SCOPE}}}" in text
    assert "KNN 4 " in text
    assert ("HYBRID_POLICY" in text) is bool(policy)
    assert policy in text


def test_a_search_returns_the_value_and_the_distance_of_the_nearest(index: SemanticIndex) -> None:
    command = index.search(SCOPE, VECTOR, 7, 4)
    assert command[:2] == ("FT.SEARCH", index.name)
    assert command[3:7] == ("RETURN", 2, "vector_distance", "value")
    assert command[10:13] == ("LIMIT", 0, 7)
    assert VECTOR in command


def test_another_scope_or_count_is_another_query(index: SemanticIndex) -> None:
    """The query is built once and the scope put in: nothing of an earlier search stays."""
    for scope in (SCOPE, "cd" * 32):
        for count in (1, 4):
            text = str(index.search(scope, VECTOR, count, 4)[2])
            assert scope in text
            assert f"KNN {count} " in text
    assert "cd" * 32 not in str(index.search(SCOPE, VECTOR, 4, 4)[2])
    assert SCOPE in str(index.count(SCOPE)[2])
    assert SCOPE not in str(index.count("cd" * 32)[2])
