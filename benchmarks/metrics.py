"""What counting costs: the same hits with the metrics on and off, `python -m benchmarks.metrics`.

On and off take turns in one process, in blocks, so that noise meets both alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aegis_llm.answering import Answering
from aegis_llm.metrics.registry import METRICS
from aegis_llm.testing import OllamaSimulator
from aegis_llm.values import Answer
from aegis_llm.wiring import build
from benchmarks.common.machine import describe
from benchmarks.common.measuring import Effort, Ratio, Target, interleave, percentile
from benchmarks.common.parts import ANSWER, MESSAGES, MODEL, KnownModels, bench, request
from benchmarks.common.report import Table, write
from langchain_aegis import ChatAegis

HEAD = ("a hit", "off", "on", "on / off (spread over repetitions)", "reach", "met")
LOCAL, EXACT = 1.05, 1.03
_UNDISTURBED = 10  # percentile


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics")
    parser.add_argument("--quick", action="store_true", help="few calls: shows that it runs")
    parser.add_argument("--markdown", type=Path, help="document to put the table into")
    options = parser.parse_args()
    core = Effort(2, 2, 50) if options.quick else Effort(9, 20, 250)
    whole = Effort(2, 2, 50) if options.quick else Effort(9, 8, 100)
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
        f"10th percentiles of {core.calls:,} (core) and {whole.calls:,} calls each: those that "
        "other work on the machine disturbed least."
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
    off, on = (timings[one].percentile_us(_UNDISTURBED) for one in ("off", "on"))
    single = [
        percentile(b, _UNDISTURBED) / percentile(a, _UNDISTURBED)
        for a, b in zip(timings["off"].repetitions, timings["on"].repetitions, strict=True)
    ]
    ratio = Ratio(on / off, min(single), max(single))
    met = "yes" if ratio.value <= reach else "**no**"
    return name, f"{off:.1f} us", f"{on:.1f} us", str(ratio), f"<= {reach}", met


if __name__ == "__main__":
    main()
