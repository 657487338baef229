"""Documents, tags and versions in a request's course: what is kept under them, and what dies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from aegis_llm import ConfigError, codec
from aegis_llm import plan as p
from aegis_llm.config import CacheConfig
from aegis_llm.context import chunks_of
from aegis_llm.errors import StoreTrouble
from aegis_llm.matching import Matcher
from aegis_llm.names import names_of
from aegis_llm.values import Answer, Control, Document, Entry, Origin, Request
from tests.unit.planning import NOW, QUESTION, VECTOR, Hand, ask, hash_of, key_of, rules

GOOD = Answer(text="Rarely.", done_reason="stop")
REWORDED = "How should I water a cactus?"
A, B, C = "Cacti need little water.", "Ferns like the shade.", "Roses have thorns."
RETRIEVED = (Document("d1", "h", A), Document("d2", "h", B), Document("d1", "h2", C))


class Known:
    """What is known of invalidations: one state after the other, the last for ever."""

    def __init__(self, *states: p.State) -> None:
        self._states: Iterator[p.State] = iter(states)
        self._state = p.State()

    def __call__(self) -> p.State:
        self._state = next(self._states, self._state)
        return self._state


def rules_with(known: Known, **cache: Any) -> p.Rules:
    settings = CacheConfig(**cache)
    return p.Rules(settings, Matcher(settings), True, lambda: NOW, lambda: 0.0, known)


def looked(
    hand: Hand, known: Known, request: Request | None = None, control: Control | None = None
) -> p.Opened:
    result: p.Opened = hand.drive(
        p.open_plan(request or ask(), control or Control(), rules_with(known))
    )
    return result


def rag(*texts: str, question: str = QUESTION) -> Request:
    context = "\n\n".join(texts)
    content = f"Context:\n{context}\n\nQuestion: {question}\nAnswer:"
    documents = tuple(Document(f"d{text[0]}", "", text) for text in texts)
    return Request("m:latest", ({"role": "user", "content": content},), documents=documents)


def stored(request: Request, **cache: Any) -> p.Put:
    """What is stored for a request."""
    ticket = Hand().drive(p.open_plan(request, Control(), rules(**cache))).ticket
    hand = Hand()
    assert hand.drive(p.close_plan(ticket, (GOOD,), rules(**cache))) == ""
    put: p.Put = hand.effects(p.Put)[0]
    return put


def reworded(request: Request, put: p.Put, **cache: Any) -> Origin:
    """The outcome of a request when this entry is what the store finds, whatever the scope."""
    hand = Hand(Nearest=[(put.data, 0.97)])
    opened: p.Opened = hand.drive(p.open_plan(request, Control(), rules(**cache)))
    return opened.origin


def test_an_entry_remembers_ids_and_chunks_and_is_stored_under_its_names() -> None:
    request = ask(documents=RETRIEVED)
    control = Control(documents=("d3", "d2"), tags=("t",))
    hand = Hand()
    ticket = hand.drive(p.open_plan(request, control, rules())).ticket
    hand.drive(p.close_plan(ticket, (GOOD,), rules()))
    kept, settled, put = hand.log[-3:]
    assert settled.entry.documents == put.semantic.documents == ("d1", "d2", "d3")
    assert settled.entry.chunks == chunks_of(RETRIEVED)
    assert len(settled.entry.chunks) == 3
    assert put.names == kept.names == names_of(("d1", "d2", "d3"), ("t",))
    assert codec.decode(put.data) == settled.entry


def test_a_tag_is_no_document() -> None:
    assert set(names_of(("a",), ())).isdisjoint(names_of((), ("a",)))
    assert len(names_of(("a", "a"), ("a",))) == 2
    assert all(len(name) == 33 for name in names_of(("a", "\ud800", "x" * 9999), ()))


def test_documents_that_came_to_light_later_are_remembered_too() -> None:
    ticket = Hand().drive(p.open_plan(ask(), Control(), rules())).ticket
    hand = Hand()
    hand.drive(p.close_plan(ticket, (GOOD,), rules(), RETRIEVED))
    put = hand.effects(p.Put)[0]
    assert put.names == names_of(("d1", "d2"), ())
    assert codec.decode(put.data).documents == ("d1", "d2")  # type: ignore[union-attr]


def test_an_id_that_json_cannot_carry_costs_no_entry() -> None:
    put = stored(ask(documents=(Document("\ud800", "", A), Document("", "", B))))
    assert put.names == names_of(("\ud800",), ())
    assert len(put.names) == 1


def test_without_documents_and_tags_nothing_is_different() -> None:
    put = stored(ask())
    assert (put.names, put.sequence) == ((), 0)
    assert b"chunks" not in put.data


def test_a_hit_is_kept_here_under_the_names_of_its_entry() -> None:
    data = stored(ask(documents=RETRIEVED)).data
    exact = Hand(GetExact=data)
    known = Known(p.State(0, 3, 5), p.State(0, 3, 6))
    assert looked(exact, known).origin.outcome == "hit_exact"
    kept = exact.effects(p.KeepLocal)[0]
    assert (kept.names, kept.events) == (names_of(("d1", "d2"), ()), 5), "before it was read"
    near = Hand(Nearest=[(data, 0.97)])
    assert looked(near, Known(p.State(0, 3, 5)), ask(REWORDED)).origin.outcome == "hit_semantic"
    kept = near.effects(p.KeepLocal)[0]
    assert (kept.key, kept.names, kept.events) == (
        key_of(ask(REWORDED)),
        names_of(("d1", "d2"), ()),
        5,
    )


def test_what_is_stored_says_how_much_was_invalid_when_it_was_asked_for() -> None:
    request = ask(documents=RETRIEVED)
    ticket = looked(Hand(), Known(p.State(0, 3, 5)), request).ticket
    assert ticket is not None
    hand = Hand()
    hand.drive(p.close_plan(ticket, (GOOD,), rules_with(Known(p.State(0, 4, 6)))))
    assert hand.effects(p.KeepLocal)[0].events == 5
    assert hand.effects(p.Put)[0].sequence == 3


@pytest.mark.parametrize(
    ("since", "block", "then", "kept", "put"),
    [
        (1.0, None, p.State(1, 2, 4), 4, 2),
        (None, 1.0, p.State(1, 2, 4), 4, 2),
        (1.0, 2.0, p.State(1, 2, 4), 4, 2),
        (2.0, 1.0, p.State(1, 2, 4), 4, 2),
        (1.0, None, p.State(0, 0, 0), 0, 0),
        (1.0, None, p.State(1, 4, 9), 5, 3),
    ],
)
def test_what_was_retrieved_long_ago_counts_from_then(
    since: float | None, block: float | None, then: p.State, kept: int, put: int
) -> None:
    now = p.State(1, 3, 5)
    past = {1.0: then, 2.0: now}
    settled = msgspec.structs.replace(rules_with(Known(now)), state_at=past.__getitem__)
    request = ask(documents=RETRIEVED, since=since)
    control = Control(documents=("d1",), since=block)
    ticket = Hand().drive(p.open_plan(request, control, settled)).ticket
    hand = Hand()
    assert hand.drive(p.close_plan(ticket, (GOOD,), settled)) == ""
    assert hand.effects(p.KeepLocal)[0].events == kept
    assert hand.effects(p.Put)[0].sequence == put


def test_what_was_retrieved_before_everything_was_invalidated_is_kept_nowhere() -> None:
    now = p.State(2, 3, 5)
    settled = msgspec.structs.replace(rules_with(Known(now)), state_at=lambda _: p.State(1, 3, 5))
    request = ask(documents=RETRIEVED, since=1.0)
    opened = Hand().drive(p.open_plan(request, Control(), settled))
    assert opened.origin == Origin("miss", "invalidated")
    hand = Hand()
    assert hand.drive(p.close_plan(opened.ticket, (GOOD,), settled)) == "invalidated"
    assert hand.names == ["Settle"]


def test_what_was_asked_for_before_the_first_contact_is_kept_nowhere_and_says_no_more() -> None:
    hand = Hand(GetExact=StoreTrouble("redis_starting"))
    opened = looked(hand, Known(), ask(documents=RETRIEVED))
    assert opened.origin.reason == "redis_starting"
    hand = Hand()
    plan = p.close_plan(opened.ticket, (GOOD,), rules_with(Known(p.State(7))))  # type: ignore[arg-type]
    assert hand.drive(plan) == ""
    assert hand.names == ["Settle"]


def test_an_answer_overtaken_by_an_invalidation_here_is_kept_nowhere() -> None:
    ticket = looked(Hand(), Known(), ask(documents=RETRIEVED)).ticket
    assert ticket is not None
    hand = Hand(KeepLocal=False)
    assert hand.drive(p.close_plan(ticket, (GOOD,), rules())) == "invalidated"
    assert hand.names == ["KeepLocal", "Settle"]
    assert hand.log[-1].entry is not None, "those who wait asked before it, too"


def test_an_answer_overtaken_elsewhere_is_taken_back_here() -> None:
    ticket = looked(Hand(), Known(), ask(documents=RETRIEVED)).ticket
    assert ticket is not None
    hand = Hand(Put=StoreTrouble("invalidated"), DropLocal=None)
    assert hand.drive(p.close_plan(ticket, (GOOD,), rules())) == "invalidated"
    assert hand.names == ["KeepLocal", "Settle", "Put", "DropLocal"]
    assert hand.log[-1].key == ticket.key


def test_an_answer_of_another_version_is_kept_nowhere() -> None:
    ticket = looked(Hand(), Known(p.State(1))).ticket
    assert ticket is not None
    hand = Hand()
    plan = p.close_plan(ticket, (GOOD,), rules_with(Known(p.State(2))))
    assert hand.drive(plan) == "invalidated"
    assert hand.names == ["Settle"]


def test_nobody_waits_for_what_was_asked_before_an_invalidation() -> None:
    flights = []
    for state in (p.State(), p.State(0, 1, 1), p.State(0, 2, 1), p.State(0, 2, 2)):
        hand = Hand()
        looked(hand, Known(state))
        flights.append(hand.effects(p.Join)[0].key)
    assert flights[0] == hash_of(ask())
    assert len(set(flights)) == 4


def test_a_version_is_part_of_key_and_scope_and_none_leaves_them_as_they_were() -> None:
    keys, scopes = set(), set()
    for version in (0, 1, 2):
        hand = Hand()
        ticket = looked(hand, Known(p.State(version))).ticket
        assert ticket is not None
        keys.add(ticket.key)
        scopes.add(ticket.scope)
        assert (ticket.key == key_of(ask())) is (version == 0)
    assert len(keys) == len(scopes) == 3


def test_a_version_learned_by_the_first_contact_counts_at_once() -> None:
    """The entry that was found is of a version that nobody may see any more."""
    old = codec.encode(Entry(hash_of(ask()), (GOOD,), NOW, NOW + 1000))
    hand = Hand(GetExact=lambda e: old if e.key == key_of(ask()) else None)
    result = looked(hand, Known(p.State(), p.State(7)))
    assert result.origin == Origin("miss", "no_candidate")
    assert hand.names[:5] == ["Digest", "GetLocal", "GetExact", "KeepLocal", "GetLocal"]
    assert result.ticket is not None
    assert result.ticket.key == hand.effects(p.GetExact)[1].key != key_of(ask())


def test_a_neighbour_found_while_everything_was_invalidated_does_not_answer() -> None:
    data = stored(ask()).data
    hand = Hand(Nearest=[(data, 0.97)])
    known = Known(p.State(), p.State(), p.State(1))
    assert looked(hand, known, ask(REWORDED)).origin == Origin("miss", "invalidated")


def test_a_corpus_version_parts_entries_and_the_block_wins_over_the_setting() -> None:
    seen = []
    for control, cache in (
        (Control(), {}),
        (Control(), {"corpus_version": "1"}),
        (Control(corpus_version="2"), {"corpus_version": "1"}),
        (Control(corpus_version="1"), {}),
    ):
        ticket = Hand().drive(p.open_plan(ask(), control, rules(**cache))).ticket
        seen.append((ticket.key, ticket.scope))
    assert seen[0][0] == key_of(ask())
    assert seen[1] == seen[3]
    assert len(set(seen)) == 3
    bad = Hand().drive(p.open_plan(ask(), Control(corpus_version="\ud800"), rules()))
    assert bad.origin == Origin("bypass", "invalid_text")


def test_the_same_chunks_in_another_order_answer_a_reworded_question() -> None:
    put = stored(rag(A, B))
    assert reworded(rag(B, A, question=REWORDED), put).outcome == "hit_semantic"
    for other in (rag(A, C, question=REWORDED), rag(A, question=REWORDED)):
        assert reworded(other, put).reason == "no_candidate"
    assert key_of(rag(A, B)) != key_of(rag(B, A)), "the exact tier knows the whole request"


@pytest.mark.parametrize(
    ("least", "texts", "outcome"),
    [
        ("0.5", (A, C), "hit_semantic"),
        ("0.51", (A, C), "context_differs"),
        ("0.5", (A, B, C), "hit_semantic"),
        ("0.7", (A, B, C), "context_differs"),
        ("1", (B, A), "hit_semantic"),
        ("0.1", (C,), "context_differs"),
    ],
)
def test_an_overlap_of_chunks(least: str, texts: tuple[str, ...], outcome: str) -> None:
    cache = {"context": f"overlap>={least}"}
    origin = reworded(rag(*texts, question=REWORDED), stored(rag(A, B), **cache), **cache)
    assert outcome in (origin.outcome, origin.reason)


def test_a_context_that_is_ignored_needs_a_corpus_version() -> None:
    with pytest.raises(ConfigError, match="corpus_version"):
        CacheConfig(context="ignore")
    cache = {"context": "ignore", "corpus_version": "7"}
    put = stored(rag(A, B), **cache)
    assert reworded(rag(C, question=REWORDED), put, **cache).outcome == "hit_semantic"
    assert (
        reworded(rag(C, question=REWORDED), put, **{**cache, "corpus_version": "8"}).reason
        == "no_candidate"
    )


def test_entries_of_one_policy_never_answer_under_another() -> None:
    every = [
        {"context": "same", "corpus_version": "7"},
        {"context": "overlap>=0.1", "corpus_version": "7"},
        {"context": "ignore", "corpus_version": "7"},
    ]
    for stored_by in every:
        put = stored(rag(A, B), **stored_by)
        for asked_by in every:
            hit = reworded(rag(A, B, question=REWORDED), put, **asked_by).outcome
            assert (hit == "hit_semantic") is (stored_by == asked_by)


def test_a_vector_and_a_question_are_not_changed_by_the_cut() -> None:
    hand = Hand()
    ticket = hand.drive(p.open_plan(rag(A, B), Control(), rules())).ticket
    assert (ticket.question, ticket.vector) == (QUESTION, VECTOR)
    assert hand.effects(p.Embed) == [p.Embed(QUESTION)]
