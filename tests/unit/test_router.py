"""Which questions may be answered by meaning: every reason, what looks like it, and bad input."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.matching import Route, route

EXACT = {
    "route_now": """
        What is today's weather in Paris?
        Who is the president of France right now?
        Who is the current CEO of Apple?
        What is the latest version of Python?
        What is the most recent release of Redis?
        What time is it in Tokyo?
        in Tokyo, what time is it?
        What is the exchange rate between euro and dollar?
        how many dollars do 20 euros make?
        Is the museum still open?
        Has the new bridge been opened yet?
        Who won the game last night?
        What happened yesterday?
        What are the best films of the year so far?
        Which team is leading the league at the moment?
        Who is winning?
        What is on television tonight?
        What is the price of gold?
        Is it going to rain in Oslo?
        How is the traffic on the A7?
        weather in Lisbon
        Which holidays are coming up next month?
        What do people wear nowadays?
        What was announced three days ago?
        Wie ist das Wetter heute in Berlin?
        Wer ist derzeit Kanzler?
        Wie spät ist es?
        Quel temps fait-il aujourd'hui ?
        Quelle heure est-il ?
        Qui est actuellement premier ministre ?
    """,
    "route_personal": """
        What is my balance?
        Where is my package?
        Why was my card declined?
        When will my order arrive?
        What is the status of my order?
        Am I eligible for a refund?
        Do I have any unread emails?
        How many vacation days do I have left?
        How much did I spend on food?
        When is my doctor's appointment?
        Was I charged twice?
        Who am I?
        What is my name?
        my transfer has not arrived
        Show me my invoices
        what's on the shopping list
        Wo ist meine Bestellung?
        Wie hoch ist mein Kontostand?
        Où est ma commande ?
        Quel est mon solde ?
    """,
    "route_follow_up": """
        And for the second one?
        What about Germany?
        How about in winter?
        why?
        Why not?
        Tell me more
        Can you explain that again?
        and in 2020?
        In Germany?
        How old is she?
        When did he die?
        How does it work?
        Who wrote it?
        Is it safe?
        What does this mean?
        What is the second one?
        Which one is cheaper?
        What else?
        Compare the former with the latter
        What did you say above?
        Und in Frankreich?
        Warum?
        Wie alt ist sie?
        Et en 2020 ?
        Pourquoi ?
    """,
    "route_action": """
        Book a table for two at Mario's
        Send an email to Bob
        Cancel my subscription
        please cancel the order
        Set an alarm for 6
        Turn on the lights in the kitchen
        Play some jazz
        Could you please turn the volume up?
        Remind me to call mom
        Add milk to my shopping list
        Transfer $50 to Anna
        I need an Uber to the airport
        Bestelle eine Pizza
        Stelle einen Wecker auf sechs
        Allume la lumière
    """,
    "route_creative": """
        Write a poem about the sea
        Can you write me a short story about a fox?
        Tell me a joke
        Brainstorm names for a cafe
        Come up with a slogan for a bakery
        Compose a haiku
        Pretend you are a pirate
        Schreibe ein Gedicht
        Raconte une blague
    """,
    "route_code": """
        Fix this code: def f(x): retrun x
        Refactor the following function
        What does this function do?
        Is there a bug in the following code?
        Explain ```print(1)```
        Why is this wrong? ```x = 1```
    """,
    "route_text": """
        Translate the following text into German: hello
        Summarize this paragraph
        Proofread my essay
        Übersetze diesen Satz ins Englische
    """,
}
SKIPPED = """
    Roll a die
    Could you roll a 20-sided die?
    Flip a coin
    heads or tails
    Pick a random number between 1 and 10
    Pick a number from 1 to 100
    Name a random country
    Give me three random words
    Choose a card for me at random
    Generate a UUID
    Create a strong password
    Shuffle the deck
    Würfle einmal
    Wirf eine Münze
    Lance un dé
    Tire à pile ou face
"""
REUSED = """
    What is the capital of France?
    How do I water a cactus?
    How do I reset my password?
    Can I return my order?
    How can I change my address?
    What should I do if my card is stolen?
    How do I cancel my subscription?
    How do I set an alarm on an iPhone?
    Do I have to pay tax on gifts?
    Do I need a visa for Japan?
    My internet is slow, what can I do?
    What is an electric current?
    How does alternating current work?
    What is the current in a 5 ohm resistor?
    What was the latest version of Python in 2019?
    Now that the bridge is closed, how do I get to the island?
    Who directed Apocalypse Now?
    How is an exchange rate determined?
    What is the difference between weather and climate?
    How can I increase the traffic of my website?
    Is it possible to learn Rust in a week?
    What is it like to live in Norway?
    How much does it cost to fly to Rome?
    How tall is the Eiffel Tower?
    Who wrote Hamlet and when was it first played?
    What is a random variable?
    How do I generate a random number in Python?
    Write a Python function that returns a random number
    What is the probability of heads when I flip a coin twice?
    What makes a strong password?
    How do I write a poem?
    How do I translate a page in Word?
    Explain how a function works in Python
    The castle was built in 1340 and now houses a museum.
    Can you play chess online?
    Wie kann ich mein Passwort zurücksetzen?
    Was ist die Hauptstadt von Frankreich?
    Comment changer mon mot de passe ?
    ¿Cuál es la capital de Francia?
    日本の首都はどこですか
    ما هي عاصمة فرنسا؟
"""
BAD = [
    "", " ", "?", "\0", "'", "\ud800", "my \udfff order \ud800?", "\U0001f600", "\u202emy order",
    "\U0001f44d" * 500, "a" * 100_000, "my " * 40_000, "what is the " * 9_000, "\n" * 100_000,
    "generate a " * 9_000, "the " * 25_000 + "?", "```" * 30_000, "select " * 15_000,
    "'" * 100_000, ", please" * 12_000,
]  # fmt: skip


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    ("question", "reason"), [(q, why) for why, some in EXACT.items() for q in lines(some)]
)
def test_it_keeps_to_exact_repeats(question: str, reason: str) -> None:
    assert route(question) == Route("exact_only", reason)


@pytest.mark.parametrize("question", lines(SKIPPED))
def test_chance_is_never_repeated(question: str) -> None:
    assert route(question) == Route("skip", "route_random")


@pytest.mark.parametrize("question", lines(REUSED))
def test_it_may_be_reused(question: str) -> None:
    assert route(question) == Route("reuse")


@pytest.mark.parametrize("question", lines(REUSED)[:20] + lines(EXACT["route_now"])[:10])
def test_case_space_and_apostrophes_do_not_matter(question: str) -> None:
    expected = route(question)
    assert route(f"  {question}\n") == expected
    assert route(question.upper()) == expected
    assert route(question.replace("'", "\u2019")) == expected


@pytest.mark.parametrize("question", BAD, ids=[f"{q[:9]!r} {len(q)}" for q in BAD])
def test_bad_input(question: str) -> None:
    assert route(question).kind in ("reuse", "exact_only", "skip")


def test_a_long_text_is_read_at_both_ends() -> None:
    assert route("What is a cat? " + "word " * 30_000).kind == "reuse"
    assert route("word " * 30_000 + "What is my balance right now?").kind == "exact_only"
    assert route("word " * 2_000 + "```x```" + "word " * 2_000).reason == "route_code"


@given(st.text())
@settings(max_examples=200)
def test_it_never_raises(question: str) -> None:
    found = route(question)
    assert (found.reason == "") == (found.kind == "reuse")
    assert route(question) == found
