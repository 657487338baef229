"""The traps: files of pairs, one `a | b` a line, and the real cosines of their embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from aegis_llm.testing import MiniLM

_HERE = Path(__file__).parent
LANGUAGES = ("german", "french", "other_languages")


class Trap(NamedTuple):
    """Two questions and the file that they stand in."""

    a: str
    b: str
    kind: str

    @property
    def cosine(self) -> float:
        """The similarity of the two embeddings."""
        vectors = _vectors()
        return float(vectors[self.a] @ vectors[self.b])


def different() -> list[Trap]:
    """Return look-alikes in English that must not share an answer."""
    return _folder("different") + _read(_HERE / "look_alikes.txt")


def look_alikes() -> list[Trap]:
    """Return the forty look-alikes that are asked through a model."""
    return _read(_HERE / "look_alikes.txt")


def same() -> list[Trap]:
    """Return rewordings in English."""
    return _folder("same")


def foreign(label: str) -> list[Trap]:
    """Return the pairs of other languages, "same" or "different"."""
    found: list[Trap] = []
    for language in LANGUAGES:
        text = (_HERE / f"{language}.txt").read_text(encoding="utf8")
        differing, _, alike = text.removeprefix("different\n").partition("same\n")
        found += _traps((alike if label == "same" else differing).splitlines(), language)
    return found


def named(trap: Trap) -> str:
    """Return the name that a pair has in a test report."""
    return f"{trap.kind}: {trap.a}"


def _folder(name: str) -> list[Trap]:
    return [trap for path in sorted((_HERE / name).glob("*.txt")) for trap in _read(path)]


def _read(path: Path) -> list[Trap]:
    return _traps(path.read_text(encoding="utf8").splitlines(), path.stem)


def _traps(lines: Iterable[str], kind: str) -> list[Trap]:
    pairs = (line.split(" | ") for line in lines)
    return [Trap(a.strip(), b.strip(), kind) for a, b in pairs]


@cache
def _vectors() -> dict[str, np.ndarray]:
    traps = [*different(), *same(), *foreign("same"), *foreign("different")]
    texts = sorted({text for trap in traps for text in trap[:2]}, key=len)
    return dict(zip(texts, np.asarray(MiniLM().embed(texts)), strict=True))
