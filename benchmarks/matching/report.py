"""Measure the matcher on the development data and write its tables.

    python -m benchmarks.matching.report [--data FOLDER] [--vectors FILE] [--markdown PAGE]

Every pair is scored by forests that never saw it: five folds for the pairs, one fold per source
for what carries over, two halves for the questions on one context. Needs dependency group `train`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from aegis_llm.matching import Matcher, route
from benchmarks.common.report import write
from benchmarks.matching.data import DATA, Cosines, Row, present, rows
from benchmarks.matching.learning import (
    Examples,
    examples,
    fitted,
    out_of_fold,
    prepared,
    raw_scores,
)
from benchmarks.matching.slots import other_slots
from benchmarks.matching.train import BALANCED, STRICT, threshold_of

_FILES = ("pairs_dev", "rag_dev", "rag_edits_dev", "queries_dev", "intents_dev")
_SETTINGS = (("strict", STRICT), ("balanced", BALANCED))


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def recall_at(scores: Any, same: Any, precision: float) -> float:
    """Return the greatest recall at which so many of the served are right."""
    order = np.argsort(-scores)
    order = order[scores[order] > 0]
    right = np.cumsum(same[order])
    good = np.flatnonzero(right / np.arange(1, len(order) + 1) >= precision)
    return float(right[good[-1]] / same.sum()) if len(good) else 0.0


def by_source(pairs: Sequence[Row], scores: Any, same: Any) -> Iterator[str]:
    """Write one line per source: what each setting serves of the same and of the different."""
    sources = np.array([row["source"] for row in pairs])
    head = [f"{name}: precision | recall | false reuse" for name, _ in _SETTINGS]
    yield "| source | same | different | " + " | ".join(head) + " |"
    yield "|---" * (3 + 3 * len(_SETTINGS)) + "|"
    for source in [*sorted(set(sources)), "all"]:
        chosen = np.ones(len(pairs), bool) if source == "all" else sources == source
        count, others = int((chosen & same).sum()), int((chosen & ~same).sum())
        cells = [source, str(count), str(others)]
        for _, wrong_share in _SETTINGS:
            served = chosen & (scores >= threshold_of(scores, same, wrong_share))
            right, wrong = int((served & same).sum()), int((served & ~same).sum())
            cells += [share(right, right + wrong), share(right, count), share(wrong, others)]
        yield "| " + " | ".join(cells) + " |"


def nested(pairs: Sequence[Row], scores: Any, same: Any, fold: Any) -> Iterator[str]:
    """Write what is served when each fold's threshold is chosen by the other folds alone."""
    yield "| setting | precision | recall | pairs served |"
    yield "|---|---|---|---|"
    for name, wrong_share in _SETTINGS:
        served = np.zeros(len(pairs), bool)
        for place in np.unique(fold):
            there = fold == place
            threshold = threshold_of(scores[~there], same[~there], wrong_share)
            served[there] = scores[there] >= threshold
        right = int((served & same).sum())
        cells = (share(right, int(served.sum())), share(right, int(same.sum())))
        yield f"| `{name}` | {cells[0]} | {cells[1]} | {int(served.sum())} |"


def unseen_sources(
    pairs: Sequence[Row], known: Examples, beside: Sequence[Examples]
) -> Iterator[str]:
    """Write how far the score carries over to kinds of questions that it never saw."""
    names = np.array([row["source"] for row in pairs])
    places = np.unique(names, return_inverse=True)[1]
    scores = out_of_fold(known, beside, places)
    found = ", ".join(f"{recall_at(scores, known.same, p):.3f} at {p}" for p in (0.95, 0.9, 0.85))
    yield f"Leave one source out: recall {found} precision."
    for name, wrong_share in _SETTINGS:
        threshold = threshold_of(_folded["scores"], known.same, wrong_share)
        served = scores >= threshold
        right = int((served & known.same).sum())
        yield (
            f"At the threshold of `{name}`: precision {share(right, int(served.sum()))}, "
            f"recall {share(right, int(known.same.sum()))}."
        )


_folded: dict[str, Any] = {}


