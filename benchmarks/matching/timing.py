"""Time one decision over four candidates, without the embedding.

    python -m benchmarks.matching.timing [--rounds 300]

"new" texts were never read before; "known" are those of popular entries, whose readings are kept.
Where the nearest is certain, the other three are not read.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import islice

from aegis_llm.matching import Matcher
from aegis_llm.matching.reading import reading
from aegis_llm.matching.verifier import SURE
from aegis_llm.values import Answer, Candidate, Entry
from benchmarks.common.report import Table
from benchmarks.matching.templates import pairs

_CANDIDATES = 4
_NEAREST = 0.95


def candidates(texts: list[str]) -> list[Candidate]:
    return [
        Candidate(Entry(f"k{n}", (Answer(text="a"),), 0, 1), _NEAREST - n / 100, text)
        for n, text in enumerate(texts)
    ]


def timed(matcher: Matcher, asked: list[tuple[str, list[Candidate]]], *, new: bool) -> list[float]:
    found = []
    for question, known in asked:
        if new:
            reading.cache_clear()
        else:
            matcher.choose(question, known)
        started = time.perf_counter()
        matcher.choose(question, known)
        found.append(1e6 * (time.perf_counter() - started))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    matcher = Matcher()
    certain, open_, vetoed = [], [], []
    for pair in islice(pairs(11, 100_000), 100_000):
        decision = matcher.decide(pair.a, pair.b, _NEAREST)
        if decision.vetoes:
            vetoed.append(pair)
        elif decision.certain and decision.score != SURE:
            certain.append(pair)
        elif decision.score is not None and decision.score < 1 and pair.kind != "self-correction":
            open_.append(pair)
        if min(len(certain), len(open_), len(vetoed)) >= options.rounds:
            break
    table = Table("Time of a decision", ("four candidates", "texts", "p50", "p95"))
    for name, made in (("certain", certain), ("scored", open_), ("vetoed", vetoed)):
        asked = [
            (pair.a, candidates([pair.b + " " * n for n in range(_CANDIDATES)]))
            for pair in made[: options.rounds]
        ]
        for texts, new in (("new", True), ("known", False)):
            found = sorted(timed(matcher, asked, new=new))
            middle = statistics.median(found)
            late = found[int(0.95 * len(found))]
            table.rows.append((name, texts, f"{middle:.0f} us", f"{late:.0f} us"))
    print(table.markdown())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
