"""Vetoes that no score overrules: what one question says and the other contradicts or lacks.

`gates.veto` is the strict reading, for where nothing but rules can decide: it also refuses words
that it cannot match. A veto here needs a reason that a reader would give: another number, another
name, a negation, another direction.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from aegis_llm.gates import veto
from aegis_llm.gates.clauses import negated_elsewhere, who_exchanged
from aegis_llm.gates.facts import Facts
from aegis_llm.gates.forms import akin, inflected
from aegis_llm.gates.kinds import other_sort
from aegis_llm.gates.opposites import contraries, denials, plain_forms
from aegis_llm.gates.roles import mutual, other_tense, persons_exchanged, turned_round
from aegis_llm.gates.words import PARTICLES, UNITS, split

_MOST_COMPARED: Final = 400
_SHORT: Final = 12
"""Content words up to which the same words in another order are read as one clause."""
_TELLING: Final = frozenset(split("who where when why howmany howmuch howlong howoften"))
_TELLING_AMOUNTS: Final = frozenset(split("all only most both"))
_BOUNDS: Final = frozenset(split("atleast atmost exactly minimum maximum"))
_OFTEN: Final = frozenset(split("always never sometimes often rarely seldom usually ever"))
_DEGREES: Final = frozenset(split("more less fewer"))
_SHE_HE: Final = frozenset({"he", "she"})
_DUTY: Final = (
    frozenset(split("required obliged mandatory compulsory obligatory necessary must")),
    frozenset(split("allowed permitted optional voluntary")),
    frozenset(split("recommended advised advisable")),
)
_ADVISED: Final = frozenset(split("should ought"))
_MAY: Final = frozenset(split("can could may might"))
_WHAT_TO_DO: Final = re.compile(r"\bwhat (?:can|could|should) (?:i|we|you|one) do\b")
_WHERE_EQUAL: Final = frozenset(
    split("veto_negation veto_order veto_tense veto_modality veto_quantifiers")
)
"""What the strict reading says and a veto is where two short questions share all their words."""
_CALENDAR: Final = frozenset(
    split(
        "monday tuesday wednesday thursday friday saturday sunday january february april june"
        " july august september october november december mondays tuesdays wednesdays thursdays"
        " fridays saturdays sundays weekdays weekends"
    )
)
_TIMES: Final = _CALENDAR | frozenset(
    split(
        "spring summer autumn winter morning afternoon evening night noon midnight today tomorrow"
        " yesterday weekend weekday"
    )
)
_MONEY: Final = frozenset(
    split("dollar dollars euro euros pound pounds yen rupee rupees usd eur gbp inr jpy cents")
)
_MOST_OF: Final = re.compile(r"(?<!the )(?<!your )(?<!'s )\bmost (?:of|[a-z]+s)\b")
_IDIOMS: Final = re.compile(
    r"\b(?:of all time|all[- ]time|at all|after all|all over|all the time|all of a sudden"
    r"|all round|first of all|above all|in all|all alone|all right|all day|all night)\b"
)
_ALL: Final = re.compile(r"\b(?:all|every|each|everything|everyone|everybody)\b")
_DESIGNATED: Final = re.compile(
    r"\b((?:vitamin|hepatitis|influenza|class|type|group|grade|plan|gate|terminal|usb|level|section"
    r"|team|part|exhibit|appendix|block|schedule|form|size|blood type) a)\b"
)
_IT: Final = re.compile(
    r"\bit (?:departments?|support|teams?|managers?|staff|contracts?|requests?|security|companies"
    r"|company|infrastructure|jobs?|consultants?|specialists?|admins?|services?|equipment|budgets?"
    r"|projects?|policy|policies|systems?)\b"
)
_ONE: Final = re.compile(
    r"(?<!which )(?<!this )(?<!that )(?<!the )(?<!no )(?<!any )(?<!each )(?<!every )(?<!only )"
    r"(?<!can )(?<!does )(?<!do )(?<!should )(?<!would )(?<!could )(?<!must )(?<!may )(?<!how )"
    r"(?<!if )(?<!when )(?<!good )(?<!best )(?<!new )\bone\b(?! of| can| should| does| has| gets?)"
)
_TOO_MUCH: Final = re.compile(r"\b(?:too|so) (?:much|many)\b")
_TOO_LITTLE: Final = re.compile(
    r"\b(?:too|so) (?:little|few)\b|\b(?:lack|shortage|absence|deficiency)\b"
)
_DOTS: Final = re.compile(r"(?:^|(?<=\s))\.{1,2}/?(?=\s|$)")
_SMALL_NOUNS: Final = frozenset(split("well go mine"))
_GET: Final = re.compile(r"\b(?:an?|the) get\b|^[a-z]+ get [a-z]+$")
_LIMITS: Final = frozenset({"within", "after"})
_OVER: Final = frozenset(split("once twice thrice"))
_KEYWORDS: Final = 3
_IDENTIFIER: Final = re.compile(r"\b(?:\w+\(\)|[a-z]+[A-Z]\w*|[^\W_]+_\w+)")
_FEWEST_LETTERS: Final = 4
_NONE: Final[frozenset[str]] = frozenset()


def vetoes(a: Facts, b: Facts) -> tuple[str, ...]:
    """Return the names of all vetoes between two texts, in a fixed order; the same both ways."""
    return tuple(dict.fromkeys(name for name, found in _each(a, b) if found))


def first_veto(a: Facts, b: Facts) -> str | None:
    """Return the first veto alone, for where only a refusal counts."""
    return next((name for name, found in _each(a, b) if found), None)


def _each(a: Facts, b: Facts) -> Iterator[tuple[str, bool]]:
    yield "veto_language", a.scripts != b.scripts
    yield "veto_numbers", _sorted(n for n, _ in a.numbers) != _sorted(n for n, _ in b.numbers)
    yield "veto_units", _other_units(a, b)
    yield "veto_literals", _other_literals(a, b)
    yield "veto_code", a.symbols != b.symbols
    yield "veto_negation", _sorted(n for n, _ in a.negations) != _sorted(n for n, _ in b.negations)
    only_a, only_b = a.said - b.said, b.said - a.said
    left: tuple[list[str], list[str]] = ([], [])
    if only_a or only_b:
        left = left_over(a, b)
        yield "veto_opposites", _opposed(only_a, only_b, left)
        yield "veto_dates", _other_dates(only_a, only_b)
        yield "veto_names", _other_names(a, b, left)
        yield "veto_question_kind", _other_kind(a, b, equal=not any(left))
        yield "veto_quantifiers", _other_amounts(a, b, only_a, only_b) or _too_much(a, b, left)
        yield "veto_modality", _other_duty(a, b, only_a, only_b)
        yield "veto_persons", bool(_SHE_HE & only_a and _SHE_HE & only_b)
        yield "veto_direction", not PARTICLES.isdisjoint(only_a | only_b) or _outside(left)
        yield "veto_direction", bool(only_a & _LIMITS and only_b & _LIMITS)
        yield "veto_names", "us" in only_a ^ only_b or _it_department(a, b)
        yield "veto_numbers", _one(a) != _one(b) or bool(only_a & _OVER and only_b & _OVER)
        yield "veto_tense", other_tense(a, b) or other_tense(b, a)
        yield "veto_words", not any(left) and _lost_noun(a, b, only_a, only_b)
    yield "veto_literals", _marks(a.text).designated != _marks(b.text).designated
    yield "veto_persons", persons_exchanged(a, b)
    if not any(left):
        yield "veto_negation", bool(a.negations) and negated_elsewhere(a.text, b.text)
        yield "veto_roles", turned_round(a, b) or _done_or_doing(only_a, only_b)
        yield "veto_roles", who_exchanged(a.text, b.text)
        if len(a.words) <= _SHORT:
            strict = str(veto(a, b))
            yield strict, strict in _WHERE_EQUAL and not _free_to_differ(strict, a, b)


@lru_cache(maxsize=64)
def left_over(a: Facts, b: Facts) -> tuple[list[str], list[str]]:
    """Return the content words that each text has alone, forms of one word counted as one."""
    left, right = Counter(a.words), Counter(b.words)
    only_a = list((left - right).elements())
    only_b = list((right - left).elements())
    if not only_a or not only_b or len(only_a) * len(only_b) > _MOST_COMPARED:
        return only_a, only_b
    names = a.names | b.names
    kept = []
    for word in only_a:
        for form in only_b:
            if not (word in names and form in names) and inflected(word, form):
                only_b.remove(form)
                break
        else:
            kept.append(word)
    return kept, only_b


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names)


def _outside(left: tuple[list[str], list[str]]) -> bool:
    """Tell whether nothing but "outside" is more in one: "in the EU", "outside the EU"."""
    return sorted(left) == [[], ["outside"]]


def _other_units(a: Facts, b: Facts) -> bool:
    """Tell whether a number has two units; one without any may mean either."""
    if a.numbers and b.numbers:
        measured, other = _measures(a), _measures(b)
        if any(units != other.get(number, units) for number, units in measured.items()):
            return True
    money_a, money_b = a.said & _MONEY, b.said & _MONEY
    return bool(money_a and money_b) and not {UNITS.get(word) for word in money_a} & {
        UNITS.get(word) for word in money_b
    }


def _measures(facts: Facts) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for number, unit in facts.numbers:
        if unit:
            found.setdefault(number, set()).add(unit)
    return found


def _other_dates(only_a: set[str], only_b: set[str]) -> bool:
    """Tell whether a day or month stands in one alone, or both name a time of their own."""
    if not _CALENDAR.isdisjoint(only_a ^ only_b):
        return True
    return not (_TIMES.isdisjoint(only_a) or _TIMES.isdisjoint(only_b))


def _asks(facts: Facts) -> bool:
    return bool(facts.kinds) or facts.text.rstrip().endswith("?")


def _free_to_differ(strict: str, a: Facts, b: Facts) -> bool:
    """Tell whether what the strict reading refuses is a matter of style in these two."""
    if strict == "veto_negation":
        return False
    if strict == "veto_order" and not mutual(a, b) and len(a.words) <= _KEYWORDS:
        return False
    if "&" in (*a.heads, *b.heads):
        return True
    return strict == "veto_order" and (mutual(a, b) or not (_asks(a) or _asks(b)))


class _Marks(NamedTuple):
    """What patterns find in one text."""

    identifiers: frozenset[str]
    dots: tuple[str, ...]
    designated: tuple[str, ...]
    information_technology: bool
    one: bool
    get: bool
    excess: tuple[bool, bool]


@lru_cache(maxsize=1024)
def _marks(text: str) -> _Marks:
    lowered = text.lower()
    return _Marks(
        frozenset(_IDENTIFIER.findall(text)),
        tuple(_DOTS.findall(text)),
        tuple(_DESIGNATED.findall(lowered)),  # "vitamin a", "hepatitis a"
        _IT.search(lowered) is not None,
        _ONE.search(lowered) is not None,
        _GET.search(lowered) is not None,
        (_TOO_MUCH.search(lowered) is not None, _TOO_LITTLE.search(lowered) is not None),
    )


def _lost_noun(a: Facts, b: Facts, only_a: set[str], only_b: set[str]) -> bool:
    """Tell whether one text alone has a small word that is a noun there: "oil well", "a get"."""
    if not _SMALL_NOUNS.isdisjoint(only_a ^ only_b):
        return True
    return any(_marks(x.text).get and "get" not in y.said for x, y in ((a, b), (b, a)))


def _it_department(a: Facts, b: Facts) -> bool:
    """Tell whether "it" is information technology in one text alone."""
    return _marks(a.text).information_technology != _marks(b.text).information_technology


def _one(facts: Facts) -> bool:
    """Tell whether a text says "one" as a number."""
    return "one" in facts.said and _marks(facts.text).one


def _done_or_doing(only_a: set[str], only_b: set[str]) -> bool:
    """Tell whether one is done and the other does: "blocked", "blocking"."""
    for doing, done in ((only_a, only_b), (only_b, only_a)):
        acting = [word for word in doing if word.endswith("ing") and len(word) > _FEWEST_LETTERS]
        if acting and any(
            word.endswith("ed") and any(akin(word, form) for form in acting) for word in done
        ):
            return True
    return False


def _other_literals(a: Facts, b: Facts) -> bool:
    if _sorted(a.literals) != _sorted(b.literals):
        return True
    marks, others = _marks(a.text), _marks(b.text)
    if marks.dots != others.dots or marks.identifiers != others.identifiers:
        return True
    return bool(a.quotes and b.quotes and _bare(a.quotes) != _bare(b.quotes))


def _opposed(only_a: set[str], only_b: set[str], left: tuple[list[str], list[str]]) -> bool:
    """Tell whether a word stands against its contrary, an odd number of times.

    "less rude" may be "more polite", so a degree counts only where nothing else differs.
    """
    against = _contrary(only_a, only_b)
    if not against:
        return False
    answering = _contrary(only_b, only_a)
    if not _DEGREES.isdisjoint(against | answering):
        others = [word for words in left for word in words if word not in _DEGREES]
        if all(any(word not in _DEGREES for word in words) for words in left):
            return False
        return bool(others) or min(len(against), len(answering)) % 2 == 1
    return True


def _contrary(words: set[str], others: set[str]) -> set[str]:
    """Return the words whose contrary is among the others."""
    forms = {form for other in others for form in plain_forms(other)}
    return {
        word
        for word in words
        if not contraries(word).isdisjoint(forms) or not denials(word).isdisjoint(others)
    }


def _bare(quotes: list[str]) -> list[str]:
    return sorted(" ".join(re.findall(r"\w+", quote.lower())) for quote in quotes)


def _other_names(a: Facts, b: Facts, left: tuple[list[str], list[str]]) -> bool:
    return any(word in a.names and word != "i" for word in left[0]) or any(
        word in b.names and word != "i" for word in left[1]
    )


def _other_kind(a: Facts, b: Facts, *, equal: bool) -> bool:
    """Tell whether the two ask for things of two kinds: who, where, when, why, how many.

    With the same words otherwise, asking whether or how is another kind as well.
    """
    if other_sort(a, b):
        return True
    one, other = set(a.kinds), set(b.kinds)
    if one == other or not one or not other:
        return False
    if one & _TELLING and other & _TELLING:
        return True
    if not equal or (one & other):
        return False
    if one | other == {"what", "how"}:
        return "which" in a.said ^ b.said
    return bool((one | other) & _TELLING) and "what" not in one | other


def _other_amounts(a: Facts, b: Facts, only_a: set[str], only_b: set[str]) -> bool:
    amounts = _amounts(a) ^ _amounts(b)
    if not _TELLING_AMOUNTS.isdisjoint(amounts) or {"few", "many"} <= amounts:
        return True
    counted = a.numbers or b.numbers or {"one", "once"} & (a.said | b.said)
    if counted and not _BOUNDS.isdisjoint(only_a ^ only_b):
        return True
    if _compared_otherwise(only_a, only_b) or _compared_otherwise(only_b, only_a):
        return True
    return bool(only_a & _OFTEN and only_b & _OFTEN)


def _too_much(a: Facts, b: Facts, left: tuple[list[str], list[str]]) -> bool:
    """Tell whether one has too much or too little of what the other has simply.

    "excessive" may say the same, so a word of its own leaves it to the score.
    """
    one, other = _marks(a.text).excess, _marks(b.text).excess
    if one == other:
        return False
    return (any(one) and any(other)) or not left[1 if any(one) else 0]


def _amounts(facts: Facts) -> set[str]:
    """Return the amounts that a text speaks of; "the most" and "of all time" are none."""
    found = set(facts.quantifiers)
    text = facts.text.lower()
    if "most" in found and not _MOST_OF.search(text):
        found.discard("most")
    if "all" in found and not _ALL.search(_IDIOMS.sub(" ", text)):
        found.discard("all")
    return found


def _compared_otherwise(one: set[str], other: set[str]) -> bool:
    """Tell whether one compares two and the other calls them equal, or looks for the first."""
    return "than" in one and ("as" in other or any(w.endswith("est") for w in other))


def _other_duty(a: Facts, b: Facts, only_a: set[str], only_b: set[str]) -> bool:
    """Tell whether one asks what must be, and the other what may be or is advised."""
    if "must" in only_a ^ only_b and ["how"] not in (a.kinds[:1], b.kinds[:1]):
        open_kinds = (["what"], ["how"])
        if a.kinds[:1] not in open_kinds and b.kinds[:1] not in open_kinds:
            return True
    plain = ["how"] in (a.kinds[:1], b.kinds[:1]) or _WHAT_TO_DO.search(a.text.lower())
    for one, other in ((only_a, only_b), (only_b, only_a)):
        if one & _ADVISED and other & _MAY and not plain:
            return True
    if "must" in only_a ^ only_b and (_ADVISED & (only_a | only_b)):
        return True
    duties = [[not duty.isdisjoint(only) for duty in _DUTY] for only in (only_a, only_b)]
    return any(duties[0]) and any(duties[1]) and duties[0] != duties[1]
