"""Text in pieces: tokens for counting and streaming, terms and sentences for answering."""

from __future__ import annotations

import re
from functools import lru_cache

_TOKENS = re.compile(r" ?[^\W_]{1,7}| ?[^\w\s]|\s+|_")
_TERMS = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_WIDE = "\u3002\uff01\uff1f"  # the full stops of Chinese and Japanese
_SENTENCES = re.compile(rf"(?<=[.!?{_WIDE}])[\"')\]]*\s+|\n+|(?<=[{_WIDE}])")
_ENDINGS = ("ingly", "edly", "ings", "ing", "ies", "ied", "ers", "ed", "es", "er", "ly", "s", "e")

_COMMON = """
a about an and any are as at be been but by can could did do does for from had has have how i
if in into is it its me my of on or our please s should so tell than that the their them then
there these they this those to up us use using was we were what when where which while who
whom whose why will with would you your give show explain describe let many much
"""
STOP_WORDS = frozenset(_COMMON.split())


def tokens(text: str) -> list[str]:
    """Split `text` into pieces that join to it again, about four characters each."""
    return _TOKENS.findall(text)


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Return `word` in lower case without its common English ending."""
    lowered = word.lower()
    for ending in _ENDINGS:
        if lowered.endswith(ending) and len(lowered) - len(ending) >= 3:
            return lowered[: -len(ending)]
    return lowered


def words(text: str) -> list[str]:
    """Return the words and numbers of `text` as they are written."""
    return _TERMS.findall(text)


def terms(text: str) -> list[str]:
    """Return the stems of the words that carry meaning, in order."""
    return [stem(word) for word in words(text) if word.lower() not in STOP_WORDS]


def sentences(text: str) -> list[str]:
    """Split `text` into sentences and lines, without blanks and list marks."""
    parts = (part.strip(" \t-*•#>").strip() for part in _SENTENCES.split(text))
    return [part for part in parts if any(char.isalnum() for char in part)]
