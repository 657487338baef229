"""Reading one question into the facts that the gates compare."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from aegis_llm.gates.phrases import plainer
from aegis_llm.gates.synonyms import AGENTS, CANONICAL
from aegis_llm.gates.text import CONTRACTED, LITERAL, NAME, NUMBER, STOP, WORD, Token, tokens_of
from aegis_llm.gates.words import CONTENT, MONTHS, NUMERAL, OPENINGS, ROLES, UNITS, split

_SYMBOLS: Final = re.compile(r"[{}\[\]<>=*|^~\\+#]|(?<=[\d)])!|(?<![^\W\d_])[^\W\d_]!")
_QUOTED: Final = re.compile(
    r'"([^"]+)"|\u201c([^\u201c\u201d]+)\u201d|\u00ab([^\u00ab\u00bb]+)\u00bb'
    r"|(?<!\w)['\u2018]([^'\u2018\u2019]+)['\u2019](?!\w)"
)
_CODE: Final = re.compile(r"`([^`]+)`")
_INVERTED: Final = frozenset({"when", "where"})
_IDENTIFIED: Final = frozenset(
    split(
        "table column file header variable function class method key field package module command"
    )
)
_CALLED: Final = frozenset({"called", "named"})
_NOT_PREPOSITIONS: Final = frozenset({"", ",", "&", "if", "when", "where", "while"})
_OBJECTS: Final = frozenset(split("me us him them you"))
_WHO: Final = frozenset({"who", "whom"})
_SPACED_UNITS: Final = frozenset(UNITS) - {"in"}
_LAST_LATIN: Final = "\u024f"
_PLAIN: Final = (CONTENT, "")
_END: Final[Token] = ("", STOP, "")


class Facts:
    """What one question says, in the terms that two questions are compared in.

    `words` are the content words in order, each under the name of its group, `heads` the
    preposition or joiner before each of them, `said` every word as it was written. A negation
    carries the place in `words` that it governs, -1 where a contraction leaves that open.
    """

    __slots__ = (
        "_governed",
        "_head",
        "_joinable",
        "_naming",
        "_opening",
        "dangling",
        "fixed",
        "heads",
        "kinds",
        "literals",
        "names",
        "negations",
        "numbers",
        "people",
        "plain",
        "quantifiers",
        "quotes",
        "said",
        "scripts",
        "symbols",
        "text",
        "words",
    )

    def __init__(self, text: str) -> None:
        self.text = text
        self.words: list[str] = []
        self.heads: list[str] = []
        self.said: set[str] = set()
        self.names: set[str] = set()
        self.literals: list[str] = []
        self.numbers: list[tuple[str, str]] = []
        self.negations: list[tuple[str, int]] = []
        self.quantifiers: dict[str, tuple[int, int]] = {}
        self.fixed: set[str] = set()
        self.plain: set[str] = set()
        self.dangling: set[str] = set()
        self.people: list[str] = []
        self.kinds: list[str] = []
        self.scripts = frozenset() if text.isascii() else _scripts(text)
        self.symbols = "".join(_SYMBOLS.findall(text))
        self.quotes = sorted("".join(found) for found in _QUOTED.findall(text))
        if "`" in text:
            self.literals.extend(_CODE.findall(text))
        self._head = ""
        self._governed = False
        self._opening = True
        self._joinable = False
        self._naming = False
        self._read(plainer(tokens_of(text)))

    def _read(self, tokens: list[Token]) -> None:
        tokens.append(_END)
        said = self.said
        measured = False
        for index, (word, kind, unit) in enumerate(tokens):
            if measured:
                measured = False
                continue
            if kind == STOP:
                self._dangle()
                self._naming = False
                self._head, self._opening, self._joinable = ",", True, False
                continue
            role, value = ROLES.get(word, _PLAIN)
            if kind != WORD:
                if kind in (NAME, LITERAL):
                    role = CONTENT
                elif kind == NUMBER:
                    role, value = NUMERAL, word
                elif kind == CONTRACTED:
                    self.negations.append(("not", -1))
            said.add(word)
            if role == CONTENT:
                self._content(word, kind)
            elif role == NUMERAL:
                measured = self._number(value, unit, tokens[index + 1][0])
            else:
                self._naming = False
                _READERS[role](self, word, value, tokens[index + 1])

    def _content(self, word: str, kind: int) -> None:
        if kind == LITERAL:
            self.literals.append(word)
        elif self._naming and word not in _CALLED:
            self.fixed.add(word)
        else:
            self.plain.add(word)
            self._naming = word in _IDENTIFIED or (self._naming and word in _CALLED)
            if word in AGENTS and self.kinds[:1] == ["who"]:
                word = AGENTS[word]
            word = CANONICAL.get(word, word)
            if kind == NAME:
                self.names.add(word)
        self._add(word)

    def _add(self, word: str) -> None:
        self.words.append(word)
        self.heads.append(self._head)
        if self._head:
            self._governed = self._head not in (",", "&")
            self._head = ""
        self._opening = False
        self._joinable = True

    def _dangle(self) -> None:
        """Note a preposition that governs no content word."""
        if self._head not in _NOT_PREPOSITIONS:
            self.dangling.add(self._head)

    def _number(self, value: str, unit: str, following: str) -> bool:
        """Record a number; return whether the next word is its unit and so has been read."""
        measured = not unit and following in _SPACED_UNITS
        if measured:
            unit = UNITS[following]
        if value.endswith("th") and not MONTHS.keys().isdisjoint((following, *self.words[-1:])):
            value = value[:-2]  # the day of a month
        self.numbers.append((value, unit))
        self._add(value)
        return measured

    def _nothing(self, word: str, value: str, following: Token) -> None:
        self._opening = False
        if value:
            self._unjoin()

    def _auxiliary(self, word: str, value: str, following: Token) -> None:
        if word == "do" and following[1] == STOP:
            self._add(word)
        elif self._opening:
            self.kinds.append("whether " + OPENINGS[word])
        elif self._governed and not self._head:
            self._head = ","  # the verb ends the phrase that a preposition opened
        self._opening = False
        self._unjoin()

    def _unjoin(self) -> None:
        """Note that a joiner joins clauses, not two words that could change places."""
        self._joinable = False
        if self._head == "&":
            self._head = ","

    def _asks(self, word: str, value: str, following: Token) -> None:
        """Record the kind of question, unless the word only opens a subordinate clause."""
        if word in _INVERTED:
            if self._opening and following[0] in OPENINGS:
                self.kinds.append(word)
            else:
                self._head = word
        elif self._opening or (not self.kinds and word not in _WHO):
            self.kinds.append(value or word)
            if self.words and not self._head:
                self._head = ","
        self._opening = False

    def _preposition(self, word: str, value: str, following: Token) -> None:
        self._head = value

    def _negation(self, word: str, value: str, following: Token) -> None:
        self.negations.append((value, len(self.words)))

    def _quantifier(self, word: str, value: str, following: Token) -> None:
        self.quantifiers[value] = (len(self.words), len(self.people))
        self._opening = False

    def _person(self, word: str, value: str, following: Token) -> None:
        self.people.append(value)
        if word in _OBJECTS:
            self._dangle()
        self._opening = False
        self._unjoin()

    def _joiner(self, word: str, value: str, following: Token) -> None:
        self._head = "&" if self._joinable else ","
        self._opening = True


_READERS: Final[tuple[Callable[[Facts, str, str, Token], None], ...]] = (
    Facts._nothing,
    Facts._auxiliary,
    Facts._asks,
    Facts._preposition,
    Facts._negation,
    Facts._quantifier,
    Facts._person,
    Facts._joiner,
)
"""What to do for each role, in the order in which the roles are numbered."""


def _scripts(text: str) -> frozenset[str]:
    """Return the alphabets other than Latin that a text uses."""
    letters = (char for char in set(text) if char > _LAST_LATIN and char.isalpha())
    return frozenset(unicodedata.name(char, "").partition(" ")[0] for char in letters)
