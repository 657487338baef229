"""Boosted trees, evaluated by NumPy alone."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

LEAF: Final = -1


class Forest(msgspec.Struct, frozen=True):
    """The nodes of all trees in one row of arrays.

    `feature` is the place of what a node looks at, or -1 in a leaf; `value` its threshold (at most
    goes left), or what a leaf adds. `left` and `right` are places of nodes; `roots` is where the
    trees begin, `depth` the longest way down, `base` what is added to every sum.
    """

    feature: NDArray[np.int16]
    value: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    roots: NDArray[np.int32]
    depth: int
    base: float

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return P(same) of each row of features, shape (n,)."""
        count, width = rows.shape
        flat = rows.ravel()
        offsets = np.repeat(np.arange(count, dtype=np.int32) * width, len(self.roots))
        nodes = np.tile(self.roots, count)
        for _ in range(self.depth):
            feature = self.feature[nodes]
            goes_left = flat[offsets + feature] <= self.value[nodes]
            nodes = np.where(goes_left, self.left[nodes], self.right[nodes])
        total = self.value[nodes].reshape(count, -1).sum(axis=1, dtype=np.float64) + self.base
        chances: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-total))
        return chances

    def arrays(self) -> dict[str, Any]:
        """Return what a file has to hold."""
        return msgspec.structs.asdict(self)


def from_arrays(found: Any) -> Forest:
    """Return the forest of a file's arrays."""
    return Forest(
        feature=found["feature"],
        value=found["value"],
        left=found["left"],
        right=found["right"],
        roots=found["roots"],
        depth=int(found["depth"]),
        base=float(found["base"]),
    )
