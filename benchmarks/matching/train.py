"""Train the verifier, choose its thresholds, and write the files that the package ships.

Run from the repository root, with the folder of development data (default `../shared/data`):

    python -m benchmarks.matching.train [--data FOLDER] [--vectors FILE] [--out FOLDER]

It needs scikit-learn (dependency group `train`). Neither `source`, `id` nor `tag` is a feature;
the folds keep texts that occur together in one fold, and the thresholds come from scores that
were made by forests which never saw the pair.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from aegis_llm.matching.features import NAMES
from aegis_llm.matching.verifier import CALIBRATED, Record
from benchmarks.matching.data import DATA, present
from benchmarks.matching.learning import (
    Examples,
    fitted,
    forest_of,
    out_of_fold,
    prepared,
)

_FILES = ("pairs_dev", "rag_dev", "queries_dev", "intents_dev")
SHIPPED = Path("aegis_llm/matching/shipped")
STRICT, BALANCED, GREY = 0.0285, 0.0785, 0.60
"""Observed shares of wrong hits, out of fold, at the thresholds of the two settings; and the
precision of the pair with which the grey zone begins."""


def threshold_of(scores: Any, labels: Any, wrong_share: float) -> float:
    """Return the least score at which at most this share of the accepted pairs is different."""
    order = np.argsort(-scores)
    order = order[scores[order] > 0]
    share = np.cumsum(~labels[order]) / np.arange(1, len(order) + 1)
    return float(scores[order][np.flatnonzero(share <= wrong_share)[-1]])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--vectors", type=Path, help="keep the vectors of the texts in this file")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()
    if not present(options.data, *_FILES):
        print(f"nothing to train on: {options.data} does not hold {', '.join(_FILES)}")
        return 1
    made = prepared(options.data, options.vectors)
    known, beside, words = made.known, made.beside, made.words
    scores = out_of_fold(known, beside, made.fold)
    strict = threshold_of(scores, known.same, STRICT)
    balanced = threshold_of(scores, known.same, BALANCED)
    forest = forest_of(fitted(known, beside))
    record = Record(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        embedder=CALIBRATED,
        features=list(NAMES),
        strict=strict,
        balanced=balanced,
        grey=GREY * balanced,
        trained=_told(known, beside, forest),
        measured={
            name: _measured(scores, known.same, threshold)
            for name, threshold in (("strict", strict), ("balanced", balanced))
        },
    )
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(msgspec.to_builtins(record), indent=1)
    (options.out / "verifier.json").write_text(text + "\n", encoding="utf8")
    np.savez_compressed(options.out / "verifier.npz", **forest.arrays(), **words.arrays())
    np.savez_compressed(
        options.out / "calibration.npz",
        scores=scores.astype(np.float32),
        labels=np.packbits(known.same),
    )
    print(json.dumps(record.measured, indent=1))
    return 0


def _told(known: Examples, beside: Sequence[Examples], forest: Any) -> dict[str, Any]:
    import sklearn

    return {
        "pairs": len(known.same),
        "same": int(known.same.sum()),
        "without veto": int(known.open.sum()),
        "templates": len(beside[0].same),
        "trees": len(forest.roots),
        "nodes": len(forest.feature),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }


def _measured(scores: Any, same: Any, threshold: float) -> dict[str, Any]:
    served = scores >= threshold
    right = int((served & same).sum())
    return {
        "hits": int(served.sum()),
        "precision": round(right / int(served.sum()), 4),
        "recall": round(right / int(same.sum()), 4),
    }


if __name__ == "__main__":
    raise SystemExit(main())
