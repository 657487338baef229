"""The numbers that the score of two questions is made of; the same whichever comes first."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from aegis_llm.gates import same_text, veto
from aegis_llm.gates.vetoes import left_over
from aegis_llm.gates.words import split
from aegis_llm.matching.reading import Pair
from aegis_llm.matching.repairs import Spoken

DOUBTS: Final = tuple(
    split(
        "veto_case veto_direction veto_negation veto_order veto_persons veto_quantifiers"
        " veto_question_kind veto_tense veto_words"
    )
)
"""What the strict reading may find where no veto stands: a reason to doubt, not to refuse."""
_MOST_MOVED: Final = 60
_MOST_SPELLED: Final = 6

_PAIRED: Final = tuple(
    split(
        "words only content left names longest kind_of_opening marks ends_asking ends_told own"
        " capitals sentences commas corrections late missing rarity_left rarest_left people"
    )
)
_SINGLE: Final = tuple(
    split(
        "similarity length_ratio jaccard contained neighbours prefix suffix around start end"
        " in_order moved turned farthest content_shared content_jaccard content_contained"
        " content_equal content_moved content_in_order names_known spelled heads heads_both"
        " function_words amounts persons same_persons tenses same_kind letters"
        " rarity_shared rarity_jaccard rarity_contained rarest_shared same_text"
    )
)
NAMES: Final = (
    *_SINGLE,
    *(f"{name}_{end}" for name in _PAIRED for end in ("least", "most")),
    *DOUBTS,
    "no_doubt",
)
"""Names of the features, in the order of the vector."""


def features(
    pair: Pair, similarity: float, rarity: Mapping[str, float], rarest: float
) -> list[float]:
    """Return the features of a pair, in the order of `NAMES`.

    `rarity` is the inverse document frequency of known words, `rarest` that of all others.
    """
    one, other = pair.a.facts, pair.b.facts
    a, b = pair.a.surface, pair.b.surface
    only_a, only_b = a.unique - b.unique, b.unique - a.unique
    shared = a.unique & b.unique
    least, most = _ends(len(a.words), len(b.words))
    start, end = _common_ends(a.words, b.words)
    ranks = sorted((a.places[word], b.places[word]) for word in shared)
    moved, turned, farthest = _order([place for _, place in ranks])
    left_a, left_b = left_over(one, other)
    matched = len(one.words) - len(left_a)
    content_moved, in_order = _content_order(one.words, other.words)
    heads, heads_both = _heads(one.words, one.heads, other.words, other.heads)
    rare_a = [rarity.get(word, rarest) for word in only_a]
    rare_b = [rarity.get(word, rarest) for word in only_b]
    rare_shared = [rarity.get(word, rarest) for word in shared]
    total_a, total_b, total = sum(rare_a), sum(rare_b), sum(rare_shared)
    same = same_text(pair.a.text, pair.b.text)
    doubt = None if same else veto(one, other)
    union = len(shared) + len(only_a) + len(only_b)
    fewest = max(1, least)
    single = (
        similarity,
        least / max(1, most),
        len(shared) / max(1, union),
        len(shared) / max(1, min(len(a.unique), len(b.unique))),
        len(a.pairs & b.pairs) / max(1, len(a.pairs | b.pairs)),
        start / fewest,
        end / fewest,
        min(1.0, (start + end) / fewest),
        start,
        end,
        1 - moved / max(1, len(ranks)),
        moved,
        turned,
        farthest,
        matched,
        matched / max(1, matched + len(left_a) + len(left_b)),
        matched / max(1, min(len(one.words), len(other.words))),
        one.words == other.words,
        content_moved,
        in_order,
        len(one.names | other.names),
        _spelled(left_a, left_b),
        heads,
        heads_both,
        len(a.function_words ^ b.function_words),
        len(one.quantifiers.keys() ^ other.quantifiers.keys()),
        len(set(one.people) ^ set(other.people)),
        one.people == other.people,
        a.past != b.past,
        one.kinds == other.kinds,
        (a.letters + b.letters) / max(1, len(a.words) + len(b.words)),
        total,
        total / (total + total_a + total_b + 1e-6),
        total / (total + min(total_a, total_b) + 1e-6),
        max(rare_shared, default=0.0),
        same,
    )
    paired = (
        (least, most),
        _ends(len(only_a), len(only_b)),
        _ends(len(one.words), len(other.words)),
        _ends(len(left_a), len(left_b)),
        _ends(_names(left_a, one.names), _names(left_b, other.names)),
        _ends(max(map(len, left_a), default=0), max(map(len, left_b), default=0)),
        _ends(a.opening, b.opening),
        _ends(a.marks[0], b.marks[0]),
        _ends(a.ends_asking, b.ends_asking),
        _ends(a.ends_told, b.ends_told),
        _ends(a.own, b.own),
        _ends(a.capitals, b.capitals),
        _ends(a.sentences, b.sentences),
        _ends(a.marks[1], b.marks[1]),
        *_spoken(pair),
        _ends(total_a, total_b),
        _ends(max(rare_a, default=0.0), max(rare_b, default=0.0)),
        _ends(len(one.people), len(other.people)),
    )
    vector = [float(value) for value in single]
    for ends in paired:
        vector += ends
    vector += [float(doubt == name) for name in DOUBTS]
    vector.append(float(doubt is None))
    return vector


def _ends(one: float, other: float) -> tuple[float, float]:
    return (float(one), float(other)) if one < other else (float(other), float(one))


def _common_ends(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """Return how many words the two begin with, and how many they end with, in common."""
    start = end = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        start += 1
    for one, other in zip(reversed(a), reversed(b), strict=False):
        if one != other:
            break
        end += 1
    return start, end


def _increasing(places: Sequence[int]) -> int:
    """Return the length of the longest increasing subsequence."""
    tails: list[int] = []
    for place in places:
        at = bisect_left(tails, place)
        tails[at : at + 1] = [place]
    return len(tails)


def _order(places: Sequence[int]) -> tuple[int, float, int]:
    """Return how many shared words moved, the share of turned pairs, and the farthest move."""
    count = len(places)
    if count > _MOST_MOVED:
        return count - _increasing(places), 0.5, _MOST_MOVED
    if all(one < other for one, other in pairwise(places)):
        return 0, 0.0, 0
    turned = sum(
        places[first] > places[second]
        for first in range(count)
        for second in range(first + 1, count)
    )
    rank = {place: at for at, place in enumerate(sorted(places))}
    farthest = max(abs(at - rank[place]) for at, place in enumerate(places))
    return count - _increasing(places), turned / (count * (count - 1) / 2), farthest


def _content_order(a: Sequence[str], b: Sequence[str]) -> tuple[int, float]:
    if a == b:
        return 0, 1.0
    once = _once(a) & _once(b)
    places = {word: place for place, word in enumerate(b)}
    seen = [places[word] for word in a if word in once]
    kept = _increasing(seen)
    return len(seen) - kept, kept / max(1, len(seen))


def _once(words: Sequence[str]) -> set[str]:
    """Return the words that occur once; of a repeated one nobody can say which is which."""
    if len(set(words)) == len(words):
        return set(words)
    return {word for word, count in Counter(words).items() if count == 1}


def _heads(
    a: Sequence[str], heads_a: Sequence[str], b: Sequence[str], heads_b: Sequence[str]
) -> tuple[int, int]:
    """Return how many shared words another preposition governs, and in how many both have one."""
    if heads_a == heads_b and a == b:
        return 0, 0
    once = _once(a) & _once(b)
    governs = dict(zip(b, heads_b, strict=True))
    differ = both = 0
    for word, head in zip(a, heads_a, strict=True):
        other = governs.get(word)
        if word in once and other is not None and other != head:
            differ += 1
            both += bool(other and head)
    return differ, both


def _names(words: Sequence[str], names: set[str]) -> int:
    return sum(word in names for word in words)


def _spelled(left_a: Sequence[str], left_b: Sequence[str]) -> float:
    """Return how alike the likest two leftover words are spelled, 0 to 1."""
    best = 0.0
    grams = [_bigrams(word) for word in left_b[:_MOST_SPELLED]]
    for word in left_a[:_MOST_SPELLED]:
        own = _bigrams(word)
        for gram in grams:
            best = max(best, 2 * len(own & gram) / (len(own) + len(gram)))
    return best


def _bigrams(word: str) -> set[str]:
    return {word[at : at + 2] for at in range(len(word) - 1)} or {word}


def _spoken(pair: Pair) -> list[tuple[float, float]]:
    """Return markers of correction, words behind the last that the other lacks, words missing."""
    if not pair.spoken:
        return [(0.0, 0.0), (-1.0, -1.0), (-1.0, -1.0)]
    one, other = pair.said_a.spoken, pair.said_b.spoken
    return [
        _ends(len(one.ends), len(other.ends)),
        _ends(_late(one, other), _late(other, one)),
        _ends(_missing(one, other), _missing(other, one)),
    ]


def _late(said: Spoken, plain: Spoken) -> int:
    if not said.ends:
        return -1
    known = set(plain.words)
    return sum(word not in known for word in said.words[max(said.ends) :])


def _missing(said: Spoken, plain: Spoken) -> int:
    if not said.ends:
        return -1
    known = set(said.words)
    return sum(word not in known for word in plain.words)
