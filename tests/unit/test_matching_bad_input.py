"""Texts that nobody would ask: the router and the decision read them and refuse."""

from __future__ import annotations

import re
from math import inf, nan

import pytest

from aegis_llm.config import CacheConfig
from aegis_llm.matching import Matcher, route
from aegis_llm.values import Answer, Candidate, Entry

_HUGE = 100_000
QUESTION = "How do I bleed a radiator?"
TEXTS = {
    "empty": "",
    "spaces": " \t\n ",
    "marks": "?!?!...",
    "emoji": "\U0001f937\U0001f3fd\u200d\u2640\ufe0f\U0001f1eb\U0001f1ee",
    "emoji in words": "How \U0001f600 do I \U0001f525 bleed a \U0001f321 radiator?",
    "right to left": "\u0643\u064a\u0641 \u0623\u0641\u062a\u062d \u0627\u0644\u0628\u0628\u061f",
    "right to left marks": "\u202eWhat\u202c is \u200fthis\u200e?",
    "hebrew and digits": "\u05de\u05d4 \u05d6\u05d4 15?",
    "lone surrogate": "What is \ud83d this?",
    "two surrogates, turned": "\udc00\ud800",
    "nul": "What is\0 this?",
    "only nul": "\0",
    "controls": "".join(map(chr, range(32))),
    "combining marks": "a" + "\u0301" * 500,
    "zero width": "W\u200bh\u200ba\u200bt\u200b?",
    "byte order mark": "\ufeffHow do I bleed a radiator",
    "100 kB of one letter": "a" * _HUGE,
    "100 kB of words": "why is it so " * (_HUGE // 13),
    "100 kB of different words": " ".join(f"word{n}" for n in range(_HUGE // 8)),
    "100 kB of numbers": " ".join(str(n) for n in range(_HUGE // 6)),
    "100 kB of digits": "7" * _HUGE,
    "100 kB of names": "Anna Berg and " * (_HUGE // 14),
    "100 kB of negations": "not " * (_HUGE // 4),
    "100 kB of corrections": "no wait I mean " * (_HUGE // 15),
    "100 kB of quotes": '"' * _HUGE,
    "100 kB of ticks": "`" * _HUGE,
    "100 kB of brackets": "(" * _HUGE,
    "100 kB of dots": "a.b" * (_HUGE // 3),
    "100 kB of hyphens": "a-" * (_HUGE // 2),
    "100 kB of apostrophes": "it's " * (_HUGE // 5),
    "100 kB of spaces": "a" + " " * _HUGE + "b",
    "100 kB of lines": "\n" * _HUGE,
    "100 kB of emoji": "\U0001f600" * (_HUGE // 4),
    "100 kB of Chinese": "\u4f60\u597d" * (_HUGE // 6),
    "100 kB of surrogates": "\ud800" * (_HUGE // 3),
}
SETTINGS = {
    "strict": CacheConfig(),
    "balanced": CacheConfig(matching="balanced"),
    "fixed": CacheConfig(similarity=0.9),
}
MATCHERS = {name: Matcher(config) for name, config in SETTINGS.items()}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_every_text_has_a_route(text: str) -> None:
    found = route(text)
    assert found.kind in ("reuse", "exact_only", "skip")
    assert found.kind == "reuse" or found.reason
    assert route(text) == found


@pytest.mark.parametrize("matcher", MATCHERS.values(), ids=MATCHERS.keys())
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_such_text_answers_a_question(text: str, matcher: Matcher) -> None:
    if text.lstrip("\ufeff").startswith("How"):
        return  # the question itself, decorated: either decision is right
    for asked, cached in ((text, QUESTION), (QUESTION, text)):
        decision = matcher.decide(asked, cached, 1.0)
        assert not decision.accept
        assert decision.reason


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_text_that_got_a_word_more_is_refused(text: str) -> None:
    changed = f"{text} 15 radiators"
    strict = MATCHERS["strict"]
    assert not strict.decide(text, changed, 1.0).accept
    assert strict.decide(text, changed, 1.0) == strict.decide(changed, text, 1.0)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_such_a_text_is_refused_among_candidates(text: str) -> None:
    entry = Entry(key="k", answers=(Answer(text="a"),), created_ms=0, expires_ms=1)
    short = [other for other in TEXTS.values() if len(other) < 100 and re.search(r"\w", other)]
    others = [other for other in short if other != text]
    candidates = [Candidate(entry, 0.99, other) for other in [*others, f"{text} twice"]]
    assert MATCHERS["strict"].choose(text, candidates).candidate is None


@pytest.mark.parametrize("similarity", [nan, -inf, -1.0, 0.0])
def test_a_similarity_that_says_nothing_serves_nothing(similarity: float) -> None:
    for matcher in MATCHERS.values():
        assert not matcher.decide(QUESTION, "How can I bleed a radiator?", similarity).accept
