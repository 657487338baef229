"""`aegis-llm calibrate`: the threshold of the score, chosen by pairs that the user labelled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.progress import Progress
from rich.table import Table

from aegis_llm.bounds import upper_bound
from aegis_llm.cli_options import OllamaUrl
from aegis_llm.cli_parts import OllamaEmbedder, console, cosine, refuse, sentences
from aegis_llm.config import CacheConfig
from aegis_llm.keys import normal_model
from aegis_llm.labelled import Pair, read_pairs
from aegis_llm.matching import Matcher, route
from aegis_llm.matching.calibration import Calibration, dump, threshold_for

_BATCH = 64


def calibrate(
    pairs: Annotated[
        Path, typer.Option(help='Lines of JSON: {"a": "...", "b": "...", "same": true}.')
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("calibration.json"),
    max_wrong_hits: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Largest share of wrong hits.")
    ] = 0.02,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="How sure that has to be.")
    ] = 0.95,
    embedding_model: Annotated[str, typer.Option(help="On an Ollama.")] = "all-minilm",
    ollama_url: OllamaUrl = None,
) -> None:
    """Choose the threshold for an embedding model by your own labelled pairs of questions.

    The file holds scores and labels without any text; use it with CacheConfig(calibration=...).
    """
    if not out.parent.is_dir():
        refuse(f"{out}: there is no folder {out.parent}; make it, or give another --out.")
    if out.is_dir():
        refuse(f"{out} is a folder; give a file as --out.")
    try:
        lines = pairs.read_bytes().splitlines()
    except OSError as exc:
        refuse(f"{pairs} cannot be read: {exc.strerror}.")
    with sentences(), OllamaEmbedder(embedding_model, ollama_url) as embedder:
        labelled = read_pairs(lines, pairs.name)
        scores = score_all(labelled, embedder)
        labels = [pair.same for pair in labelled]
        threshold = threshold_for(scores, labels, max_wrong_hits, confidence)
        made = Calibration(
            embedder=normal_model(embedding_model),
            digest=embedder.digest(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            scores=scores,
            labels=labels,
            max_wrong_hits=max_wrong_hits,
            confidence=confidence,
            threshold=threshold,
        )
        draft = out.with_name(out.name + ".new")
        try:
            draft.write_bytes(dump(made))
            draft.replace(out)
        except OSError as exc:
            refuse(f"{out} cannot be written: {exc.strerror}.")
        console.print(_table(made))
        console.print(f"Written to {out}. Use it: CacheConfig(calibration={str(out)!r})",
                      markup=False, highlight=False)  # fmt: skip


def score_all(pairs: Sequence[Pair], embedder: OllamaEmbedder) -> list[float]:
    """Return the score of each pair, 0 where a gate or the route keeps it from ever hitting."""
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.a, pair.b)))
    vectors: dict[str, list[float]] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("embedding", total=len(texts))
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            vectors.update(zip(batch, embedder.embed_all(batch), strict=True))
            progress.advance(task, len(batch))
    matcher = Matcher(CacheConfig())  # told of no embedder, it makes the score for any
    return [score(matcher, pair, cosine(vectors[pair.a], vectors[pair.b])) for pair in pairs]


def score(matcher: Matcher, pair: Pair, similarity: float) -> float:
    """Return how sure it is that two questions are one; 0 or 1 where rules alone decide."""
    if route(pair.a).kind != "reuse" or route(pair.b).kind != "reuse":
        return 0.0
    decision = matcher.decide(pair.a, pair.b, similarity)
    return float(decision.accept) if decision.score is None else decision.score


def _table(made: Calibration) -> Table:
    hits = [same for score, same in zip(made.scores, made.labels, strict=True)
            if score >= made.threshold]  # fmt: skip
    wrong, same = hits.count(False), made.labels.count(True)
    vetoed = made.scores.count(0.0)
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    pairs = f"{same} the same, {len(made.labels) - same} different, {vetoed} never reused"
    table.add_row("pairs", f"{len(made.labels):,}", pairs)
    table.add_row("threshold", f"{made.threshold:.4f}", f"of {made.embedder}")
    table.add_row("hits", f"{len(hits) / len(made.labels):.1%}", f"{len(hits):,} of these pairs")
    most = upper_bound(wrong, len(hits), made.confidence)
    sure = f"at most {most:.2%}, {made.confidence:.0%} sure"
    table.add_row("wrong hits", f"{wrong / len(hits):.2%}", f"{wrong}; {sure}")
    table.add_row("recall", f"{hits.count(True) / same:.1%}", "of the pairs that are the same")
    return table
