"""The development data, and the real cosines of its texts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from aegis_llm.testing import MiniLM

Row = dict[str, Any]
DATA = Path("../shared/data")
_BATCH = 512


def rows(folder: Path, name: str) -> list[Row]:
    """Return the rows of one file."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf8") as lines:
        return [json.loads(line) for line in lines]


def present(folder: Path, *names: str) -> bool:
    """Tell whether the folder holds these files."""
    return all((folder / f"{name}.jsonl.gz").is_file() for name in names)


class Cosines:
    """Cosine similarity of any two texts by all-MiniLM-L6-v2.

    With `kept`, vectors are read from that file and new ones added to it.
    """

    def __init__(self, kept: Path | None = None) -> None:
        self._kept = kept
        self._place: dict[str, int] = {}
        self._vectors = np.zeros((0, MiniLM.dimensions), np.float32)
        if kept is not None and kept.is_file():
            with np.load(kept) as found:
                self._vectors = found["vectors"]
                texts = bytes(found["texts"]).decode("utf8", "surrogatepass").split("\x00")
            self._place = {text: place for place, text in enumerate(texts)}

    def learn(self, texts: Iterable[str]) -> None:
        """Embed the texts that are not known yet; 30,000 take some minutes on one core."""
        new = sorted(set(texts) - self._place.keys(), key=len)
        if not new:
            return
        model = MiniLM()
        parts = [
            np.asarray(model.embed(new[at : at + _BATCH])) for at in range(0, len(new), _BATCH)
        ]
        for text in new:
            self._place[text] = len(self._place)
        self._vectors = np.concatenate([self._vectors, *parts])
        if self._kept is not None:
            joined = "\x00".join(self._place).encode("utf8", "surrogatepass")
            np.savez(self._kept, vectors=self._vectors, texts=np.frombuffer(joined, np.uint8))

    def __call__(self, a: str, b: str) -> float:
        return float(self._vectors[self._place[a]] @ self._vectors[self._place[b]])

    def vector(self, text: str) -> Any:
        """Return the vector of a known text."""
        return self._vectors[self._place[text]]
