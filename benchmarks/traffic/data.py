"""The questions of a stream: which ask the same, and which only look alike."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass
class Questions:
    """Texts in groups that ask the same.

    `groups` holds the texts of each group, `group_of` the group of each text. Two texts are in one
    group when a chain of pairs labelled "same", or of texts written alike, joins them.
    `look_alikes` names for a text those that a label tells from it; such a label counts even
    inside one group.
    """

    groups: list[list[str]] = field(default_factory=list)
    group_of: dict[str, int] = field(default_factory=dict)
    look_alikes: dict[str, set[str]] = field(default_factory=dict)

    def same(self, asked: str, served: str) -> bool:
        """Tell whether an answer to one is right for the other, as far as the labels say."""
        if asked == served:
            return True
        return not self.told_apart(asked, served) and self.group_of[asked] == self.group_of[served]

    def told_apart(self, asked: str, served: str) -> bool:
        """Tell whether a label says that the two ask something else."""
        return served in self.look_alikes.get(asked, ())


def read(folder: Path, sources: Sequence[str] = ()) -> Questions:
    """Read the groups and look-alikes of `pairs_dev` and the single questions of `queries_dev`.

    `sources` are those of the pairs; none: all.
    """
    pairs = _rows(folder / "pairs_dev.jsonl.gz")
    kept = [row for row in pairs if not sources or row["source"] in sources]
    return grouped(kept, _rows(folder / "queries_dev.jsonl.gz"))


def grouped(pairs: list[Row], queries: list[Row]) -> Questions:
    """Join what the labels of `pairs` call the same, whatever the order of the rows."""
    leader: dict[str, str] = {}

    def find(text: str) -> str:
        leader.setdefault(text, text)
        while leader[text] != text:
            leader[text] = leader[leader[text]]
            text = leader[text]
        return text

    found = Questions(look_alikes=defaultdict(set))
    for row in pairs:
        a, b = find(row["a"]), find(row["b"])
        if row["same"]:
            leader[max(a, b)] = min(a, b)
        elif row["a"] != row["b"]:
            found.look_alikes[row["a"]].add(row["b"])
            found.look_alikes[row["b"]].add(row["a"])
    for row in queries:
        find(row["text"])
    alike: dict[str, str] = {}
    for text in sorted(leader):
        one, other = find(text), find(alike.setdefault(_bare(text), text))
        leader[max(one, other)] = min(one, other)
    members: dict[str, list[str]] = defaultdict(list)
    for text in sorted(leader):
        members[find(text)].append(text)
    for texts in members.values():
        found.group_of.update(dict.fromkeys(texts, len(found.groups)))
        found.groups.append(texts)
    found.look_alikes = dict(found.look_alikes)
    return found


def _bare(text: str) -> str:
    """Return a text without what is mere writing: capitals, spaces, end marks, curly quotes."""
    return " ".join(text.casefold().replace("\u2019", "'").split()).rstrip("?!. ")


def _rows(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf8") as lines:
        return [json.loads(line) for line in lines]
