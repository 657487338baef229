"""Spoken self-corrections: "in what country is Norse, no wait, Normandy" asks about Normandy.

A correction is taken out only where what remains is the other question word for word, so that
nothing is guessed: the two texts differ by one run of words that ends with a marker.
"""

from __future__ import annotations

import re
from typing import Final

from aegis_llm.gates.words import ROLES, split

_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*|[,;.\u2026\u2013\u2014-]")
_PAUSES: Final = frozenset(",;.\u2026\u2013\u2014-")
_HESITATIONS: Final = frozenset(split("um umm uh uhm er erm hmm oops ah eh"))
_ALONE: Final = frozenset(
    split("no wait sorry rather actually instead well meaning pardon correction nope")
)
"""Markers that are also plain words: they count with a pause or another marker beside them."""
_PHRASES: Final = (
    ("i", "mean"), ("i", "meant"), ("make", "that"), ("scratch", "that"), ("or", "rather"),
    ("excuse", "me"), ("strike", "that"), ("no", "wait"), ("no", "sorry"), ("oh", "no"),
    ("oh", "sorry"), ("or", "no"), ("or", "wait"), ("let", "me", "rephrase"), ("dang", "it"),
)  # fmt: skip
_JOINING: Final = frozenset(split("or oh but and so"))
_ASKS: Final = frozenset(split("what who whose whom which when where why how um uh sorry wait"))
_BARE_NO: Final = frozenset({"no"})
_NO_NOUNS: Final = frozenset(
    split(
        "is are am was were be been being have has had having do does did can could will would"
        " may might must should there with by in of on at to for from as than or and but if that"
        " contain contains need needs want wants get gets make makes take takes see show shows"
        " find use uses leave leaves give gives say says almost nearly practically virtually"
        " absolutely"
    )
)
_CHATTER: Final = dict.fromkeys(
    split("tell ask say says rather sorry forget mind guess think called doing change right")
)
_FEWEST_WORDS: Final = 4
_MOST_WORDS: Final = 200
_LONGEST_RUN: Final = 14


class Spoken:
    """The words of one text, and where a marker of self-correction ends."""

    __slots__ = ("ends", "marks", "spans", "text", "words")

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self.ends: set[int] = set()
        self.marks: set[int] = set()
        pauses: set[int] = set()
        for found in _WORD.finditer(text):
            token = found[0].lower()
            if token in _PAUSES:
                pauses.add(len(self.words))
            else:
                self.words.append(token)
                self.spans.append(found.span())
        if len(self.words) <= _MOST_WORDS:
            self._mark(pauses)

    def _mark(self, pauses: set[int]) -> None:
        """Note the places behind markers."""
        words = self.words
        for place, word in enumerate(words):
            if word in _HESITATIONS:
                self._end(place, place + 1)
            elif word in _ALONE:
                near = place in pauses or place + 1 in pauses or place in self.ends
                joined = place > 0 and words[place - 1] == "or"
                if near or joined or not _ASKS.isdisjoint(words[place + 1 : place + 2]):
                    self._end(place, place + 1)
            for phrase in _PHRASES:
                if phrase[0] == word and tuple(words[place : place + len(phrase)]) == phrase:
                    self._end(place, place + len(phrase))

    def _end(self, first: int, end: int) -> None:
        self.ends.add(end)
        self.marks.update(range(first, end))
        if first and self.words[first - 1] == "or":
            self.marks.add(first - 1)


def taken_back(said: Spoken, plain: Spoken) -> str:
    """Return the text of `said` without its markers and what they took back.

    What stands behind the last marker stays; before it goes what the other text does not have.
    """
    if not said.ends:
        return said.text
    last, known = max(said.ends), set(plain.words)
    pieces, start = [], 0
    for place, word in enumerate(said.words):
        if place in said.marks or (place < last and word not in known):
            pieces.append(said.text[start : said.spans[place][0]])
            start = said.spans[place][1]
    pieces.append(said.text[start:])
    return "".join(pieces)


_MARKER: Final = re.compile(
    r"\b(?:u+m+|u+h+m?|erm?|hmm|oops|ah|eh|no|nope|wait|sorry|rather|actually|instead|well|meaning"
    r"|pardon|correction|i mean|i meant|make that|scratch that|excuse me|strike that|dang it"
    r"|let me rephrase)\b",
    re.IGNORECASE,
)


def may_be_spoken(text: str) -> bool:
    """Tell whether a text holds a word that could mark a self-correction."""
    return _MARKER.search(text) is not None


def corrected(said: Spoken, plain: Spoken) -> bool:
    """Tell whether `said` is `plain` with one self-correction, or with hesitations alone.

    The words taken out must end with a marker and begin with what was said first by mistake; what
    stands behind the marker stays.
    """
    long, short = said.words, plain.words
    more = len(long) - len(short)
    if not (said.ends or "no" in long) or not 0 < more <= _LONGEST_RUN or not short:
        return False
    start = 0
    while start < len(short) and long[start] == short[start]:
        start += 1
    kept = 0
    while kept < len(short) - start and long[-1 - kept] == short[-1 - kept]:
        kept += 1
    if start + kept < len(short):
        return False
    bare = _BARE_NO if kept > 1 and len(short) >= _FEWEST_WORDS else frozenset()
    while True:  # the same run can be cut out in several places: "the [Norse no the] Normans"
        end = start + more
        ends = end in said.ends or (more > 1 and _denies(long, end, bare))
        if ends and end < len(long) and _begins(said, start, end):
            return True
        if start == 0 or long[start - 1] != long[end - 1]:
            return False
        start -= 1


def other_than_said(said: Spoken, plain: Spoken) -> bool:
    """Tell whether `plain` asks what `said` takes back, and not what it says instead.

    All words of `plain` stand in `said`, the last one before the marker among them, and a content
    word behind the marker does not stand in `plain`.
    """
    if not said.ends or not set(plain.words) <= set(said.words):
        return False
    last, known = max(said.ends), set(plain.words)
    late = said.words[last:]
    told = [word for word in late if word not in known and word not in ROLES | _CHATTER.keys()]
    first = last
    while first - 1 in said.marks:
        first -= 1
    before = [word for word in said.words[:first] if word not in ROLES][-1:]
    return bool(told) and bool(before) and before[0] in known and before[0] not in late


def _denies(words: list[str], end: int, bare: frozenset[str]) -> bool:
    """Tell whether a "no" without pauses takes back the noun before it: "the Normans no the"."""
    return words[end - 1] in bare and words[end - 2] not in _NO_NOUNS


def _begins(said: Spoken, start: int, end: int) -> bool:
    """Tell whether a run holds something before its marker, or is a hesitation alone."""
    run = said.words[start:end]
    if all(word in _HESITATIONS for word in run):
        return True
    first = min((place for place in said.ends if place > start), default=end)
    return first - start > 1 and run[0] not in _JOINING
