"""One text, read once for all comparisons: its facts, its surface, and how rare its words are."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

from aegis_llm.gates.facts import Facts
from aegis_llm.gates.words import ROLES, split
from aegis_llm.matching.language import in_english
from aegis_llm.matching.repairs import (
    Spoken,
    corrected,
    may_be_spoken,
    other_than_said,
    taken_back,
)

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_RUN_ON: Final = re.compile(r"(?<=[a-z][?!])(?=[A-Z])|(?<=[a-z]\.)(?=[A-Z][a-z])")
"""Where a writer forgot the space between two sentences."""
_SENTENCE: Final = re.compile(r"[.?!](?:\s|$)")
_AUXILIARIES: Final = frozenset(
    split("is are am was were do does did can could will would should may might must have has had")
)
_ASKING: Final = {
    word: place
    for place, word in enumerate(split("what which who whom whose when where why how"), start=1)
}
_OPENS_WITH_AUXILIARY: Final = 10
_PAST: Final = frozenset(split("was were did had"))
_ASKER: Final = frozenset(split("i my me im i'm we our us"))
_KEPT: Final = 1024
LONGEST: Final = 2000
"""Characters beyond which a text is not read as one question."""


class Reading:
    """What is compared of one text; each part is made when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def facts(self) -> Facts:
        """What the gates compare."""
        return Facts(_RUN_ON.sub(" ", self.text))

    @cached_property
    def english(self) -> bool:
        """Whether the text may be English."""
        return in_english(self.text, [word.lower() for word in written_words(self.text)])

    @cached_property
    def has_words(self) -> bool:
        """Whether there is anything to compare."""
        return any(map(str.isalnum, self.text))

    def reads_as(self, other: Reading) -> bool:
        """Whether both are English, or have the same words in the same order.

        Of other languages the rules do not know what a small word does.
        """
        if self.english and other.english:
            return True
        one, two = (
            [word.lower() for word in written_words(text)] for text in (self.text, other.text)
        )
        return one == two

    @cached_property
    def spoken(self) -> Spoken:
        """Words and markers of self-correction."""
        return Spoken(self.text)

    @cached_property
    def surface(self) -> Surface:
        """Words as they are written."""
        return Surface(self.text)


class Surface:
    """What the score compares of one text beside its facts."""

    __slots__ = (
        "capitals", "ends_asking", "ends_told", "function_words", "letters", "marks",
        "opening", "own", "pairs", "past", "places", "sentences", "unique", "words",
    )  # fmt: skip

    def __init__(self, text: str) -> None:
        written = written_words(text)
        self.words = words = [word.lower() for word in written]
        self.unique = set(words)
        self.pairs = set(pairwise(words))
        self.places = {word: place for place, word in enumerate(words)}
        self.capitals = sum(word[0].isupper() for word in written[1:])
        self.letters = sum(map(len, words))
        bare = text.rstrip()
        self.marks = (text.count("?"), text.count(","))
        self.ends_asking, self.ends_told = bare.endswith("?"), bare.endswith(".")
        self.sentences = len(_SENTENCE.findall(text))
        self.function_words = self.unique & ROLES.keys()
        self.opening = 0
        if words:
            asks = _OPENS_WITH_AUXILIARY if words[0] in _AUXILIARIES else 0
            self.opening = _ASKING.get(words[0], asks)
        self.own = not self.unique.isdisjoint(_ASKER)
        self.past = not self.unique.isdisjoint(_PAST)


def written_words(text: str) -> list[str]:
    """Return the words of a text as they are written."""
    return _WORD.findall(text)


@lru_cache(maxsize=_KEPT)
def reading(text: str) -> Reading:
    """Return the reading of a text; the last thousand are kept, as popular questions return."""
    return Reading(text)


class Pair:
    """Two readings to compare.

    `said_a` and `said_b` are what was said, `a` and `b` the same without what a self-correction
    took back; `corrected` tells that one is the other with nothing but a correction, and
    `other_correction` that one corrects itself to something that the other does not ask.
    """

    __slots__ = ("a", "b", "corrected", "other_correction", "said_a", "said_b", "spoken")

    def __init__(self, a: str, b: str) -> None:
        self.said_a = self.a = reading(a)
        self.said_b = self.b = reading(b)
        self.spoken = may_be_spoken(a) or may_be_spoken(b)
        self.corrected = self.other_correction = False
        if not self.spoken:
            return
        one, other = self.said_a.spoken, self.said_b.spoken
        self.corrected = corrected(one, other) or corrected(other, one)
        self.other_correction = other_than_said(one, other) or other_than_said(other, one)
        if one.ends or one.hesitant:
            self.a = reading(taken_back(one, other))
        if other.ends or other.hesitant:
            self.b = reading(taken_back(other, one))
