"""Spoken self-corrections: "in what country is Norse, no wait, Normandy" asks about Normandy.

A correction is taken out only where what remains is the other question word for word, so that
nothing is guessed: the two texts differ by one run of words that ends with a marker. Hesitations
("um") take nothing back; they are passed over.
"""

from __future__ import annotations

import re
from typing import Final

from aegis_llm.gates.words import ROLES, split

_TOKEN: Final = re.compile(
    r"[^\W_]+(?:['\u2019-][^\W_]+)*|[,;.\u2026\u2013\u2014]|(?<=\s)-(?=\s)|-{2,}"
)
_PAUSES: Final = frozenset((",", ";", ".", "\u2026", "\u2013", "\u2014", "-", "--"))
_HESITATIONS: Final = frozenset(split("um umm uh uhm hmm oops"))
_SOFT_HESITATIONS: Final = frozenset(split("er erm ah eh"))
"""Sounds that are also words: they count beside a pause."""
_ALONE: Final = frozenset(split("no wait sorry rather actually instead nope"))
"""Markers that are also plain words: they count with a pause or another marker beside them."""
_PHRASES: Final = (
    ("i", "mean"), ("i", "meant"), ("make", "that"), ("scratch", "that"), ("or", "rather"),
    ("excuse", "me"), ("strike", "that"), ("no", "wait"), ("no", "sorry"), ("oh", "no"),
    ("oh", "sorry"), ("no", "actually"), ("no", "rather"), ("no", "i", "mean"), ("or", "no"),
    ("or", "wait"), ("let", "me", "rephrase"), ("dang", "it"),
)  # fmt: skip
_JOINING: Final = frozenset(split("or oh but and so"))
_ASKS: Final = frozenset(split("what who whose whom which when where why how"))
_AGAIN: Final = _ASKS | frozenset(split("sorry wait no"))
_CONDITIONS: Final = frozenset(
    split(
        "if as without under unless when while in on at for from with by since until before after"
        " during within over above below to of because despite given assuming"
    )
)
"""Words that open a circumstance: "In Texas, sorry, can I ..." takes nothing back."""
_ARTICLES: Final = frozenset(split("a an the"))
_NO_NOUNS: Final = frozenset(
    split(
        "is are am was were be been being have has had having do does did can could will would"
        " may might must should there with by in of on at to for from as than or and but if that"
        " little few some yes one"
    )
)
_SAY_SORRY: Final = frozenset(
    split("say says said am is are was were be being feel feels felt i'm so very really too the a")
)
_NO_MORE: Final = frozenset(split("longer more one other such less way"))
_CHATTER: Final = frozenset(
    split("tell ask say says rather sorry forget mind guess think called doing change right")
)
_FEWEST_WORDS: Final = 4
_MOST_WORDS: Final = 200
_LONGEST_RUN: Final = 14
_MARKER: Final = re.compile(
    r"\b(?:u+m+|u+h+m?|erm?|hmm|oops|ah|eh|no|nope|wait|sorry|rather|actually|instead"
    r"|i mean|i meant|make that|scratch that|excuse me|strike that|dang it|let me rephrase)\b",
    re.IGNORECASE,
)


def may_be_spoken(text: str) -> bool:
    """Tell whether a text holds a word that could mark a self-correction or a hesitation."""
    return _MARKER.search(text) is not None


class Spoken:
    """The words of one text without its hesitations, and where a marker of correction ends."""

    __slots__ = ("ends", "hesitant", "marks", "pauses", "spans", "text", "words")

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self.ends: set[int] = set()
        self.marks: set[int] = set()
        self.hesitant: list[tuple[int, int]] = []
        self.pauses: set[int] = set()
        found = list(_TOKEN.finditer(text))
        pauses: set[int] = set()
        for place, match in enumerate(found):
            token = match[0].lower()
            if token in _PAUSES:
                pauses.add(len(self.words))
            elif self._hesitates(match[0], found[max(0, place - 1) : place + 2]):
                self.hesitant.append(match.span())
                self.pauses.add(len(self.words))
                pauses.add(len(self.words))
            else:
                self.words.append(token)
                self.spans.append(match.span())
        if len(self.words) <= _MOST_WORDS:
            self._mark(pauses)

    @staticmethod
    def _hesitates(word: str, around: list[re.Match[str]]) -> bool:
        """Tell whether a word is a sound: not in capitals, as "ER nurses" are none."""
        if word.isupper():
            return False
        if word.lower() in _HESITATIONS:
            return True
        paused = any(match[0] in _PAUSES for match in around)
        return paused and word.lower() in _SOFT_HESITATIONS

    def _mark(self, pauses: set[int]) -> None:
        """Note the places behind markers."""
        words = self.words
        for place, word in enumerate(words):
            if word in _ALONE:
                near = place in pauses or place + 1 in pauses or place in self.ends
                if word == "sorry" and place and words[place - 1] not in _SAY_SORRY:
                    near = True
                joined = (
                    place > 1 and words[place - 1] == "or" and words[place - 2] not in _NO_NOUNS
                )
                if near or joined or not _AGAIN.isdisjoint(words[place + 1 : place + 2]):
                    self._end(place, place + 1)
            for phrase in _PHRASES:
                if place and phrase == ("or", "no") and words[place - 1] in _NO_NOUNS:
                    continue  # "little or no rain"
                if phrase[0] == word and tuple(words[place : place + len(phrase)]) == phrase:
                    self._end(place, place + len(phrase))

    def _end(self, first: int, end: int) -> None:
        self.ends.add(end)
        self.marks.update(range(first, end))
        if first and self.words[first - 1] == "or":
            self.marks.add(first - 1)

    def cluster(self) -> tuple[int, int]:
        """Return where the last run of markers begins and ends."""
        last = first = max(self.ends)
        while first - 1 in self.marks:
            first -= 1
        return first, last


