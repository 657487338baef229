"""Retrieved chunks in a scope: which sets are the same, and when the text itself counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.context import chunks_of, common_share, without_chunks
from aegis_llm.keys import scope_hash
from aegis_llm.questions import Split, find_question
from aegis_llm.values import Control, Document, Request

A, B, C = "Cacti need little water.", "Ferns like the shade.", "Roses have thorns."
ASKED, REWORDED = "How do I water a cactus?", "How should I water a cactus?"


def docs(*texts: str) -> tuple[Document, ...]:
    return tuple(Document(f"d{text[:4]}", "", text) for text in texts)


def rag(context: str, question: str = ASKED, retrieved: Sequence[str] = (A, B)) -> Request:
    """A request as RAG chains make it."""
    content = f"Use the context.\n\nContext:\n{context}\n\nQuestion: {question}\nAnswer:"
    return Request("m", ({"role": "user", "content": content},), documents=docs(*retrieved))


def scope(request: Request, policy: str = "same", extractor: Any = None) -> str:
    """The scope, as the plan makes it."""
    split = find_question(request.messages, extractor)
    assert isinstance(split, Split), split
    context = without_chunks(request, split, policy)
    if context is None:
        return "verbatim " + scope_hash(
            request, "", Control(), split.index, split.start, split.end
        )
    changed = context.request.messages[split.index]["content"]
    assert changed[context.start : context.end] == split.question
    return scope_hash(
        context.request,
        "",
        Control(),
        split.index,
        context.start,
        context.end,
        (),
        context.cut,
    )


def test_the_same_chunks_in_another_order_are_one_scope() -> None:
    one = scope(rag(f"{A}\n\n{B}"))
    assert not one.startswith("verbatim")
    assert scope(rag(f"{B}\n\n{A}", REWORDED, (B, A))) == one
    assert scope(rag(f"{B}\n\n{A}", retrieved=(A, B, A))) == one


@pytest.mark.parametrize(
    "other",
    [
        rag(f"{A}\n\n{C}", retrieved=(A, C)),
        rag(f"{A}\n\n{B}\n\n{C}", retrieved=(A, B, C)),
        rag(A, retrieved=(A,)),
        rag(f"{A}\n{B}"),
        rag(f"{A}\n\n{B.replace('like', 'hate')}", retrieved=(A, B.replace("like", "hate"))),
        rag(f"{A}\n\n{B}", retrieved=()),
        rag(f"{A}\n\n{B}", retrieved=(A,)),
        rag(f"{A}\n\n{B}\n\nUnknown text.", retrieved=(A, B)),
    ],
)
def test_any_other_context_is_another_scope(other: Request) -> None:
    assert scope(other) != scope(rag(f"{A}\n\n{B}"))


@pytest.mark.parametrize(
    ("context", "free"),
    [
        ("{0}\n\n{1}", True),
        ("{0}\n---\n{1}", True),
        ("<doc>{0}</doc>\n<doc>{1}</doc>\n", True),
        ("Document: {0}\n\nDocument: {1}", True),
        ("[1] {0}\n[2] {1}", False),
        ("1. {0}\n2. {1}", False),
        ("Source: a.txt\n{0}\n\nSource: b.txt\n{1}", False),
        ("The old rule: {0}\nThe new rule: {1}", False),
    ],
)
def test_the_order_counts_where_a_label_tells_the_chunks_apart(context: str, free: bool) -> None:
    """An answer may say "[1]"."""
    there, back = rag(context.format(A, B)), rag(context.format(B, A), REWORDED)
    assert not scope(there).startswith("verbatim")
    assert (scope(there) == scope(back)) is free
    assert scope(there) == scope(rag(context.format(A, B), REWORDED))


@pytest.mark.parametrize(
    ("context", "retrieved"),
    [
        (f"{A}\n\n{A}", (A,)),
        (f"{A}\n\n{B}", (A, B, C)),
        (f"{A}\n\n{B}", (A, B, A[:10])),
        (f"{A} {B}", (f"{A} Fer", B)),
        (f"{A}\n\n{B}", (A, B, "")),
        (f"{A}\n\n{B}", (f"{A}\n\n{B}", f"{B}\n\nQuestion")),
        (f"{A}\n\n{B}", (A, "water a cactus")),
        (f"{A}\n\n{B}", (A, f"Question: {ASKED}")),
        (f"{A}\n\n{B}", (A, ASKED)),
    ],
    ids=["twice", "not there", "inside another", "changed", "no text", "overlaps", "in question",
         "swallows the question", "is the question"],
)  # fmt: skip
def test_what_cannot_be_cut_for_sure_stays_in_the_scope(
    context: str, retrieved: tuple[str, ...]
) -> None:
    for policy in ("same", "overlap>=0.5", "ignore"):
        assert scope(rag(context, retrieved=retrieved), policy).startswith("verbatim")


def test_with_other_policies_the_chunks_are_in_no_scope() -> None:
    for policy in ("overlap>=0.5", "ignore"):
        one = scope(rag(f"{A}\n\n{B}"), policy)
        assert not one.startswith("verbatim")
        assert scope(rag(f"{C}\n\n{A}\n\n{B}", REWORDED, (A, B, C)), policy) == one
        assert scope(rag(C, retrieved=(C,)), policy) == one
        assert scope(rag(f"Note: {C}", retrieved=(C,)), policy) != one
    assert len({scope(rag(f"{A}\n\n{B}"), p) for p in ("same", "overlap>=0.5", "ignore")}) == 3


def test_a_context_after_the_question_and_one_in_the_system_message() -> None:
    after = f"Question: {{}}\n\nContext:\n{A}\n\n{B}"
    asked = [
        Request("m", ({"role": "user", "content": after.format(q)},), documents=docs(A, B))
        for q in (ASKED, REWORDED)
    ]
    assert scope(asked[0]) == scope(asked[1])
    assert not scope(asked[0]).startswith("verbatim")
    system = [
        Request(
            "m",
            ({"role": "system", "content": f"Answer from:\n{c}"}, {"role": "user", "content": q}),
            documents=docs(A, B),
        )
        for c, q in ((f"{A}\n\n{B}", ASKED), (f"{B}\n\n{A}", REWORDED))
    ]
    assert scope(system[0]) == scope(system[1])
    assert scope(system[0]) not in (scope(asked[0]), scope(rag(f"{A}\n\n{B}")))


def test_white_space_around_a_chunk_stays_where_it_is() -> None:
    one = scope(rag(f"{A}\n\n{B}", retrieved=(f" {A}\n", B)))
    assert one == scope(rag(f"{A}\n\n{B}"))
    assert one != scope(rag(f"{A}\n\n\n{B}"))


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([A, B, C, "D.", "E."]), min_size=1, unique=True),
    st.lists(st.sampled_from([A, B, C, "D.", "E."]), min_size=1, unique=True),
    st.sampled_from(["\n\n", "\n---\n", "\n[7] "]),
)
def test_two_contexts_are_one_scope_only_if_they_are_one_set(
    one: list[str], other: list[str], between: str
) -> None:
    first = scope(rag(between.join(one), retrieved=one))
    second = scope(rag(between.join(other), REWORDED, other))
    if first == second:
        assert set(one) == set(other)
    if between.strip("\n-") == "" and set(one) == set(other):
        assert first == second


def test_chunks_are_compared_by_their_text_or_their_hash() -> None:
    assert chunks_of(docs(A, B)) == chunks_of(docs(B, f" {A} ", A))
    assert len(chunks_of(docs(A, B))) == 2
    assert chunks_of([Document("x", "h1")]) != chunks_of([Document("x", "h2")])
    assert chunks_of([Document("x")]) == ()
    assert all(len(found) == 32 for found in chunks_of(docs(A)))


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [("ab", "ab", 1.0), ("ab", "ac", 0.5), ("abcd", "a", 0.25), ("ab", "c", 0.0), ("", "", 1.0),
     ("a", "", 0.0)],
)  # fmt: skip
def test_the_common_share_is_of_the_larger_set(one: str, other: str, share: float) -> None:
    assert common_share(one, other) == common_share(other, one) == share
