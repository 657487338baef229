"""Telling English questions, which the score was trained on, from those in other languages."""

from __future__ import annotations

from typing import Final

from aegis_llm.gates.words import ROLES, split

_FOREIGN: Final = frozenset(
    split(
        "der das und ist sind wie wo wer wann warum welche welcher welches ein eine einen einer"
        " nicht kein keine ich du er sie wir ihr f\u00fcr mit auf von zu zum zur im dem den des"
        " kann wird werden hat haben wurde gibt es bei nach aus \u00fcber oder auch le la les un"
        " une et est sont comment o\u00f9 qui quand pourquoi quel quelle quels quelles ne pas je"
        " tu il elle nous vous avec dans sur au aux que puis peut fait ce cette el los las una y"
        " son c\u00f3mo como d\u00f3nde qui\u00e9n cu\u00e1ndo qu\u00e9 cu\u00e1l no se por para"
        " con en del puedo hay mi su lo gli che chi come dove quando perch\u00e9 quale di della"
        " nel posso ho \u00e8 per o os as um uma e \u00e9 s\u00e3o onde quem porque qual"
        " n\u00e3o em do da na het een zijn hoe waar wanneer waarom welke niet geen ik van voor"
        " met op kan jak gdzie kto kiedy dlaczego kt\u00f3ry kt\u00f3ra nie jest s\u0105 czy w z"
        " mog\u0119 vad hur var n\u00e4r varf\u00f6r vem vilken \u00e4r och inte jag"
    )
) - frozenset(
    split("a as an do in on no me mi son was die van la he it is at be so to pays con per has o e")
)
_ENGLISH: Final = frozenset(ROLES) - _FOREIGN
_LAST_LATIN: Final = "\u024f"


def in_english(text: str, words: list[str]) -> bool:
    """Tell whether a text may be English: Latin letters, few small words of other languages."""
    if not text.isascii() and any(char > _LAST_LATIN and char.isalpha() for char in text):
        return False
    foreign = sum(word in _FOREIGN for word in words)
    return not foreign or foreign < sum(word in _ENGLISH for word in words)
