"""Wrong reuse over all questions of each context of a file of real ones."""

from __future__ import annotations

import gzip
from collections import defaultdict
from pathlib import Path

import msgspec
from langchain_core.messages import HumanMessage, SystemMessage

from aegis_llm.testing import OllamaSimulator
from benchmarks.common.parts import MODEL, Bench
from benchmarks.common.report import Table
from benchmarks.correctness.asking import Asking, Question, Score
from benchmarks.correctness.systems import System

CHAT = "/api/chat"
CONTEXTS = 40


def measure(bench: Bench, systems: list[System], rows: Path) -> list[Table]:
    """Ask every question of the first contexts of a gzipped file of JSON lines.

    A row has `context_id`, `context` and `question`.
    """
    contexts: dict[str, list[Question]] = defaultdict(list)
    with gzip.open(rows, "rb") as lines:
        for line in lines:
            row = msgspec.json.decode(line)
            told = SystemMessage(f"Answer from the context.\n\nContext:\n{row['context']}")
            contexts[row["context_id"]].append(Question([told, HumanMessage(row["question"])]))
    chosen = list(contexts.values())[:CONTEXTS]
    table = Table(
        "Real questions over one context each",
        ("", *(system.name for system in systems)),
        note=(
            f"{sum(map(len, chosen))} questions on {len(chosen)} passages (SQuAD 2.0), all of a "
            "passage one after another; wrong: another answer than the simulated model's own."
        ),
    )
    scores = []
    with OllamaSimulator() as ollama:
        asking = Asking(lambda: ollama.count(CHAT), model=MODEL, base_url=ollama.base_url)
        for system in systems:
            bench.clear()
            total = Score()
            make = system.open(bench.url, f"{bench.namespace}rag")
            for questions in chosen:
                score = asking.ask(make, questions)
                total.asked += score.asked
                total.hits += score.hits
                total.wrong += score.wrong
                total.errors += score.errors
            scores.append(total)
    table.rows.append(("wrong answers of all requests (hits)", *map(str, scores)))
    shares = (f"{score.wrong / score.asked:.1%}" for score in scores)
    table.rows.append(("share of wrong answers", *shares))
    return [table]
