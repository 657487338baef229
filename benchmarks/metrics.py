"""What counting costs: the same hits with the metrics on and off, `python -m benchmarks.metrics`.

On and off take turns in one process, in short blocks, and each block is compared with its
neighbour alone: what counting costs is far less than what a machine changes within a second.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aegis_llm.answering import Answering
from aegis_llm.metrics.registry import METRICS
from aegis_llm.testing import OllamaSimulator
from aegis_llm.values import Answer
from aegis_llm.wiring import build
from benchmarks.common.machine import describe
from benchmarks.common.measuring import Effort, Ratio, Target, Timings, interleave
from benchmarks.common.parts import ANSWER, MESSAGES, MODEL, KnownModels, bench, request
from benchmarks.common.report import Table, write
from langchain_aegis import ChatAegis

HEAD = ("a hit", "off", "on", "on / off (95 % interval)", "reach", "met")
LOCAL, EXACT = 1.05, 1.03
_BLOCK = 25


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics")
    parser.add_argument("--quick", action="store_true", help="few calls: shows that it runs")
    parser.add_argument("--markdown", type=Path, help="document to put the table into")
    options = parser.parse_args()
    core = Effort(2, 4, _BLOCK) if options.quick else Effort(3, 400, _BLOCK)
    whole = Effort(2, 4, _BLOCK) if options.quick else Effort(3, 200, _BLOCK)
    with bench() as made, OllamaSimulator() as ollama:
        with made.client() as client:
            about = describe(client)
        kept = made.config(local_max_bytes=1 << 24, local_max_age_s=3600)
        rows = [
            _row("core, local copy", _core(kept), LOCAL, core),
            _row("core, exact tier", _core(made.config()), EXACT, core),
            _row("`ChatAegis.invoke`, local copy", _invoke(kept, ollama), LOCAL, whole),
            _row("`ChatAegis.invoke`, exact tier", _invoke(made.config(), ollama), EXACT, whole),
        ]
        made.clear()
    note = (
        f"Medians of {core.calls:,} (core) and {whole.calls:,} calls each, in blocks of {_BLOCK}; "
        "on / off is the median of the ratios of neighbouring blocks."
    )
    table = Table("What counting costs", HEAD, rows, note=note)
    text = "\n".join(["".join(f"- {fact}.\n" for fact in about), table.markdown()])
    print(text)
    if options.markdown:
        write(options.markdown, "metrics", text)


def _core(config: Any) -> Callable[[], object]:
    service = build(config)
    source = KnownModels()
    service.digests.register(source)
    asked = request()
    answering = Answering(service)
    answer = Answer(ANSWER, prompt_tokens=40, completion_tokens=250, done_reason="stop",
                    duration_ms=4000)  # fmt: skip

    def hit(_: object = source) -> Any:
        return answering.call(asked, lambda: answer, lambda one: [one])

    lookups = [hit(), hit()]
    assert [lookup.origin.outcome for lookup, _ in lookups][1] in ("hit_local", "hit_exact")
    return hit


def _invoke(config: Any, ollama: OllamaSimulator) -> Callable[[], object]:
    llm = ChatAegis(model=MODEL, base_url=ollama.base_url, temperature=0.0, aegis=config)
    llm.invoke(MESSAGES)
    told = llm.invoke(MESSAGES).response_metadata["aegis"]
    assert told["outcome"] in ("hit_local", "hit_exact"), told
    return lambda: llm.invoke(MESSAGES)


def _row(
    name: str, call: Callable[[], object], reach: float, effort: Effort
) -> tuple[str, str, str, str, str, str]:
    def switched(on: bool) -> Callable[[int], None]:
        def prepare(_: int) -> None:
            METRICS.on = on

        return prepare

    timings = interleave(
        [Target("off", call, switched(False)), Target("on", call, switched(True))], effort
    )
    METRICS.on = True
    ratio = _paired(timings["off"], timings["on"])
    off, on = (timings[one].percentile_us(50) for one in ("off", "on"))
    met = "yes" if ratio.value <= reach else "**no**"
    return name, f"{off:.1f} us", f"{on:.1f} us", str(ratio), f"<= {reach}", met


def _paired(off: Timings, on: Timings) -> Ratio:
    """Return the median ratio of neighbouring blocks, and its distribution-free 95 % interval."""
    pairs = zip(_blocks(off), _blocks(on), strict=True)
    ratios = sorted(statistics.median(b) / statistics.median(a) for a, b in pairs)
    middle, half = len(ratios) / 2, 1.96 * math.sqrt(len(ratios)) / 2
    low, high = max(0, math.floor(middle - half)), min(len(ratios) - 1, math.ceil(middle + half))
    return Ratio(statistics.median(ratios), ratios[low], ratios[high])


def _blocks(timings: Timings) -> list[list[int]]:
    return [
        repetition[at : at + _BLOCK]
        for repetition in timings.repetitions
        for at in range(0, len(repetition), _BLOCK)
    ]


if __name__ == "__main__":
    main()
