"""How people write and speak: changes that leave the meaning of a question alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

MARKERS = (
    "no wait", "no sorry", "sorry", "I mean", "um I mean", "or rather", "wait no", "no",
    "scratch that", "make that", "er no", "no I meant", "uh sorry", "actually no", "oops",
    "hold on", "correction", "not that,", "or no", "well no",
)  # fmt: skip
_HUMS = ("um", "uh", "er", "well", "hmm", "like", "you know", "let me think", "so")
_POLITE = (
    "Please tell me: {}", "Hi, {}", "Hello! {}", "{} Thanks!", "{} Thank you in advance.",
    "Quick question: {}", "Sorry to bother you, but {}", "{} Please help.",
    "Could you help me? {}", "I have a question. {}", "{} Please.", "Hey, {}", "Good morning, {}",
)  # fmt: skip
_FILLED = (
    "Just wondering, {}", "I was wondering: {}", "Asking for a friend: {}", "{} Any ideas?",
    "So basically, {}", "{} I can't find it anywhere.", "My colleague wants to know: {}",
    "{} Just curious.", "Does anyone know: {}", "Okay, {}", "{} I'm a bit lost here.",
    "Not sure where to ask, but {}",
)  # fmt: skip
_SHORT = {
    "What is": "What's", "Who is": "Who's", "Where is": "Where's", "How is": "How's",
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't",
    "are not": "aren't", "was not": "wasn't", "cannot": "can't", "I am": "I'm",
    "I have": "I've", "I would": "I'd", "it is": "it's", "will not": "won't",
    "were not": "weren't", "should not": "shouldn't", "that is": "that's",
}  # fmt: skip
_LONG_WORD = 6

Style = Callable[[Random, str], str]


def contracted(rng: Random, text: str) -> str:
    for long, short in _SHORT.items():
        text = re.sub(rf"\b{long}\b(?! not\b| to\b)", short, text)
    return text


def polite(rng: Random, text: str) -> str:
    return _around(rng.choice(_POLITE), text)


def filled(rng: Random, text: str) -> str:
    return _around(rng.choice(_FILLED), text)


def hesitating(rng: Random, text: str) -> str:
    words = text.split()
    for _ in range(rng.choice((1, 1, 2))):
        hum = rng.choice(_HUMS)
        comma = rng.choice(("", ","))
        words.insert(rng.randrange(1, len(words)) if len(words) > 1 else 0, hum + comma)
    return " ".join(words)


def stuttering(rng: Random, text: str) -> str:
    words = text.split()
    some = rng.randint(1, min(3, len(words)))
    start = rng.randrange(0, max(1, len(words) - some))
    again = words[start : start + some]
    return " ".join([*words[:start], *again, *words[start:]])


def mistyped(rng: Random, text: str) -> str:
    words = text.split(" ")
    plain = [
        place
        for place, word in enumerate(words)
        if len(word) >= _LONG_WORD and word.isalpha() and word.islower()
    ]
    for place in rng.sample(plain, min(len(plain), rng.choice((1, 1, 2)))):
        word = words[place]
        at = rng.randrange(1, len(word) - 2)
        words[place] = rng.choice((
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        ))  # fmt: skip
    return " ".join(words)


def plain(rng: Random, text: str) -> str:
    """Write as one writes in a hurry: small letters, no marks, or too many of them."""
    ways: list[Callable[[str], str]] = [
        lambda t: t.rstrip("?."),
        lambda t: t.rstrip("?.") + " ?",
        lambda t: t.rstrip(".") + "??",
        lambda t: t.replace(" ", "  ", 1),
        lambda t: t.replace("'", "\u2019"),
        lambda t: t.rstrip("?.") + "...",
    ]
    if "`" not in text and "/" not in text:
        ways += [str.lower, lambda t: t.lower().rstrip("?."), lambda t: t.lower().replace(",", "")]
    return rng.choice(ways)(text)


STYLES: dict[str, Style] = {
    "contraction": contracted,
    "politeness": polite,
    "added filler": filled,
    "hesitation": hesitating,
    "repetition": stuttering,
    "typing error": mistyped,
    "cosmetic": plain,
}


def lower_first(text: str) -> str:
    """Return a sentence fit to follow other words: names and "I" keep their capital."""
    first = text.partition(" ")[0]
    usual = first.lower() in _FIRST_WORDS
    return text[:1].lower() + text[1:] if usual else text


def _around(frame: str, text: str) -> str:
    before = frame.partition("{}")[0]
    return frame.format(lower_first(text) if before.endswith((", ", "but ")) else text)


_FIRST_WORDS = frozenset(
    [
        "how",
        "what",
        "which",
        "when",
        "where",
        "why",
        "who",
        "whom",
        "whose",
        "is",
        "are",
        "was",
        "were",
        "do",
        "does",
        "did",
        "can",
        "could",
        "may",
        "must",
        "should",
        "will",
        "would",
        "has",
        "have",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "the",
        "a",
        "after",
        "before",
        "to",
        "with",
        "without",
        "if",
        "please",
        "tell",
        "explain",
    ]
)