def taken_back(said: Spoken, plain: Spoken) -> str:
    """Return the text of `said` without hesitations, markers, and what the last marker took back.

    That are the words right before the marker which the other text does not have; nothing, where
    nothing is said instead behind it.
    """
    gone = set(said.marks)
    if said.ends:
        first, last = said.cluster()
        known = set(plain.words)
        late = said.words[last:]
        if late and late[0] not in _JOINING and not known.isdisjoint(late):
            start = first
            while start > 0 and said.words[start - 1] not in known:
                start -= 1
            if start > 0 or said.words[0] not in _CONDITIONS:
                gone.update(range(start, first))
    cut = [said.spans[place] for place in gone] + said.hesitant
    pieces, start = [], 0
    for begin, end in sorted(cut):
        pieces.append(said.text[start:begin])
        start = end
    pieces.append(said.text[start:])
    return "".join(pieces)


def corrected(said: Spoken, plain: Spoken) -> bool:
    """Tell whether `said` is `plain` with one self-correction, or with hesitations alone.

    The words taken out must end with a marker and begin with what was said first by mistake; what
    stands behind the marker stays.
    """
    long, short = said.words, plain.words
    if long == short:
        return bool(said.hesitant and short)
    more = len(long) - len(short)
    if not (said.ends or said.pauses or "no" in long) or not 0 < more <= _LONGEST_RUN or not short:
        return False
    start = 0
    while start < len(short) and long[start] == short[start]:
        start += 1
    kept = 0
    while kept < len(short) - start and long[-1 - kept] == short[-1 - kept]:
        kept += 1
    if start + kept < len(short):
        return False
    while True:  # the same run can be cut out in several places: "the [Norse no the] Normans"
        end = start + more
        ends = end in said.ends or (more > 1 and _denies(long, start, end))
        if end in said.pauses and end < len(long):
            ends = ends or _anew(long[start], long[end])
        if ends and end < len(long) and long[end] not in _JOINING and _begins(said, start, end):
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
    if _drops_condition(said, plain):
        return True
    first, last = said.cluster()
    known, late = set(plain.words), said.words[last:]
    told = [word for word in late if word not in known and word not in ROLES]
    before = [word for word in said.words[:first] if word not in ROLES][-1:]
    if not before or before[0] not in known or before[0] in late:
        return False
    return not _CHATTER.issuperset(told)


def _drops_condition(said: Spoken, plain: Spoken) -> bool:
    """Tell whether `plain` lacks the circumstance that opens `said`: "If pregnant, sorry, ..."."""
    first, last = said.cluster()
    opening = said.words[:first]
    if not opening or opening[0] not in _CONDITIONS or not _ASKS.isdisjoint(opening):
        return False
    told = {word for word in opening if word not in ROLES}
    return told.isdisjoint(plain.words) and said.words[last : last + 1] != opening[:1]


def _denies(words: list[str], start: int, end: int) -> bool:
    """Tell whether a "no" without pauses takes back a noun: "an urn no a vase in the hall".

    A small word follows, so "no sugar" stays a negation.
    """
    if words[end - 1] != "no" or words[end - 2] in _NO_NOUNS or len(words) < _FEWEST_WORDS:
        return False
    following = words[end] if end < len(words) else ""
    return _anew(words[start], following) or (following in ROLES and following not in _NO_MORE)


def _anew(first: str, following: str) -> bool:
    """Tell whether what follows begins as what was said by mistake, or asks anew."""
    if first in _ARTICLES and following in _ARTICLES:
        return True
    return first == following or following in _ASKS


def _begins(said: Spoken, start: int, end: int) -> bool:
    """Tell whether a run holds something before its marker that could be a mistake.

    A circumstance that opens the text is none: "In Texas, sorry, can I ...".
    """
    run = said.words[start:end]
    if start == 0 and run[0] in _CONDITIONS and _ASKS.isdisjoint(run):
        return False
    if end in said.pauses:
        return run[0] not in _JOINING
    first = min((place for place in said.ends if place > start), default=end)
    return first - start > 1 and run[0] not in _JOINING