def on_one_context(
    folder: Path, pairs: Sequence[Row], known: Examples, beside: Sequence[Examples],
    cosine: Cosines, words: Any,
) -> Iterator[str]:  # fmt: skip
    """Write what is served between different questions on one context, and of the rewordings."""
    found = rows(folder, "rag_dev")
    contexts = sorted({row["context_id"] for row in found})
    counts: dict[str, list[int]] = {name: [0, 0, 0, 0] for name, _ in _SETTINGS}
    for half in (0, 1):
        held = set(contexts[half::2])
        texts = {t for r in found if r["context_id"] in held
                 for t in (r["question"], *r.get("paraphrases", ()))}  # fmt: skip
        use = np.array([row["a"] not in texts and row["b"] not in texts for row in pairs])
        models = fitted(known, beside, use)
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in found:
            if row["context_id"] in held:
                groups[row["context_id"]].append(row)
        different = [
            {"a": one["question"], "b": other["question"], "same": False}
            for group in groups.values()
            for one, other in combinations(group, 2)
            if one["question"] != other["question"]
        ]
        reworded = [
            {"a": row["question"], "b": told, "same": True}
            for group in groups.values()
            for row in group
            for told in row.get("paraphrases", ())
        ]
        for place, made in ((0, different), (2, reworded)):
            told = examples(made, cosine, words)
            scores = told.final(raw_scores(models, told.x))
            for name, wrong_share in _SETTINGS:
                threshold = threshold_of(_folded["scores"], known.same, wrong_share)
                counts[name][place] += int((scores >= threshold).sum())
                counts[name][place + 1] += len(made)
    yield "| setting | different questions on one context, served | rewordings, served |"
    yield "|---|---|---|"
    for name, (wrong, of_wrong, right, of_right) in counts.items():
        yield (
            f"| `{name}` | {wrong} of {of_wrong} ({100 * wrong / of_wrong:.2f} %) "
            f"| {right} of {of_right} ({100 * right / of_right:.0f} %) |"
        )


def of_one_intent(folder: Path, cosine: Cosines) -> Iterator[str]:
    """Write what is served between requests of one intent, by the shipped weights."""
    groups: dict[str, set[str]] = defaultdict(set)
    for row in rows(folder, "intents_dev"):
        groups[row["intent"]].add(row["text"])
    made = [pair for texts in groups.values() for pair in combinations(sorted(texts), 2)]
    cosine.learn(text for pair in made for text in pair)
    slotted = [other_slots(a, b) for a, b in made]
    yield "| setting | requests of one intent, served | of those with other slots |"
    yield "|---|---|---|"
    kinds = {text: route(text).kind for pair in made for text in pair}
    for name, _ in _SETTINGS:
        matcher = Matcher(name)  # type: ignore[arg-type]
        served = [
            kinds[a] == kinds[b] == "reuse" and matcher.decide(a, b, cosine(a, b)).accept
            for a, b in made
        ]
        both = sum(hit and slot for hit, slot in zip(served, slotted, strict=True))
        yield (
            f"| `{name}` | {sum(served)} of {len(made)} ({100 * sum(served) / len(made):.2f} %) "
            f"| {both} of {sum(slotted)} ({100 * both / sum(slotted):.2f} %) |"
        )


def mistakes(pairs: Sequence[Row], scores: Any, same: Any, count: int) -> Iterator[str]:
    """Write pairs that `strict` serves though they are labelled different, surest first."""
    threshold = threshold_of(scores, same, STRICT)
    wrong = [
        place for place in np.argsort(-scores) if scores[place] >= threshold and not same[place]
    ]
    by_kind: dict[str, int] = defaultdict(int)
    for place in wrong:
        by_kind[pairs[place]["source"]] += 1
    told = ", ".join(f"{name} {number}" for name, number in sorted(by_kind.items()))
    yield f"Served by `strict` though labelled different: {len(wrong)} ({told})."
    for place in wrong[:count]:
        yield f"{scores[place]:.3f} {pairs[place]['a']} | {pairs[place]['b']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--vectors", type=Path, help="keep the vectors of the texts in this file")
    parser.add_argument("--markdown", type=Path, help="write the tables into this page")
    parser.add_argument("--examples", type=int, default=0, help="print so many mistakes")
    options = parser.parse_args()
    if not present(options.data, *_FILES):
        print(f"nothing to measure: {options.data} does not hold {', '.join(_FILES)}")
        return 1
    made = prepared(options.data, options.vectors)
    pairs, cosine, words, fold = made.pairs, made.cosine, made.words, made.fold
    known, beside = made.known, made.beside
    scores = _folded["scores"] = out_of_fold(known, beside, fold)
    parts: list[Callable[[], Iterator[str]]] = [
        lambda: nested(pairs, scores, known.same, fold),
        lambda: by_source(pairs, scores, known.same),
        lambda: unseen_sources(pairs, known, beside),
        lambda: on_one_context(options.data, pairs, known, beside, cosine, words),
        lambda: of_one_intent(options.data, cosine),
    ]
    lines: list[str] = []
    for part in parts:
        told = [*part(), ""]
        print("\n".join(told), flush=True)
        lines += told
    print("\n".join(mistakes(pairs, scores, known.same, options.examples)))
    if options.markdown:
        write(options.markdown, "matching", "\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
