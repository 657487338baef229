"""Splitting a question into tokens: words, names, numbers with units, and literals."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from aegis_llm.gates.words import ROLES, UNITS, split

_EDGES: Final = (
    ".,;:!?\"'()[]{}*_`-<>=|~^\\+/&\u2013\u2014\u2026\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019"
    "%\u00b7\u2022\u00bf\u00a1"
)
_SOFT_EDGES: Final = ".,;:!?\"'()[]{}*`\u201c\u201d\u2018\u2019"
_STOPS: Final = frozenset(".,;:!?")
_SENTENCE_ENDS: Final = frozenset(".!?:")
_NUMBER: Final = re.compile(
    "([\u00a3\u20ac$\u00a5\u20b9]?)(-?\\d[\\d,]*(?:\\.\\d+)?)(%|[A-Za-z\u00b0]{0,6})"
)
_AGED: Final = re.compile(r"(\d+)-([a-z]+)(?:-([a-z]+))?")
_MARKED: Final = re.compile(r"(?:--?|[/~$%\\@]|\.{1,2}/|\.)[^\W\d_]")
_SEPARATORS: Final = "-/\u2013\u2014"
_MOST_PARTS: Final = 4
_ORDINAL: Final = frozenset({"st", "nd", "rd", "th"})
_CLITICS: Final = {"ll": "will", "re": "are", "ve": "have", "m": "am", "d": "would", "s": "is"}
_HOSTS: Final = frozenset(split("what where who how when why that it there here he she let"))
_NEGATED: Final = {"can": "can", "won": "will", "shan": "shall"}
_NAMES_TOO: Final = frozenset({"will", "may"})
_TITLE_SHARE: Final = 0.6
_FEW: Final = 4

WORD, NAME, NUMBER, LITERAL, CONTRACTED, STOP = range(6)

Token = tuple[str, int, str]
"""The text in lower case, what it is, and the unit of a number."""


def tokens_of(text: str) -> list[Token]:
    """Split a text into tokens; punctuation remains only as `STOP` between clauses."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).replace("\u2019", "'")
    found: list[Token] = []
    starts = True
    capitals = 0
    for chunk in text.split():
        if chunk.isalpha() and chunk.islower():
            found.append((chunk, WORD, ""))
            starts = False
            continue
        core = chunk.strip(_EDGES)
        capitals += core[:1].isupper()
        found.extend(_pieces(core, chunk, found, starts=starts))
        if chunk[-1] in _STOPS:
            found.append(("", STOP, ""))
            starts = chunk[-1] in _SENTENCE_ENDS
        elif core:
            starts = False
    if capitals > _TITLE_SHARE * len(found) and (capitals >= _FEW or text.isupper()):
        found = [(word, WORD if kind == NAME else kind, unit) for word, kind, unit in found]
    return found


def _pieces(core: str, chunk: str, found: list[Token], *, starts: bool) -> list[Token]:
    """Return the tokens of what stands between two spaces; `core` is it without punctuation."""
    marked = chunk.lstrip("(\"'`[{\u201c\u2018")
    if _MARKED.match(marked):
        return [(marked.rstrip(_SOFT_EDGES), LITERAL, "")]
    if core.isalpha():
        return [_word(core, found, starts=starts)]
    if core:
        return _mixed(core, chunk, starts=starts)
    if "%" in chunk:
        return [("%", WORD, "")]
    return [] if chunk.isascii() else [(chunk, LITERAL, "")]


def _word(core: str, found: list[Token], *, starts: bool) -> Token:
    """Return a plain word; a capital makes it a name unless its place explains the capital."""
    word = core.casefold()
    if not core[0].isupper():
        return word, WORD, ""
    if core == "I":  # the pronoun, or a numeral after a name
        return word, NAME if found and found[-1][1] == NAME else WORD, ""
    if starts:
        return word, NAME if len(core) > 1 and core.isupper() else WORD, ""
    usual = word in ROLES and word not in _NAMES_TOO and not core.isupper()
    return word, WORD if usual else NAME, ""


def _mixed(core: str, chunk: str, *, starts: bool) -> list[Token]:
    """Return the tokens of a piece that is not plain letters."""
    kind = NAME if core[0].isupper() and not starts else WORD
    letters = core.replace("'", "")
    if letters.isalpha():
        return _apostrophe(core.casefold(), kind)
    number = _NUMBER.fullmatch(chunk.strip(_SOFT_EDGES)) or _NUMBER.fullmatch(core)
    if number is not None:
        currency, digits, ending = number.groups()
        ending = ending.lower()
        unit = UNITS.get(currency or ending, "")
        if ending in _ORDINAL:
            return [(digits + "th", NUMBER, "")]
        if unit or not ending:
            return [(digits.replace(",", ""), NUMBER, unit)]
    aged = _AGED.fullmatch(core)
    if aged is not None:
        digits, *parts = aged.groups()
        return [(digits, NUMBER, ""), *((part, WORD, "") for part in parts if part)]
    dotted = core.replace(".", "")
    if dotted.isalpha() and len(dotted) * 2 - 1 == len(core):
        return [(dotted.casefold(), NAME, "")]
    for mark in _SEPARATORS:
        if mark in core and letters.replace(mark, "").isalpha() and core.count(mark) < _MOST_PARTS:
            kind = NAME if mark == "/" else kind  # a part of a path has no forms
            return [(part, kind, "") for part in letters.casefold().split(mark) if part]
    inner_capital = any(char.isupper() for char in core[1:])
    return [(core if inner_capital else core.casefold(), LITERAL, "")]


def _apostrophe(core: str, kind: int) -> list[Token]:
    """Return the word and what an apostrophe adds to it."""
    host, _, clitic = core.rpartition("'")
    word = host.replace("'", "")
    if clitic == "t" and host.endswith("n"):
        return [(_NEGATED.get(host, host[:-1]), CONTRACTED, "")]
    if clitic == "s" and host not in _HOSTS:
        return [(word, kind, ""), ("'s", WORD, "")]
    if clitic in _CLITICS:
        return [(word, kind, ""), (_CLITICS[clitic], WORD, "")]
    return [(core.replace("'", ""), kind, "")]
