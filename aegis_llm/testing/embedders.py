"""The choice of a sentence embedder for the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aegis_llm.testing.minilm import MiniLM
from aegis_llm.testing.ngrams import HashedNgrams


class Embedder(Protocol):
    """Turn texts into vectors of unit length."""

    @property
    def name(self) -> str:
        """Name shown to people."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens beyond which a text is cut off."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of unit length per text, shape (n, dimensions)."""
        ...

    def count(self, text: str) -> int:
        """Return how many tokens `text` has."""
        ...


def best_embedder() -> Embedder:
    """Return MiniLM where its weights are installed, else hashed n-grams."""
    return MiniLM() if MiniLM.available() else HashedNgrams()
