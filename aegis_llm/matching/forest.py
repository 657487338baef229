"""Boosted trees, evaluated by NumPy alone."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


class Forest(msgspec.Struct, frozen=True):
    """The nodes of all trees in one row of arrays.

    Of the two nodes below another, the right one stands behind the left one. `feature` is the
    place of what a node looks at (at most `limit` goes left), `left` the place of the node below;
    a leaf is its own left one and has an infinite limit. `value` is what a leaf adds. `roots` is
    where the trees begin, `depth` the longest way down, `base` what is added to every sum.
    """

    feature: NDArray[np.intp]
    limit: NDArray[np.float32]
    left: NDArray[np.intp]
    value: NDArray[np.float32]
    roots: NDArray[np.intp]
    depth: int
    base: float

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return P(same) of each row of features, shape (n,)."""
        count, width = rows.shape
        flat = rows.ravel()
        offsets = np.repeat(np.arange(count, dtype=np.intp) * width, len(self.roots))
        nodes = np.tile(self.roots, count)
        for _ in range(self.depth):
            place = self.feature.take(nodes)
            place += offsets
            right = flat.take(place) > self.limit.take(nodes)
            nodes = self.left.take(nodes)
            nodes += right
        total = self.value.take(nodes).reshape(count, -1).sum(axis=1, dtype=np.float64)
        chances: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-total - self.base))
        return chances

    def arrays(self) -> dict[str, Any]:
        """Return what a file has to hold, in small types."""
        return {
            "feature": self.feature.astype(np.uint8),
            "limit": self.limit,
            "left": self.left.astype(np.uint32),
            "value": self.value,
            "roots": self.roots.astype(np.uint32),
            "depth": self.depth,
            "base": self.base,
        }


def from_arrays(found: Any) -> Forest:
    """Return the forest of a file's arrays."""
    return Forest(
        feature=found["feature"].astype(np.intp),
        limit=found["limit"],
        left=found["left"].astype(np.intp),
        value=found["value"],
        roots=found["roots"].astype(np.intp),
        depth=int(found["depth"]),
        base=float(found["base"]),
    )
