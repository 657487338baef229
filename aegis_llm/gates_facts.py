"""Reading one question into the facts that the gates compare."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from aegis_llm.gates_phrases import PHRASES
from aegis_llm.gates_synonyms import CANONICAL
from aegis_llm.gates_text import CONTRACTED, LITERAL, NAME, NUMBER, STOP, WORD, Token, tokens_of
from aegis_llm.gates_words import (
    ASKS,
    AUXILIARY,
    JOINER,
    MONTHS,
    NEGATION,
    NUMERAL,
    OPENINGS,
    PERSON,
    PREPOSITION,
    QUANTIFIER,
    ROLES,
    UNITS,
)

_SYMBOLS: Final = re.compile(r"[{}\[\]<>=*|^~\\+#]")
_QUOTED: Final = re.compile(r'"([^"]+)"|“([^“”]+)”|«([^«»]+)»|`([^`]+)`')
_QUOTES: Final = frozenset('"“«`')
_INVERTED: Final = frozenset({"when", "where"})
_CONTENT: Final = (-1, "")
_SPACED_UNITS: Final = frozenset(UNITS) - {"in"}
_LAST_LATIN: Final = "\u024f"
_END: Final[Token] = ("", STOP, "")


class Facts:
    """What one question says, in the terms that two questions are compared in.

    `words` are the content words in order, each under the name of its group, `heads` the
    preposition or joiner before each of them. A negation carries the place in `words` that it
    governs, -1 where a contraction leaves that open.
    """

    __slots__ = (
        "heads",
        "kinds",
        "literals",
        "names",
        "negations",
        "numbers",
        "people",
        "quantifiers",
        "quotes",
        "said",
        "scripts",
        "symbols",
        "words",
    )

    def __init__(self, text: str) -> None:
        self.said: set[str] = set()
        self.words: list[str] = []
        self.heads: list[str] = []
        self.names: set[str] = set()
        self.literals: list[str] = []
        self.numbers: list[tuple[str, str]] = []
        self.negations: list[tuple[str, int]] = []
        self.quantifiers: set[str] = set()
        self.people: list[str] = []
        self.kinds: list[str] = []
        self.scripts = frozenset() if text.isascii() else _scripts(text)
        self.symbols = "".join(_SYMBOLS.findall(text))
        self.quotes: list[str] = []
        if not _QUOTES.isdisjoint(text):
            self.quotes = sorted("".join(found).casefold() for found in _QUOTED.findall(text))
        self._read(_rewritten(tokens_of(text)))

    def _read(self, tokens: list[Token]) -> None:
        said, words, heads = self.said, self.words, self.heads
        head = ""
        opening = True
        tokens.append(_END)
        for index, (word, kind, unit) in enumerate(tokens):
            if kind == STOP:
                head, opening = ",", True
                continue
            if kind == WORD:
                role, value = ROLES.get(word, _CONTENT)
            elif kind == NUMBER:
                role, value = NUMERAL, word
            elif kind == CONTRACTED:
                self.negations.append(("not", -1))
                role, value = ROLES.get(word, _CONTENT)
            else:
                role, value = -1, ""
            if kind != LITERAL:
                said.add(word)
            if role == -1:
                if kind == NAME:
                    word = CANONICAL.get(word.lower(), word.lower())
                    self.names.add(word)
                elif kind == LITERAL:
                    self.literals.append(word)
                else:
                    word = CANONICAL.get(word, word)
                words.append(word)
                heads.append(head)
                head, opening = "", False
            elif role == PREPOSITION:
                head = word
            elif role == ASKS:
                self._ask(word, tokens[index + 1][0], opening)
                if not opening and word in _INVERTED:
                    head = word
                opening = False
            elif role == AUXILIARY:
                if opening:
                    self.kinds.append("whether " + OPENINGS[word])
                opening = False
            elif role == NEGATION:
                self.negations.append((value, len(words)))
            elif role == QUANTIFIER:
                self.quantifiers.add(value)
                opening = False
            elif role == PERSON:
                self.people.append(value)
                opening = False
            elif role == JOINER:
                head, opening = "&", True
            elif role == NUMERAL:
                self._number(value, unit, head, tokens[index + 1])
                head, opening = "", False
            else:
                opening = False

    def _ask(self, word: str, following: str, opening: bool) -> None:
        """Record the kind of question, unless the word only opens a subordinate clause."""
        if word in _INVERTED or word in ("who", "whose", "whom"):
            if opening and (word not in _INVERTED or following in OPENINGS):
                self.kinds.append("who" if word in ("who", "whom") else word)
        elif opening or not self.kinds:
            self.kinds.append("what" if word == "which" else word)

    def _number(self, value: str, unit: str, head: str, following: Token) -> None:
        """Record a number with its unit, and a day of a month under the month."""
        unit = unit or (UNITS[following[0]] if following[0] in _SPACED_UNITS else "")
        words = self.words
        if words and not unit and words[-1] in MONTHS:
            value = value.removesuffix("th")
        elif following[0] in MONTHS:
            value = value.removesuffix("th")
            head = following[0]
        self.numbers.append((value, unit))
        words.append(value)
        self.heads.append(head)


def _scripts(text: str) -> frozenset[str]:
    """Return the alphabets other than Latin that a text uses."""
    letters = (char for char in set(text) if char > _LAST_LATIN and char.isalpha())
    return frozenset(unicodedata.name(char, "").partition(" ")[0] for char in letters)


def _rewritten(tokens: list[Token]) -> list[Token]:
    """Replace the turns of phrase that have a plainer form."""
    if not any(token[0] in PHRASES for token in tokens):
        return tokens
    found: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        for rest, plain in PHRASES.get(token[0], ()):
            end = index + 1 + len(rest)
            if tuple(word for word, _, _ in tokens[index + 1 : end]) == rest:
                found.extend((word, WORD, "") for word in plain)
                index = end
                break
        else:
            found.append(token)
            index += 1
    return found
