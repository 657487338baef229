"""Names of the vetoes, writing that makes no difference, and texts that nobody would write."""

from __future__ import annotations

import pytest

from aegis_llm.gates import gate

NAMED = [
    ("Can I take 5 mg?", "Can I take 6 mg?", "veto_numbers"),
    ("Can I take 5 mg?", "Can I take 5 g?", "veto_units"),
    ("Where is order #D-7781?", "Where is order #D-7782?", "veto_literals"),
    ("Is a < b?", "Is a > b?", "veto_code"),
    ("Can dogs eat grapes?", "Can dogs not eat grapes?", "veto_negation"),
    ("How do I enable it?", "How do I disable it?", "veto_opposites"),
    ("Which birds fly?", "Which birds only fly?", "veto_quantifiers"),
    ("When was it built?", "Where was it built?", "veto_question_kind"),
    ("Who is the owner?", "Who was the owner?", "veto_tense"),
    ("Is he tall?", "Is she tall?", "veto_persons"),
    ("Is it far to Paris?", "Is it far to London?", "veto_names"),
    ("Is it far to the beach?", "Is it far to the hotel?", "veto_words"),
    ("Flights from Rome to Oslo?", "Flights from Oslo to Rome?", "veto_direction"),
    ("Did Germany beat Brazil?", "Did Brazil beat Germany?", "veto_order"),
    ("Is git add -p slow?", "Is git add -P slow?", "veto_literals"),
    ("Is it 5 Gb?", "Is it 5 GB?", "veto_case"),
    ("\u0427\u0442\u043e?", "What?", "veto_language"),
]


@pytest.mark.parametrize(("a", "b", "name"), NAMED)
def test_a_veto_names_itself(a: str, b: str, name: str) -> None:
    assert gate(a, b) == name


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("What is Redis?", "  what   is Redis ?"),
        ("What is Redis?", "What is Redis"),
        ("What is Redis", "What is Redis!"),
        ("What\u2019s Redis?", "What's Redis?"),
        ("caf\u00e9 hours", "cafe\u0301 hours"),
        ("WHAT IS THE CAPITAL OF PERU?", "What is the capital of Peru?"),
        ("What Is The Capital Of Peru?", "What is the capital of Peru?"),
        ("what is the capital of peru", "What is the capital of Peru?"),
        ("capital of france", "capital of France"),
        ("What is the capital of france?", "What is the capital of France?"),
        ("Is 5 PM too late for tea?", "Is 5 pm too late for tea?"),
        ("What is A Black Hole?", "what is a black hole?"),
        ("how do i install docker", "How do I install Docker?"),
        ("how do i boil an egg", "How do I boil an egg?"),
    ],
)
def test_writing_alone_makes_no_difference(a: str, b: str) -> None:
    assert gate(a, b) is None


@pytest.mark.parametrize("text", ["", " ", "?", "\0", "\ud800", "\U0001f600", "\u200b", "'", "%"])
def test_texts_without_words_are_compared_too(text: str) -> None:
    assert gate(text, text) is None
    assert gate(text, "What is Redis?") is not None


HOSTILE = {
    "one word": "a" * 2**18,
    "quotes": "\u201c" * 2**18,
    "dots": "a." * 2**17,
    "digits": "1," * 2**17,
    "genitives": "of a cat " * 2**14,
    "distinct words": " ".join(f"of w{number:x}" for number in range(25_000)),
    "turns of phrase": "what is the " * 2**14,
    "joiners": "and cat " * 2**14,
    "accents": "e\u0301" * 2**17,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_read_in_linear_time(text: str) -> None:
    """A reading in quadratic time would take minutes here."""
    turned = " ".join(reversed(text.split()))
    assert gate(text, text + " not") is not None
    assert gate(text, turned) == gate(turned, text)
