"""A sentence embedder that needs no weights: hashed character n-grams."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 384
_WORDS = re.compile(r"\w+")
_SIZES = (3, 4, 5)


@lru_cache(maxsize=65_536)
def _bucket(gram: str) -> tuple[int, float]:
    value = int.from_bytes(blake2b(gram.encode(), digest_size=8).digest())
    return value % DIMENSIONS, 1.0 if value >> 63 else -1.0


def _grams(text: str) -> list[str]:
    found: list[str] = []
    for word in _WORDS.findall(text.lower()):
        padded = f"<{word}>"
        found.append(padded)
        found += [
            padded[start : start + size]
            for size in _SIZES
            for start in range(len(padded) - size + 1)
        ]
    return found or [f"<{text}>"]


class HashedNgrams:
    """Embed texts by their spelling; the same on every machine and in every process.

    Texts that share words come out close, paraphrases in other words do not.
    """

    name = "hashed-ngrams"
    dimensions = DIMENSIONS
    max_tokens = 8192

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of unit length per text, shape (n, 384)."""
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            for gram in _grams(text):
                column, sign = _bucket(gram)
                vectors[row, column] += sign
            if not vectors[row].any():
                vectors[row, 0] = 1.0
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def count(self, text: str) -> int:
        """Return how many tokens `text` has."""
        return len(_WORDS.findall(text))
