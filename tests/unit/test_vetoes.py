"""Vetoes that stand whatever the score: each names itself, both ways, and not without a reason."""

from __future__ import annotations

import pytest

from aegis_llm.gates.facts import Facts
from aegis_llm.gates.vetoes import first_veto, left_over, vetoes

NAMED = [
    ("\u0427\u0442\u043e?", "What?", "veto_language"),
    ("Can I take 5 mg?", "Can I take 6 mg?", "veto_numbers"),
    ("Can I take 5 mg?", "Can I take 5 g?", "veto_units"),
    ("Can the crane lift 3 tons?", "Can the crane lift 3 pounds?", "veto_units"),
    ("How much is it in dollars?", "How much is it in euros?", "veto_units"),
    ("Where is order #D-7781?", "Where is order #D-7782?", "veto_literals"),
    ("Does getItem() throw?", "Does setItem() throw?", "veto_literals"),
    ("Is a < b?", "Is a > b?", "veto_code"),
    ("Can dogs eat grapes?", "Can dogs not eat grapes?", "veto_negation"),
    ("Can I fly with a cat?", "Can I fly without a cat?", "veto_negation"),
    ("How do I enable sync?", "How do I disable sync?", "veto_opposites"),
    ("Who accepted the offer?", "Who rejected the offer?", "veto_opposites"),
    ("How do I inflate the bed?", "How do I deflate the bed?", "veto_opposites"),
    ("Why was she able to sleep?", "Why was she unable to sleep?", "veto_opposites"),
    ("How can I become more brave?", "How can I become less brave?", "veto_opposites"),
    ("Is it open on monday?", "Is it open on tuesday?", "veto_dates"),
    ("Is it open in the morning?", "Is it open in the evening?", "veto_opposites"),
    ("Who lives in Paris?", "Who lives in London?", "veto_names"),
    ("What is the fee?", "What is the fee in Germany?", "veto_names"),
    ("When was it built?", "Where was it built?", "veto_question_kind"),
    ("Who repaired the organ?", "How was the organ repaired?", "veto_question_kind"),
    ("Do all birds fly?", "Do birds fly?", "veto_quantifiers"),
    ("Do nurses always wear gloves?", "Do nurses sometimes wear gloves?", "veto_quantifiers"),
    ("Must I pay?", "May I pay?", "veto_modality"),
    ("Are guests obliged to leave?", "Are guests allowed to leave?", "veto_modality"),
    ("Is he tall?", "Is she tall?", "veto_persons"),
    ("Can I pay you?", "Can you pay me?", "veto_persons"),
    ("How many people work there?", "How many people worked there?", "veto_tense"),
    ("Flights from Rome to Oslo?", "Flights from Oslo to Rome?", "veto_roles"),
    ("Did Germany beat Brazil?", "Did Brazil beat Germany?", "veto_roles"),
    ("How do I cast a float to a decimal?", "How do I cast a decimal to a float?", "veto_roles"),
    ("Who was taught by Husserl?", "Who taught Husserl?", "veto_roles"),
    ("Can a lawyer try not to win?", "Can a lawyer not try to win?", "veto_negation"),
]

SAME = [
    ("How do I reset my password?", "How can I reset my password?"),
    ("Is Anna married to Otto?", "Is Otto married to Anna?"),
    ("What makes tea differ from coffee?", "How do coffee and tea differ?"),
    ("How can I become less rude?", "How can I become more polite?"),
    ("What is the most important rule?", "What is the best rule?"),
    ("What was the best film of all time?", "What was the best film?"),
    ("Was the letter written by Emma?", "Did Emma write the letter?"),
    ("Who did Husserl teach?", "Who was taught by Husserl?"),
    ("Can I take 5 mg?", "May I take five mg?"),
    ("Which places in Pune should I visit?", "What places around Pune should I visit?"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "name"), NAMED)
def test_a_veto_names_itself_both_ways(a: str, b: str, name: str) -> None:
    found = vetoes(Facts(a), Facts(b))
    assert name in found
    assert vetoes(Facts(b), Facts(a)) == found
    assert first_veto(Facts(a), Facts(b)) == found[0]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_a_rewording_has_no_veto(a: str, b: str) -> None:
    assert vetoes(Facts(a), Facts(b)) == ()
    assert first_veto(Facts(b), Facts(a)) is None


def test_forms_of_one_word_are_not_left_over() -> None:
    a, b = Facts("Which birds fly south?"), Facts("Which bird flies north?")
    assert left_over(a, b) == (["south"], ["north"])
