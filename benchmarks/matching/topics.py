"""Reading the hand-written topics: what can be asked about one matter, and what differs.

A topic in `texts/` starts with `## name` and holds lines of these forms:

    slot (kind): first/other way | second    values of a slot; another value asks something else
    = How do I {slot} the {city}?            one way to ask; `=kind ...` names the way
    ! kind: Why do I {slot} the {city}?      a look-alike that asks something else
    + with children | in winter              restrictions: each one asks something narrower
    ~ city                                   two slots of this name may change places
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from benchmarks.matching.fillers import TEXTS, Slot, listed, parts_of, slots


@dataclass
class Topic:
    """Ways to ask one thing (`asks`: kind and text), look-alikes, restrictions and own slots."""

    name: str
    slots: dict[str, Slot]
    asks: list[tuple[str, str]] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)
    narrower: list[str] = field(default_factory=list)
    symmetric: set[str] = field(default_factory=set)

    def slot(self, key: str) -> Slot:
        """Return the slot that a key such as "city.2" belongs to."""
        return self.slots[key.partition(".")[0]]


@cache
def topics() -> tuple[Topic, ...]:
    """Return all topics, in the order of their files and lines."""
    found: list[Topic] = []
    common = slots()
    for path in sorted(TEXTS.glob("*.txt")):
        if path.stem == "fillers":
            continue
        for line in filter(None, path.read_text(encoding="utf8").splitlines()):
            if line.startswith("## "):
                found.append(Topic(line[3:], dict(common)))
            else:
                _read(found[-1], line)
    return tuple(found)


def _read(topic: Topic, line: str) -> None:
    mark, rest = line[0], line[1:]
    if mark == "=":
        kind, text = _kind_of(rest)
        topic.asks.append((kind, text))
    elif mark == "!":
        kind, _, text = rest.strip().partition(": ")
        topic.others.append((kind, text))
    elif mark == "+":
        topic.narrower += [part.strip() for part in rest.split(" | ")]
    elif mark == "~":
        topic.symmetric |= set(rest.split())
    else:
        name, kind, values = parts_of(line)
        topic.slots[name] = listed(kind, values)


_KINDS = (
    "frame", "keyword", "passive", "clause order", "genitive", "symmetric", "statement", "synonym",
    "roles kept",
)  # fmt: skip


def _kind_of(rest: str) -> tuple[str, str]:
    for kind in _KINDS:
        if rest.startswith(kind + " "):
            return kind, rest[len(kind) + 1 :]
    return "frame", rest.strip()
