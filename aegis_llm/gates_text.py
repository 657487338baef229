"""Reading one question into the facts that the gates compare."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from aegis_llm.gates_words import UNITS, words

_EDGES: Final = ".,;:!?\"'()[]{}…“”„«»‘’*_`-–—<>=|~^\\+/&\u00b7\u2022\u00bf\u00a1"
_STOPS: Final = frozenset(".,;:!?")
_SENTENCE_ENDS: Final = frozenset(".!?:")
_NUMBER: Final = re.compile(r"([£€$¥₹]?)(-?\d[\d,]*(?:\.\d+)?)(%|[A-Za-z°]{0,6})")
_ORDINAL: Final = frozenset({"st", "nd", "rd", "th"})
_CLITICS: Final = {"ll": "will", "re": "are", "ve": "have", "m": "am", "d": "would", "s": "is"}
_HOSTS: Final = frozenset(words("what where who how when why that it there here he she let"))
_NEGATED: Final = {"can": "can", "won": "will", "shan": "shall"}
_TITLE_SHARE: Final = 0.6
_FEW_WORDS: Final = 4

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
        core = chunk.strip(_EDGES)
        if core.isalpha():
            if core[0].isupper():
                capitals += 1
                kind = WORD if starts or core == "I" else NAME
                word = core if core.isupper() and kind == NAME else core.lower()
                found.append((word, kind, ""))
            else:
                found.append((core.casefold(), WORD, ""))
        elif core:
            _split(core, chunk, found, starts=starts)
        elif not chunk.isascii():
            found.append((chunk, LITERAL, ""))
        if chunk[-1] in _STOPS:
            found.append(("", STOP, ""))
            starts = chunk[-1] in _SENTENCE_ENDS
        elif core:
            starts = False
    if capitals >= _FEW_WORDS and capitals > _TITLE_SHARE * len(found):
        found = [(t.lower(), WORD, u) if k == NAME else (t, k, u) for t, k, u in found]
    return found


def _split(core: str, chunk: str, found: list[Token], *, starts: bool) -> None:
    """Add the tokens of a piece that is not plain letters."""
    kind = WORD if starts or not core[0].isupper() else NAME
    letters = core.replace("'", "")
    if letters.isalpha():
        host, _, clitic = core.lower().rpartition("'")
        if clitic == "t" and host.endswith("n"):
            found.append((_NEGATED.get(host, host[:-1]), CONTRACTED, ""))
        elif clitic == "s" and host not in _HOSTS:
            found.append((host.replace("'", ""), kind, ""))
            found.append(("'s", WORD, ""))
        elif clitic in _CLITICS:
            found.append((host.replace("'", ""), kind, ""))
            found.append((_CLITICS[clitic], WORD, ""))
        else:
            found.append((letters.lower(), kind, ""))
        return
    number = _NUMBER.fullmatch(chunk.strip(".,;:!?\"'()[]{}"))
    if number is not None:
        before, digits, after = number.groups()
        unit = UNITS.get(before or after.lower(), "")
        if not after or unit or after.lower() in _ORDINAL:
            suffix = "th" if after.lower() in _ORDINAL else ""
            found.append((digits.replace(",", "") + suffix, NUMBER, unit))
            return
    dotted = core.replace(".", "")
    if dotted.isalpha() and len(dotted) * 2 - 1 == len(core):
        found.append((dotted.upper(), NAME, ""))
        return
    for mark in "-\u2013\u2014/":
        if mark in core and letters.replace(mark, "").isalpha() and core.count(mark) < _FEW_WORDS:
            parts = (part.replace("'", "").lower() for part in core.split(mark))
            found.extend((part, kind, "") for part in parts if part)
            return
    found.append((core if any(c.isupper() for c in core[1:]) else core.casefold(), LITERAL, ""))
