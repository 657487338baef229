"""What the training and the measuring share: examples, folds, forests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aegis_llm.gates.vetoes import first_veto
from aegis_llm.matching.features import NAMES, features
from aegis_llm.matching.forest import Forest
from aegis_llm.matching.reading import Pair, written_words
from aegis_llm.matching.verifier import AGREED, SURE, agree
from benchmarks.matching.data import Cosines, Row, rows
from benchmarks.matching.templates import pairs as template_pairs

FOLDS = 5
TEMPLATES, TEMPLATE_SEED = 6000, 7
TEMPLATE_WEIGHT = 0.5
_LEAST_TEXTS = 5
_TREES, _LEAVES, _DEPTH = 200, 31, 7
_FORESTS = ((0, False), (1, True))
"""Seed of each forest, and whether it saw the templates: the mean of both carries over better
to unseen kinds of questions than either, at little cost on the kinds that were seen."""


@dataclass(frozen=True)
class Words:
    """Inverse document frequency of the words in the texts, in tenths."""

    tenths: dict[str, int]
    rarest: float

    @property
    def rarity(self) -> dict[str, float]:
        return {word: tenth / 10 for word, tenth in self.tenths.items()}

    def arrays(self) -> dict[str, Any]:
        joined = "\n".join(self.tenths).encode()
        return {
            "words": np.frombuffer(joined, np.uint8),
            "rarity": np.array(list(self.tenths.values()), np.uint8),
            "rarest": np.float32(self.rarest),
        }


@dataclass(frozen=True)
class Examples:
    """Features and labels of pairs; `open`: no veto, `sure`: a correction alone."""

    x: Any
    same: Any
    open: Any
    sure: Any
    weight: float = 1.0

    def final(self, scores: Any) -> Any:
        """Return what the matcher makes of scores: 0 where a veto stands."""
        agreed = np.array([agree(row) for row in self.x], bool)
        raised = np.where(agreed, np.maximum(scores, AGREED), scores)
        return np.where(self.sure, SURE, np.where(self.open, raised, 0.0))


def counted(folder: Path, texts: Iterable[str]) -> Words:
    """Count in how many texts each word occurs."""
    every = set(texts)
    every |= {row["text"] for row in rows(folder, "queries_dev")}
    every |= {row["question"] for row in rows(folder, "rag_dev")}
    every |= {row["text"] for row in rows(folder, "intents_dev")}
    counts: Counter[str] = Counter()
    for text in every:
        counts.update({word.lower() for word in written_words(text)})
    total = len(every)
    kept = sorted(word for word, count in counts.items() if count >= _LEAST_TEXTS)
    tenths = {word: round(10 * math.log(total / (1 + counts[word]))) for word in kept}
    return Words(tenths, round(math.log(total / 3), 1))


def examples(pairs: Sequence[Row], cosine: Cosines, words: Words, weight: float = 1.0) -> Examples:
    """Read rows with `a`, `b` and `same`."""
    cosine.learn(text for row in pairs for text in (row["a"], row["b"]))
    rarity = words.rarity
    x, open_, sure = [], [], []
    for row in pairs:
        pair = Pair(row["a"], row["b"])
        x.append(features(pair, cosine(row["a"], row["b"]), rarity, words.rarest))
        vetoed = pair.other_correction or first_veto(pair.a.facts, pair.b.facts) is not None
        open_.append(not vetoed)
        sure.append(pair.corrected)
    same = np.array([row["same"] for row in pairs], bool)
    shape = np.asarray(x, np.float32).reshape(len(pairs), len(NAMES))
    return Examples(shape, same, np.array(open_, bool), np.array(sure, bool), weight)


def template_examples(cosine: Cosines, words: Words) -> Examples:
    """Pairs of the project's own templates."""
    found = {(p.a, p.b): p.same for p in template_pairs(TEMPLATE_SEED, TEMPLATES)}
    made = [{"a": a, "b": b, "same": same} for (a, b), same in found.items()]
    return examples(made, cosine, words, TEMPLATE_WEIGHT)


