"""Vetoes: reasons why two questions that look alike must not share an answer.

Each gate compares facts that a reader can check: numbers, names, negations, roles. A text that no
gate understands (another script, code) passes only when its words are the same in the same order.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from aegis_llm.gates.case import other_case
from aegis_llm.gates.facts import Facts
from aegis_llm.gates.forms import akin, aligned
from aegis_llm.gates.opposites import OPPOSITES
from aegis_llm.gates.order import in_active_voice, misplaced, passive_verb
from aegis_llm.gates.synonyms import PARTICIPLES
from aegis_llm.gates.words import (
    FUTURE,
    PARTICLES,
    PAST,
    PRESENT,
    split,
)

_EXISTING: Final = frozenset(split("there have has had"))
_SUBJECTS: Final = {"he": "him", "they": "them", "i": "me", "we": "us"}
_ROLE_KINDS: Final = frozenset(split("what who whose howmany howmuch"))
_MOST_COMPARED: Final = 400
_DO: Final = frozenset(split("do does did"))
_BEING: Final = frozenset(split("is are am was were be been"))
_VAGUE: Final = frozenset({"any", "some"})
_DUTIES: Final = frozenset(split("must should ought"))
_MINE: Final = frozenset({"i", "my"})
_YOURS: Final = frozenset({"you", "your"})
_TALKING: Final = frozenset({"i", "you"})
_THIRD: Final = frozenset({"he", "she", "they"})
_GENERAL: Final = frozenset(split("can do should would could"))
_OPEN_KINDS: Final = ({"what"}, {"how"})
_END_MARKS: Final = re.compile(r"(?<=[\w)\]\"'\u2019\u201d%])(?:[?!.]+| [?!]+)$")
_FACTORIAL: Final = re.compile(r"[\d)]$|(?<![^\W\d_])[^\W\d_]$")
_TIMES: Final = ({"whattime"}, {"when"})
_VOICES: Final = ({"whether be"}, {"whether do"})


def gate(a: str, b: str) -> str | None:
    """Return the name of the first veto, or None when the two questions may share an answer."""
    if same_text(a, b):
        return None
    return veto(Facts(a), Facts(b))


def same_text(a: str, b: str) -> bool:
    """Tell whether two texts differ in white space, end marks and first capital at most."""
    return a == b or _bare(a) == _bare(b)


def _bare(text: str) -> str:
    text = " ".join(text.split())
    bare = _END_MARKS.sub("", text)
    if text[len(bare) : len(bare) + 1] == "!" and _FACTORIAL.search(bare):
        bare += "!"
    return bare[:1].lower() + bare[1:] if bare[1:2].islower() else bare


@lru_cache(maxsize=64)
def veto(a: Facts, b: Facts) -> str | None:
    """Return the name of the first veto between two texts that were read."""
    if a.scripts != b.scripts:
        return "veto_language"
    if a.symbols != b.symbols:
        return "veto_code"
    if sorted(a.literals) != sorted(b.literals):
        return "veto_literals"
    if a.quotes and b.quotes and a.quotes != b.quotes:
        return "veto_literals"
    if a.numbers != b.numbers and sorted(a.numbers) != sorted(b.numbers):
        alike = sorted(n for n, _ in a.numbers) == sorted(n for n, _ in b.numbers)
        return "veto_units" if alike else "veto_numbers"
    if sorted(n for n, _ in a.negations) != sorted(n for n, _ in b.negations):
        return "veto_negation"
    if a.said != b.said:
        found = _function_words(a, b)
        if found is not None:
            return found
    verbs = (-1, -1) if a.said == b.said else (passive_verb(a, b), passive_verb(b, a))
    if a.kinds != b.kinds and not _same_kind(a, b, voices=verbs != (-1, -1)):
        return "veto_question_kind"
    found = _content(a, b, verbs)
    return "veto_case" if found is None and other_case(a.text, b.text) else found


def _function_words(a: Facts, b: Facts) -> str | None:
    """Compare what the small words say: contraries, amounts, duty, time, persons."""
    only_a, only_b = a.said - b.said, b.said - a.said
    for word in only_a:
        if word in OPPOSITES and not OPPOSITES[word].isdisjoint(only_b):
            return "veto_opposites"
    if not PARTICLES.isdisjoint(only_a) or not PARTICLES.isdisjoint(only_b):
        return "veto_direction"
    if a.quantifiers.keys() != b.quantifiers.keys() and _other_amount(a, b):
        return "veto_quantifiers"
    if ("must" in only_a and _free(b)) or ("must" in only_b and _free(a)):
        return "veto_modality"
    if _other_roles(a, b) or _other_roles(b, a):
        return "veto_direction"
    if _other_time(a, b) or _other_time(b, a):
        return "veto_tense"
    return "veto_persons" if a.people != b.people and _other_persons(a, b) else None


def _free(facts: Facts) -> bool:
    """Tell whether a question leaves open whether something has to be done."""
    return _DUTIES.isdisjoint(facts.said) and facts.kinds[:1] != ["how"]


def _other_amount(a: Facts, b: Facts) -> bool:
    """Tell whether one question is about all, most or none other than those of the other."""
    differing = a.quantifiers.keys() ^ b.quantifiers.keys()
    if not differing <= _VAGUE:
        return True
    asks_whether = any(kind.startswith("whether") for kind in (*a.kinds[:1], *b.kinds[:1]))
    return differing == {"any"} and asks_whether and _EXISTING.isdisjoint(a.said | b.said)


def _other_roles(a: Facts, b: Facts) -> bool:
    """Tell whether who acts in `a` is acted upon in `b`."""
    only_a, only_b = a.said - b.said, b.said - a.said
    doing = [word for word in only_a if word.endswith("ing") and word in a.plain]
    done = [word for word in only_b if word.endswith("ed") or word in PARTICIPLES]
    if len(doing) * len(done) > _MOST_COMPARED:
        return True
    if any(akin(word, form) for word in doing for form in done):
        return True
    kind = "".join(a.kinds[:1])
    if kind != "".join(b.kinds[:1]) or kind not in _ROLE_KINDS:
        return any(
            one in only_a and other in only_b and one in ("he", "they")
            for one, other in _SUBJECTS.items()
        )
    if any(one in only_a and other in only_b for one, other in _SUBJECTS.items()):
        return True
    if "mean" in a.words:
        return False
    return not _DO.isdisjoint(a.said) and _DO.isdisjoint(b.said) and _BEING.isdisjoint(b.said)


def _other_time(a: Facts, b: Facts) -> bool:
    """Tell whether `b` asks about the past, and `a` about the present or the future."""
    if PAST.isdisjoint(b.said):
        return False
    if PAST.isdisjoint(a.said) and not PRESENT.isdisjoint(a.said):
        return True
    return not FUTURE.isdisjoint(a.said) and FUTURE.isdisjoint(b.said)


def _other_persons(a: Facts, b: Facts) -> bool:
    """Tell whether the pronouns stand for other persons, or for the same in other roles."""
    third_a = [person for person in a.people if person in _THIRD]
    third_b = [person for person in b.people if person in _THIRD]
    if third_a and third_b:
        if third_a != third_b:
            return True
    elif third_a or third_b:
        alone = b if third_a else a
        if alone.people:
            return True
    if a.kinds[:1] == b.kinds[:1] == ["whether be"] and sorted(a.people) != sorted(b.people):
        return True
    talk_a = [person for person in a.people if person in _TALKING]
    talk_b = [person for person in b.people if person in _TALKING]
    if len(set(talk_a)) == len(set(talk_b)) == len(_TALKING):
        return talk_a != talk_b
    return _turned(a, b) or _turned(b, a)


def _turned(a: Facts, b: Facts) -> bool:
    """Tell whether `a` is about the asker and `b` about the one who is asked."""
    if _MINE.isdisjoint(a.people) or _YOURS.isdisjoint(b.people):
        return False
    if not _YOURS.isdisjoint(a.people) or not _MINE.isdisjoint(b.people):
        return False
    return a.kinds[:1] != ["how"] or _GENERAL.isdisjoint(a.said)


def _same_kind(a: Facts, b: Facts, *, voices: bool) -> bool:
    """Tell whether two kinds of question ask for one answer; `voices` if one is passive."""
    one, other = sorted((_kind(a), _kind(b)), key=sorted)
    if one == other or (not one and other in _OPEN_KINDS) or (one, other) == _TIMES:
        return True
    return voices and (one, other) == _VOICES


def _kind(facts: Facts) -> set[str]:
    """Return the kinds asked for, each under its plainest name."""
    kind = set(facts.kinds)
    if "howmuch" in kind and "cost" in facts.words:
        kind = kind - {"howmuch"} | {"what"}
    if "how" in kind and "differ" in facts.words:
        kind = kind - {"how"} | {"what"}
    return kind


def _content(a: Facts, b: Facts, verbs: tuple[int, int]) -> str | None:
    """Compare the content words, then what governs them, then their order."""
    if not a.words and not b.words and a.said != b.said:
        return "veto_words"
    one, other = (a.words, a.heads), (b.words, b.heads)
    if a.words != b.words:
        names = a.names | b.names
        found = aligned(one, other, names | a.fixed | b.fixed)
        if isinstance(found, list):
            return "veto_words" if names.isdisjoint(found) else "veto_names"
        one, other = found
    if a.negations and _scope(a, one[0]) != _scope(b, other[0]) and not _contracted(a, b):
        return "veto_negation"
    if _reach(a, one[0]) != _reach(b, other[0]):
        return "veto_quantifiers"
    if a.dangling != b.dangling and (_stranded(a, b) or _stranded(b, a)):
        return "veto_direction"
    if 0 in verbs and a.people + b.people:
        return "veto_direction"  # "can I be paid" is not "can I pay"
    if verbs[0] >= 0:
        one = in_active_voice(one, verbs[0])
    if verbs[1] >= 0:
        other = in_active_voice(other, verbs[1])
    return None if one == other else misplaced(one, other)


def _contracted(a: Facts, b: Facts) -> bool:
    return any(place < 0 for _, place in (*a.negations, *b.negations))


def _scope(facts: Facts, told: list[str]) -> list[tuple[str, str]]:
    """Return each negation with the words that it governs."""
    return sorted((name, " ".join(told[place : place + 2])) for name, place in facts.negations)


def _stranded(a: Facts, b: Facts) -> bool:
    """Tell whether a preposition that governs no word in `a` means another role in `b`."""
    if b.dangling:
        return bool(a.dangling)
    return a.kinds == b.kinds and any(word in b.heads[1:] for word in a.dangling)


def _reach(facts: Facts, told: list[str]) -> list[tuple[str, int, str]]:
    """Return each amount with the word that it governs."""
    return sorted(
        (name, persons if name == "only" else 0, " ".join(told[place : place + 1]))
        for name, (place, persons) in facts.quantifiers.items()
        if name not in _VAGUE
    )
