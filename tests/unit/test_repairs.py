"""Spoken self-corrections: taken out only where the rest is the other question, word for word."""

from __future__ import annotations

import pytest

from aegis_llm.matching.repairs import Spoken, corrected, may_be_spoken, taken_back

CORRECTED = [
    ("Where is the museum of glass, I mean, of salt?", "Where is the museum of salt?"),
    ("Who trained Lena, no wait, Mona?", "Who trained Mona?"),
    ("Who trained Lena or rather Mona?", "Who trained Mona?"),
    ("How tall is Arne, no, how old is Arne?", "How old is Arne?"),
    ("Which port is in Malta, no I meant Cyprus?", "Which port is in Cyprus?"),
    ("Who paints a fence no a barn in the valley?", "Who paints a barn in the valley?"),
    ("How do I um draw a, uh, tree?", "How do I draw a, tree?"),
    ("Is lane um 7 open?", "Is lane 7 open?"),
    ("When did the mill uh close?", "When did the mill close?"),
    ("Where are the Elbe or sorry the Oder locks?", "Where are the Oder locks?"),
]

NOT_CORRECTED = [
    # What was taken back is what the other text asks about.
    ("Where is the museum of glass, I mean, of salt?", "Where is the museum of glass?"),
    ("Who trained Lena, no wait, Mona?", "Who trained Lena?"),
    # A negation is none.
    ("Are there no taxes in Monaco?", "Are there taxes in Monaco?"),
    ("Which dogs have no fur at all?", "Which fur at all?"),
    ("Which foods contain no sugar at all?", "Which sugar at all?"),
    # Plain words that are also markers.
    ("Would you rather walk home?", "Would you walk home?"),
    ("How long do I wait for a visa?", "How long do I for a visa?"),
    ("Can I use honey instead of sugar?", "Can I of sugar?"),
    # A circumstance takes nothing back, nor does a hesitation.
    ("If I'm pregnant, sorry, can I take ibuprofen?", "Can I take ibuprofen?"),
    ("In Texas, no wait, can I park here?", "Can I park here?"),
    ("Where can I park a truck, um, downtown?", "Where can I park a truck?"),
    ("Does the plan cover dental, um, and vision?", "Does the plan cover vision?"),
    # Nothing is said instead.
    ("Can I take ibuprofen with alcohol, actually?", "Can I take ibuprofen?"),
    # Words that only look like markers.
    ("How do ER nurses work?", "How do nurses work?"),
    ("How do I draw er diagrams?", "How do I draw diagrams?"),
    ("Which states allow quick no-fault divorce?", "Which states allow fault divorce?"),
    ("Is a strict no phones policy legal?", "Is a phones policy legal?"),
    ("Which phones have little or no bezel?", "Which phones have bezel?"),
    ("Are lock-free, wait-free queues fast?", "Are free queues fast?"),
    # Another word besides.
    ("Who trained Lena, no wait, Mona in Rome?", "Who trained Mona?"),
    ("Who trained Mona?", "Who trained Mona?"),
    ("um", ""),
    ("", ""),
]


@pytest.mark.parametrize(("said", "plain"), CORRECTED)
def test_a_correction_is_taken_out(said: str, plain: str) -> None:
    assert corrected(Spoken(said), Spoken(plain))
    assert not corrected(Spoken(plain), Spoken(said))


@pytest.mark.parametrize(("said", "plain"), NOT_CORRECTED)
def test_what_is_no_correction_stays(said: str, plain: str) -> None:
    assert not corrected(Spoken(said), Spoken(plain))


def test_only_what_the_other_text_lacks_is_taken_back() -> None:
    said = Spoken("Who trained Lena, no wait, Mona in Rome?")
    assert taken_back(said, Spoken("Who trained Mona?")).split() == [
        "Who", "trained", ",", ",", "Mona", "in", "Rome?",
    ]  # fmt: skip
    assert taken_back(Spoken("Who trained Mona?"), said) == "Who trained Mona?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Who trained Lena, no wait, Mona?", True), ("Um, who?", True), ("Who is there?", False)],
)
def test_a_quick_look_tells_whether_a_marker_is_there(text: str, expected: bool) -> None:
    assert may_be_spoken(text) is expected


def test_a_hostile_text_is_read_in_linear_time() -> None:
    long = "no wait " * 20_000
    assert not corrected(Spoken(long), Spoken("wait"))
