"""The stream: half exact repeats, 30 % rewordings, 20 % new questions, popularity by Zipf."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Literal, NamedTuple

from benchmarks.traffic.data import Questions

Kind = Literal["warm", "repeat", "rewording", "look-alike", "new"]
_TRIES = 200


class Request(NamedTuple):
    """One question of the stream; "warm" ones fill the cache and are not counted."""

    text: str
    kind: Kind


@dataclass(frozen=True)
class Shape:
    """What a stream consists of.

    Attributes:
        requests: How many requests are counted.
        warm: How many questions were asked before; every other one has several wordings.
        repeats: Share of requests that repeat a text exactly.
        rewordings: Share that asks what was asked before in words not seen before.
        look_alikes: Share of the new questions that a label tells from one asked before.
        zipf: Exponent of the popularity of a question by its rank.
    """

    requests: int = 6000
    warm: int = 3000
    repeats: float = 0.5
    rewordings: float = 0.3
    look_alikes: float = 0.25
    zipf: float = 1.0


def stream(questions: Questions, shape: Shape, seed: int) -> list[Request]:
    """Return the stream that a seed decides."""
    return list(_Asking(questions, shape, Random(seed)).requests())


class _Asking:
    """Draws requests, and knows what was asked so far."""

    def __init__(self, questions: Questions, shape: Shape, rng: Random) -> None:
        self._questions = questions
        self._shape = shape
        self._rng = rng
        self._ranked = list(range(len(questions.groups)))
        rng.shuffle(self._ranked)
        weights = (1 / (rank + 1) ** shape.zipf for rank in range(len(self._ranked)))
        self._weights = list(accumulate(weights))
        self._texts: dict[int, list[str]] = {}  # asked so far, by group
        self._fresh: dict[int, list[str]] = {}  # groups asked with texts not yet asked
        self._alike: list[str] = []

    def requests(self) -> Iterator[Request]:
        shape, rng = self._shape, self._rng
        for number in range(shape.warm):
            yield self._ask(self._new(least=1 + number % 2), "warm")
        for _ in range(shape.requests):
            drawn = rng.random()
            if drawn < shape.repeats:
                yield self._ask(rng.choice(self._texts[self._popular(self._texts)]), "repeat")
            elif drawn < shape.repeats + shape.rewordings:
                yield self._ask(rng.choice(self._fresh[self._popular(self._fresh)]), "rewording")
            else:
                alike = self._look_alike() if rng.random() < shape.look_alikes else None
                text = alike or self._new()
                yield self._ask(text, "look-alike" if alike else "new")

    def _popular(self, among: dict[int, list[str]]) -> int:
        """Draw a group by its popularity, among some."""
        for _ in range(_TRIES):
            (group,) = self._rng.choices(self._ranked, cum_weights=self._weights)
            if group in among:
                return group
        return self._rng.choice(list(among))

    def _new(self, least: int = 1) -> str:
        """Return a text of a group not yet asked that has at least that many texts."""
        groups = self._questions.groups
        for _ in range(_TRIES):
            (group,) = self._rng.choices(self._ranked, cum_weights=self._weights)
            if group not in self._texts and len(groups[group]) >= least:
                break
        else:
            left = [g for g in self._ranked if g not in self._texts and len(groups[g]) >= least]
            group = self._rng.choice(left)
        return self._rng.choice(groups[group])

    def _look_alike(self) -> str | None:
        """Return a text of a new group that a label tells from a text asked before."""
        while self._alike:
            place = self._rng.randrange(len(self._alike))
            self._alike[place], self._alike[-1] = self._alike[-1], self._alike[place]
            text = self._alike.pop()
            if self._questions.group_of[text] not in self._texts:
                return text
        return None

    def _ask(self, text: str, kind: Kind) -> Request:
        group = self._questions.group_of[text]
        asked = self._texts.setdefault(group, [])
        if text not in asked:
            asked.append(text)
            self._alike += sorted(self._questions.look_alikes.get(text, ()))
        fresh = [other for other in self._questions.groups[group] if other not in asked]
        if fresh:
            self._fresh[group] = fresh
        else:
            self._fresh.pop(group, None)
        return Request(text, kind)
