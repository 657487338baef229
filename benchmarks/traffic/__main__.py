"""Play streams of requests to policies: `python -m benchmarks.traffic --seeds 3`.

`--scores MODULE` names a module with `decider(matching) -> decide(asked, cached, cosine)`, which
scores each pair with a model that was not trained on it; without it the shipped weights decide.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np

from aegis_llm.config import CacheConfig, Matching
from aegis_llm.matching import Matcher, gate
from aegis_llm.testing import MiniLM
from benchmarks.common.report import Table, write
from benchmarks.traffic.data import Questions, read
from benchmarks.traffic.picture import Line, Mark, draw
from benchmarks.traffic.replay import Decide, Near, Outcome, Policy, neighbours, replay
from benchmarks.traffic.stream import Request, Shape, stream

COSINES = (0.80, 0.83, 0.86, 0.88, 0.90, 0.92, 0.94, 0.96, 0.97)
ASKED = ("qqp", "stackfaq", "mqp", "semeval16-3b")
"""Sources whose texts people asked; the others are statements and edits made to deceive."""
_TITLE = "Rewordings caught and wrong answers, by policy"


def policies(scores: str | None) -> list[Policy]:
    """Return the fixed thresholds, bare and behind the gates, and the two named settings."""
    found = [Policy(f"cosine {least:.2f}", _bare(least), routed=False) for least in COSINES]
    found += [Policy(f"gates + cosine {least:.2f}", _gated(least)) for least in COSINES]
    for matching in ("strict", "balanced"):
        found.append(Policy(matching, _named(matching, scores)))
    return found


def _bare(least: float) -> Decide:
    return lambda asked, cached, cosine: cosine >= least


def _gated(least: float) -> Decide:
    return lambda asked, cached, cosine: cosine >= least and gate(asked, cached) is None


def _named(matching: Matching, scores: str | None) -> Decide:
    if scores:
        decide: Decide = importlib.import_module(scores).decider(matching)
        return decide
    return Matcher(CacheConfig(matching=matching)).decide


def near_of(requests: list[Request], vectors: dict[str, np.ndarray], floor: float) -> Near:
    """Return the neighbours among the texts of one stream; embed those not yet embedded."""
    texts = sorted({request.text for request in requests})
    missing = sorted((text for text in texts if text not in vectors), key=len)
    if missing:
        made = np.asarray(MiniLM().embed(missing), dtype=np.float32)
        vectors.update(zip(missing, made, strict=True))
    return neighbours(texts, np.stack([vectors[text] for text in texts]), floor)


def table(results: dict[str, list[Outcome]], shape: Shape, questions: Questions) -> Table:
    """Return one row for each policy, the mean of all seeds."""
    seeds = len(next(iter(results.values())))
    made = Table(
        "A stream of requests",
        (
            "policy",
            "rewordings caught",
            "wrong, of all hits",
            "of these by a label",
            "right hits by meaning",
            "wrong hits",
            "exact hits",
            "hits, of all requests",
        ),
        note=(
            f"Mean of {seeds} seeds, {shape.requests} requests each after {shape.warm} questions "
            f"asked before; {shape.repeats:.0%} repeat a text, {shape.rewordings:.0%} reword a "
            f"question asked before, the rest is new, {shape.look_alikes:.0%} of it look-alikes "
            f"(labelled different from a question asked before); popularity 1/rank^{shape.zipf:g} "
            f"over {len(questions.groups)} groups. A hit is right when a chain of pairs labelled "
            "the same, or of texts written alike, joins the two and no label tells them apart; "
            "every other hit counts as wrong, also one between two questions that nobody "
            "compared; the column after it counts only what a label calls wrong. The truth lies "
            "between the two. A hit by meaning stores nothing, so a question that got a wrong "
            "answer gets it again."
        ),
    )
    for name, outcomes in results.items():
        mean = {
            part: sum(float(getattr(one, part)) for one in outcomes) / len(outcomes)
            for part in (
                "caught_share",
                "wrong_share",
                "labelled_share",
                "right",
                "wrong",
                "exact",
                "hits",
            )
        }
        made.rows.append(
            (
                name,
                f"{mean['caught_share']:.3f}",
                f"{mean['wrong_share']:.2%}",
                f"{mean['labelled_share']:.2%}",
                f"{mean['right']:.0f}",
                f"{mean['wrong']:.1f}",
                f"{mean['exact']:.0f}",
                f"{mean['hits'] / shape.requests:.1%}",
            )
        )
    return made


def picture(results: dict[str, list[Outcome]]) -> str:
    """Return the curves of the thresholds and the points of the settings."""

    def mark(name: str, label: str) -> Mark:
        outcomes = results[name]
        wrong = sum(one.wrong_share for one in outcomes) / len(outcomes)
        caught = sum(one.caught_share for one in outcomes) / len(outcomes)
        return Mark(100 * wrong, 100 * caught, label)

    lines = [
        Line(title, [mark(f"{start} {c:.2f}", f"{c:.2f}") for c in COSINES])
        for title, start in (("cosine alone", "cosine"), ("gates and cosine", "gates + cosine"))
    ]
    lines += [Line(name, [mark(name, "")]) for name in ("strict", "balanced")]
    return draw(_TITLE, lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=Shape.requests)
    parser.add_argument("--look-alikes", type=float, default=Shape.look_alikes)
    parser.add_argument("--floor", type=float, default=0.5, help="lowest cosine of a candidate")
    parser.add_argument("--sources", nargs="*", default=ASKED, help="of the pairs; none: all")
    parser.add_argument("--scores", help="module that scores pairs out of fold")
    parser.add_argument("--markdown", type=Path, help="document to put the table into")
    parser.add_argument("--picture", type=Path, help="SVG to write")
    parser.add_argument("--mistakes", type=Path, help="file for the wrong hits, to be read")
    options = parser.parse_args()
    questions = read(options.data, options.sources)
    shape = Shape(requests=options.requests, look_alikes=options.look_alikes)
    results: dict[str, list[Outcome]] = {}
    vectors: dict[str, np.ndarray] = {}
    for seed in range(options.seeds):
        started = time.perf_counter()
        requests = stream(questions, shape, seed)
        near = near_of(requests, vectors, options.floor)
        for policy in policies(options.scores):
            results.setdefault(policy.name, []).append(replay(requests, questions, near, policy))
        print(f"seed {seed}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    text = table(results, shape, questions).markdown()
    print(text)
    if options.markdown:
        write(options.markdown, "traffic", text)
    if options.picture:
        options.picture.write_text(picture(results))
    if options.mistakes:
        lines = [
            json.dumps((name, *mistake), ensure_ascii=False)
            for name, outcomes in results.items()
            for outcome in outcomes
            for mistake in outcome.mistakes
        ]
        options.mistakes.write_text("\n".join(lines) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
