"""Labelled pairs of questions, made from hand-written topics: what trains and tests the verifier.

`python -m benchmarks.matching.templates [COUNT]` prints some.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from benchmarks.matching.fillers import Value
from benchmarks.matching.styles import MARKERS, STYLES, lower_first
from benchmarks.matching.topics import Topic, topics

_KEY = re.compile(r"\{([a-z0-9.]+)\}")
_ARTICLE = re.compile(r"\b(a|A) (?=[aeiouAEIO][a-z])(?!(?:uni|use|eu|one))")
_LEADING = frozenset(
    [
        "in",
        "on",
        "at",
        "of",
        "for",
        "from",
        "to",
        "by",
        "with",
        "than",
        "between",
        "into",
        "the",
        "a",
    ]
)
_OPEN = frozenset(
    {"question kind", "yes or no", "modality", "tense", "quantifier", "other aspect"}
)
Values = dict[str, Value]


class Pair(NamedTuple):
    """Two questions, whether the answer to one is right for the other, and what was changed."""

    a: str
    b: str
    same: bool
    kind: str


def pairs(seed: int, count: int) -> Iterator[Pair]:
    """Yield labelled pairs, about as many same as different ones; the seed decides them all."""
    rng = Random(seed)
    made = 0
    while made < count:
        topic = rng.choice(topics())
        writing = Writing(topic, rng)
        same = rng.random() < 0.5
        found = writing.same() if same else writing.different()
        if found is None or _bare(found[0]) == _bare(found[1]):
            continue
        a, b, kind = found
        if rng.random() < 0.5:
            a, b = b, a
        yield Pair(a, b, same, kind)
        made += 1


def _bare(text: str) -> str:
    return text if "`" in text else " ".join(text.split())


Found = tuple[str, str, str] | None


@dataclass
class Writing:
    """Writes the two sides of one pair on one topic."""

    topic: Topic
    rng: Random

    def same(self) -> Found:
        """Return two ways to ask one thing."""
        rng, values = self.rng, self._values()
        (_, first), (kind, second) = self._two_asks()
        way = rng.choices(
            ("ask", "style", "correction", "false start", "narrower", "variant", "swap"),
            (40, 16, 12, 7, 8, 10, 7),
        )[0]
        if way == "narrower" and self.topic.narrower:
            return self._narrowed(first, second, values)
        if way == "swap" and self.topic.symmetric:
            turned = self._turned(values, wanted=True)
            return turned and (*self._both(first, second, values, turned[0]), "symmetric")
        if way == "variant":
            return self._variant(first, values)
        a = self._text(first, values)
        if way == "correction":
            b = self._corrected(rng.choice((first, second)), values)
            return b and (self._styled(a), self._styled(b, 0.1), "self-correction")
        if way == "false start":
            begun = self._text(rng.choice(self.topic.asks + self.topic.others)[1], values)
            b = self._started(begun, self._text(rng.choice((first, second)), values))
            return self._styled(a), self._styled(b, 0.1), "false start"
        if way == "style":
            name = rng.choice(list(STYLES))
            b = STYLES[name](rng, self._text(first, values))
            return self._styled(a, 0.15), b, name
        return *self._both(first, second, values, values), kind

    def different(self) -> Found:
        """Return two questions that look alike and need different answers."""
        rng, values = self.rng, self._values()
        (_, first), (_, second) = self._two_asks()
        if rng.random() < 0.55:
            second = first
        way = rng.choices(
            ("slot", "look-alike", "turned", "narrower", "correction", "false start"),
            (36, 30, 14, 8, 8, 4),
        )[0]
        if way == "false start" and self.topic.others:
            kind, other = rng.choice(self.topic.others)
            a = self._text(self._nearest(first, other, kind), values)
            b = self._started(a, self._text(other, values))
            return self._styled(a), self._styled(b, 0.1), "false start to another"
        if way == "look-alike" and self.topic.others:
            kind, other = rng.choice(self.topic.others)
            one = self._nearest(first, other, kind)
            return *self._both(one, other, values, values), kind
        if way == "narrower" and self.topic.narrower:
            return self._restricted(first, second, values)
        if way == "turned":
            turned = self._turned(values, wanted=False)
            return turned and (*self._both(first, second, values, turned[0]), turned[1])
        if way == "correction":
            return self._corrected_away(first, second, values)
        key = rng.choice(list(values))
        changed, kind = self._changed(values, key)
        if f"{{{key}}}" not in first or f"{{{key}}}" not in second:
            return None
        return *self._both(first, second, values, changed), kind

    def _values(self) -> Values:
        """Draw a value for each slot of the topic; two slots of one name differ."""
        values: Values = {}
        lines = [text for _, text in self.topic.asks + self.topic.others] + self.topic.narrower
        for key in sorted({key for line in lines for key in _KEY.findall(line)}):
            slot = self.topic.slot(key)
            values[key] = slot.draw(self.rng)
            while any(values[key][0] == values[k][0] for k in values if k != key):
                values[key] = slot.draw(self.rng)
        return values

    def _two_asks(self) -> list[tuple[str, str]]:
        return self.rng.sample(self.topic.asks, 2)

    def _nearest(self, first: str, other: str, kind: str) -> str:
        """Mostly return the way to ask that shares most words with the look-alike.

        A few keywords leave open what is asked about them, so they differ from no question.
        """
        asks = [text for way, text in self.topic.asks if way != "keyword" or kind not in _OPEN]
        if self.rng.random() < 0.4 and first in asks:
            return first
        words = set(other.split())
        return max(asks, key=lambda text: len(words & set(text.split())))

    def _changed(self, values: Values, key: str) -> tuple[Values, str]:
        found, kind = self.topic.slot(key).other(self.rng, values[key])
        while any(found[0] == value[0] for value in values.values()):
            found, kind = self.topic.slot(key).other(self.rng, values[key])
        return values | {key: found}, kind

    def _turned(self, values: Values, *, wanted: bool) -> tuple[Values, str] | None:
        """Let two slots of one name change places; `wanted`: where that keeps the meaning."""
        names: dict[str, list[str]] = {}
        asked = {key for _, text in self.topic.asks for key in _KEY.findall(text)}
        for key in sorted(asked):
            names.setdefault(key.partition(".")[0], []).append(key)
        found = [
            (name, keys)
            for name, keys in names.items()
            if len(keys) > 1 and (name in self.topic.symmetric) == wanted
        ]
        if not found:
            return None
        name, (one, two, *_) = self.rng.choice(found)
        kinds = {
            "city": "direction",
            "colour": "modifiers swapped",
            "adjective": "modifiers swapped",
        }
        kind = kinds.get(name, "roles swapped")
        return values | {one: values[two], two: values[one]}, kind

    def _pieces(self, text: str, values: Values) -> list[tuple[str, str]]:
        """Return the text in pieces, each with the key of the slot that it fills."""
        pieces: list[tuple[str, str]] = []
        for place, part in enumerate(_KEY.split(text)):
            if place % 2 == 0:
                pieces.append((part, ""))
                continue
            ways = values[part]
            pieces.append((ways[0] if self.rng.random() < 0.8 else self.rng.choice(ways), part))
        return pieces

    def _text(self, text: str, values: Values) -> str:
        return _joined(self._pieces(text, values))

    def _phrase(self, text: str, values: Values) -> str:
        return "".join(piece for piece, _ in self._pieces(text, values))

    def _both(self, first: str, second: str, one: Values, two: Values) -> tuple[str, str]:
        return self._styled(self._text(first, one)), self._styled(self._text(second, two))

    def _styled(self, text: str, chance: float = 0.22) -> str:
        """Sometimes write in another style, whatever the label."""
        rng = self.rng
        if rng.random() >= chance:
            return text
        return STYLES[rng.choice(list(STYLES))](rng, text)

    def _variant(self, text: str, values: Values) -> Found:
        """Write one slot in two ways: an acronym, a synonym, a numeral in words."""
        keys = [key for key in _KEY.findall(text) if len(values[key]) > 1]
        if not keys:
            return None
        key = self.rng.choice(keys)
        one, two = self.rng.sample(values[key], 2)
        a, b = (self._text(text, values | {key: (way,)}) for way in (one, two))
        kind = "number in words" if self.topic.slot(key).kind == "number" else "acronym or synonym"
        return self._styled(a), self._styled(b), kind

    def _corrected(
        self, text: str, values: Values, key: str = "", wrong: Value = ()
    ) -> str | None:
        """Name a wrong value for a slot, then the right one."""
        rng = self.rng
        pieces = self._pieces(text, values)
        places = [place for place, (_, k) in enumerate(pieces) if k and key in ("", k)]
        if not places:
            return None
        place = rng.choice(places)
        right, found = pieces[place]
        wrong = wrong or self.topic.slot(found).other(rng, values[found])[0]
        before = pieces[place - 1][0].split() if place else []
        lead = before[-1] if before and before[-1] in _LEADING and rng.random() < 0.4 else ""
        marker = rng.choice(MARKERS)
        comma = rng.choice(("", "", ","))
        spoken = f"{wrong[0]}{comma} {marker}{comma} {lead} {right}"
        pieces[place] = (" ".join(spoken.split()), "")
        return _joined(pieces)

    def _started(self, begun: str, text: str) -> str:
        """Begin one sentence, give it up and say another."""
        words = begun.rstrip("?.").split()
        some = words[: self.rng.randint(2, max(2, min(len(words), 9)))]
        comma = self.rng.choice(("", "", ","))
        marker = self.rng.choice(MARKERS)
        return f"{' '.join(some)}{comma} {marker}{comma} {lower_first(text)}"

    def _corrected_away(self, first: str, second: str, values: Values) -> Found:
        """Name the value of the other question, then correct it to another one."""
        key = self.rng.choice(list(values))
        if f"{{{key}}}" not in first:
            return None
        changed, _ = self._changed(values, key)
        wrong = values[key] if self.rng.random() < 0.7 else ()
        b = self._corrected(second, changed, key, wrong)
        if b is None:
            return None
        kind = "self-correction to another"
        return self._styled(self._text(first, values)), self._styled(b, 0.1), kind

    def _narrowed(self, first: str, second: str, values: Values) -> Found:
        """Put one restriction on both, at the end or at the start."""
        restriction = self._phrase(self.rng.choice(self.topic.narrower), values)
        a = _at_end(self._text(first, values), restriction)
        text = self._text(self.rng.choice((first, second)), values)
        b = f"{restriction[:1].upper()}{restriction[1:]}, {lower_first(text)}"
        return self._styled(a), self._styled(b), "restriction moved"

    def _restricted(self, first: str, second: str, values: Values) -> Found:
        """Put a restriction on one, or another one on each."""
        a, b = self._text(first, values), self._text(second, values)
        one, two = (self._phrase(text, values) for text in self.rng.sample(self.topic.narrower, 2))
        if self.rng.random() < 0.6:
            return self._styled(a), self._styled(_at_end(b, one)), "added restriction"
        return self._styled(_at_end(a, one)), self._styled(_at_end(b, two)), "other restriction"


def _joined(pieces: list[tuple[str, str]]) -> str:
    text = "".join(piece for piece, _ in pieces)
    return _ARTICLE.sub(lambda found: found[1] + "n ", text[:1].upper() + text[1:])


def _at_end(text: str, restriction: str) -> str:
    mark = text[-1] if text[-1] in "?." else ""
    return f"{text.rstrip('?.')} {restriction}{mark}"


if __name__ == "__main__":
    for pair in islice(pairs(7, 100_000), int(sys.argv[1]) if len(sys.argv) > 1 else 40):
        print(f"{'same' if pair.same else 'different'} ({pair.kind}): {pair.a} | {pair.b}")