@dataclass(frozen=True)
class Prepared:
    """All that training and measuring begin with."""

    pairs: list[Row]
    cosine: Cosines
    words: Words
    known: Examples
    beside: list[Examples]
    fold: Any


def prepared(folder: Path, kept: Path | None = None) -> Prepared:
    """Read the development pairs and the templates."""
    cosine = Cosines(kept)
    pairs = rows(folder, "pairs_dev")
    words = counted(folder, [row[side] for row in pairs for side in ("a", "b")])
    known = examples(pairs, cosine, words)
    return Prepared(
        pairs, cosine, words, known, [template_examples(cosine, words)], folds_of(pairs)
    )


def folds_of(pairs: Sequence[Row], seed: int = 0) -> Any:
    """Return the fold of each pair; texts that occur together are in one fold."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        while parent.setdefault(text, text) != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for row in pairs:
        parent[root(row["a"])] = root(row["b"])
    groups = {name: place for place, name in enumerate(dict.fromkeys(root(r["a"]) for r in pairs))}
    drawn = np.random.RandomState(seed).randint(0, FOLDS, len(groups))
    return np.array([drawn[groups[root(row["a"])]] for row in pairs])


def fitted(known: Examples, beside: Sequence[Examples], use: Any = None) -> list[Any]:
    """Return the boosted models, trained on the pairs that no veto refuses."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    models = []
    for seed, with_templates in _FORESTS:
        parts = [_part(known, use)]
        parts += [_part(more) for more in beside] if with_templates else []
        x, y, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
        model = HistGradientBoostingClassifier(
            max_iter=_TREES, max_leaf_nodes=_LEAVES, max_depth=_DEPTH, learning_rate=0.05,
            max_features=0.3, min_samples_leaf=30, l2_regularization=1.0, random_state=seed,
        )  # fmt: skip
        models.append(model.fit(x, y, sample_weight=weight))
    return models


def _part(some: Examples, use: Any = None) -> tuple[Any, Any, Any]:
    kept = some.open | some.sure
    if use is not None:
        kept &= use
    return some.x[kept], some.same[kept], np.full(int(kept.sum()), some.weight)


def raw_scores(models: Sequence[Any], x: Any) -> Any:
    """Return P(same) as the shipped forest computes it: the logistic of the mean of the sums."""
    total = np.mean([model.decision_function(x) for model in models], axis=0)
    return 1 / (1 + np.exp(-total))


def out_of_fold(known: Examples, beside: Sequence[Examples], fold: Any) -> Any:
    """Return the score of each pair by models that never saw its fold."""
    scores = np.zeros(len(known.same))
    for place in np.unique(fold):
        models = fitted(known, beside, fold != place)
        scores[fold == place] = raw_scores(models, known.x[fold == place])
    return known.final(scores)


def forest_of(models: Sequence[Any]) -> Forest:
    """Return the trees of all models as one forest whose sum is the mean of theirs."""
    feature: list[int] = []
    limit: list[float] = []
    left: list[int] = []
    value: list[float] = []
    roots: list[int] = []
    depth = 0
    trees = [tree.nodes for model in models for (tree,) in model._predictors]
    for nodes in trees:
        roots.append(len(feature))
        depth = max(depth, int(nodes["depth"].max()))
        waiting, start = [0], len(feature)
        for place in waiting:  # grows: both nodes below stand behind all that wait
            node, own = nodes[place], len(feature)
            leaf = bool(node["is_leaf"])
            feature.append(0 if leaf else int(node["feature_idx"]))
            limit.append(math.inf if leaf else float(node["num_threshold"]))
            value.append(float(node["value"]) / len(models) if leaf else 0.0)
            left.append(own if leaf else start + len(waiting))
            if not leaf:
                waiting += [int(node["left"]), int(node["right"])]
    return Forest(
        feature=np.array(feature, np.intp),
        limit=np.array(limit, np.float32),
        left=np.array(left, np.intp),
        value=np.array(value, np.float32),
        roots=np.array(roots, np.intp),
        depth=depth,
        base=float(np.mean([float(model._baseline_prediction.ravel()[0]) for model in models])),
    )
