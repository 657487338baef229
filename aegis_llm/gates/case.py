"""Letters in upper and lower case: where they tell two questions apart."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

from aegis_llm.gates.words import ROLES, split

_CLOSING: Final = ".,;:!?)]}\u2026"
_OPENING: Final = ",;:!?([{\u00bf\u00a1"
_SENTENCE_ENDS: Final = (".", "!", "?", ":", "\u2026")
_DASHES: Final = "-\u2010\u2011\u2013\u2014/&"
_CLITIC: Final = re.compile(r"['\u2019](?:s|t|ll|re|ve|m|d)$", re.IGNORECASE)
_MEASURED: Final = re.compile(r"[\u00a3\u20ac$\u00a5\u20b9]?-?\d[\d.,]*([^\W\d_]*)")
_LONGEST_UNIT: Final = 4
_PLAIN_UNITS: Final = frozenset(
    split(
        "am pm day days week hour hours hr hrs min mins sec secs year usd eur gbp st nd rd th mph"
    )
)
_TITLE_SHARE: Final = 0.6
_FEW: Final = 4
_SHORTEST_NAME: Final = 3
_NAMES_TOO: Final = frozenset({"will", "may"})

_TWO_MEANINGS: Final = frozenset(
    split(
        "alexa amazon angular apple ash august baker bard basic bath bean bill blue bolt boot bush"
        " cat chad char chase china chrome claude cloud cook cork crow dash delphi delta django"
        " drew edge eclipse elastic electron elm ember excel express falcon"
        " fiddler flask flutter fortune frank gates gem git go grace grant ghost gulp guinea hack"
        " harry hive hope hunter ice inca ion iris ivy jack jam java jersey job jordan julia"
        " joy king kite lance lean lent mali mandarin march mark mars may mercury mill moon moss"
        " net nick nice node notion numbers office oracle orange outlook page pages pat paste"
        " penny pig polish pole poles pop powder prolog python rails raven react reading ray rich"
        " rob robin rose ruby rust sage sandy scratch shell signal slack snap solid spark"
        " spring square stack storm sue sun svelte swift swagger swede target teams terry tide"
        " tiger tile titan trump turkey unity venus visa violet viola wales washer web will win"
        " windows wolf wood word words work yarn zoom turing lima rugby hamburg hamburger"
        " frankfurter bordeaux champagne cologne earth god catholic democratic democrat republican"
        " liberal conservative labor labour green internet state states house senate church"
        " bible sol west east north south english french danish swiss german russian indian"
        " brazil panama ottoman afghan cheddar lethe aids"
    )
)
"""Words that mean one thing in lower case and another with a capital."""

_ONE_MEANING: Final = frozenset(
    split(
        "africa america asia australia austria belgium britain bulgaria canada croatia cuba"
        " denmark egypt england estonia ethiopia europe finland france germany greece hungary"
        " iceland india indonesia iran iraq ireland israel italy japan kenya latvia lithuania"
        " malaysia mexico morocco nepal netherlands nigeria norway pakistan peru philippines"
        " poland portugal romania russia scotland serbia singapore slovakia slovenia spain sweden"
        " switzerland syria thailand tunisia ukraine vietnam berlin london paris madrid munich"
        " tokyo moscow chicago texas california florida january february april june july september"
        " october november december monday tuesday wednesday thursday friday saturday sunday"
        " spanish italian japanese google facebook youtube wikipedia whatsapp instagram twitter"
        " linkedin microsoft github gitlab javascript typescript kubernetes linux ubuntu debian"
        " fedora macos ios iphone ipad redis postgres postgresql mysql sqlite mongodb ollama"
        " langchain html css json xml sql pdf csv http https api url usb dvd gps dna rna usa uk eu"
        " nasa covid wifi ceo cto cfo faq cpu gpu ssd sla gdp vat ssh ssl tls dns vpn tcp udp ip"
        " ftp smtp jwt aws sdk apis pdfs urls docker django"
    )
)
"""Names that mean the same however they are written."""

_Forms = dict[str, list[tuple[str, bool, bool]]]
"""By the word in lower case: as written, whether case is exact, whether it opens a sentence."""


def other_case(a: str, b: str) -> bool:
    """Tell whether two texts hold a word that differs in case only, where case may matter."""
    if a.islower() and b.islower():
        return False
    one, other = _forms(a), _forms(b)
    plain = (_caseless(a), _caseless(b))
    for word, forms in one.items():
        if word in other and _differ(word, forms, other[word], plain):
            return True
    return False


def _differ(
    word: str,
    left: list[tuple[str, bool, bool]],
    right: list[tuple[str, bool, bool]],
    plain: tuple[bool, bool],
) -> bool:
    if left == right:
        return False
    exact = any(told[1] for told in left + right)
    if len(left) != len(right):
        return _free(left, exact=exact) != _free(right, exact=exact)
    for one, other in zip(left, right, strict=True):
        free = (one[2] and not one[1]) or (other[2] and not other[1])
        same = one[0] == other[0] or (free and one[0][1:] == other[0][1:])
        if not same and (exact or not _harmless(word, one[0], other[0], plain)):
            return True
    return False


def _free(forms: list[tuple[str, bool, bool]], *, exact: bool) -> set[str]:
    """Return the ways in which a word is written, in lower case where case says nothing."""
    return {
        form if exact and not (opens and not strict) else form.lower()
        for form, strict, opens in forms
    }


def _harmless(word: str, one: str, other: str, plain: tuple[bool, bool]) -> bool:
    """Tell whether a plain word means the same in both ways of writing it."""
    if word in _ONE_MEANING:
        return True
    if word in ROLES:
        told = ((one, plain[0]), (other, plain[1]))
        shouted = len(word) > 1 and any(form.isupper() > known for form, known in told)
        return not shouted and (any(plain) or word not in _NAMES_TOO)
    if word in _TWO_MEANINGS or not any(plain):
        return False
    if all(plain):
        return True
    cased = other if plain[0] else one
    return cased.islower() or (len(cased) >= _SHORTEST_NAME and cased[1:].islower())


@lru_cache(maxsize=1024)
def _caseless(text: str) -> bool:
    """Tell whether a text is written in a way that says nothing about its words."""
    if text.islower() or text.isupper():
        return True
    words = [word for word in text.split() if word[:1].isalpha()]
    capitals = sum(word[0].isupper() for word in words)
    return capitals >= _FEW and capitals > _TITLE_SHARE * len(words)


@lru_cache(maxsize=1024)
def _forms(text: str) -> _Forms:
    found: _Forms = {}
    opens = True
    titled = _caseless(text)
    chunks = text.replace("\u2019", "'").split()
    for before, chunk in pairwise(["", *chunks]):
        core = chunk.rstrip(_CLOSING).lstrip(_OPENING)
        if not core:
            continue
        measured = _MEASURED.fullmatch(core)
        if measured is not None:
            if measured[1]:
                _note_unit(found, measured[1])
        elif core.isalpha():
            if (
                len(core) <= _LONGEST_UNIT
                and _MEASURED.fullmatch(before)
                and core.lower() not in ROLES
            ):
                _note_unit(found, core)
            else:
                _note(found, core, exact=_single(core, opens=opens or titled), opens=opens)
        else:
            _note_mixed(found, core, opens=opens)
        opens = chunk.endswith(_SENTENCE_ENDS)
    return found


def _note(found: _Forms, form: str, *, exact: bool, opens: bool) -> None:
    found.setdefault(form.casefold(), []).append((form, exact, opens))


def _note_unit(found: _Forms, unit: str) -> None:
    if unit.lower() not in _PLAIN_UNITS:
        found.setdefault("0" + unit.casefold(), []).append((unit, True, False))


def _single(word: str, *, opens: bool) -> bool:
    """Tell whether a word is one letter that stands for itself."""
    if len(word) > 1 or word in "iI":
        return False
    return word not in "aA" or not opens


def _note_mixed(found: _Forms, core: str, *, opens: bool) -> None:
    """Note a piece with marks in it; words that a hyphen or apostrophe joins are plain."""
    bare = _CLITIC.sub("", core)
    parts = re.split(f"[{_DASHES}]", bare)
    if all(part.isalpha() for part in parts):
        for index, part in enumerate(parts):
            exact = len(parts) > 1 and len(part) == 1
            _note(found, part, exact=exact, opens=opens and not index)
        return
    for part in re.findall(r"[^\W\d_]+", bare):
        _note(found, part, exact=True, opens=False)
    _note(found, bare, exact=True, opens=False)
