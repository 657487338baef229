"""Proves on the running server which settings are in force, and why others are not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing.commands import Run
from aegis_llm.bootstrap.variables import read_number
from aegis_llm.bootstrap.verifying.evidence import Evidence
from aegis_llm.bootstrap.verifying.gathering import gather
from aegis_llm.bootstrap.verifying.judging import judge
from aegis_llm.bootstrap.verifying.requesting import Tell, announced, chosen_model, measure
from aegis_llm.bootstrap.verifying.verdict import (
    Measured,
    Round,
    Source,
    State,
    Verdict,
    Verification,
)

__all__ = [
    "MOST_AT_ONCE", "Measured", "Round", "Source", "State", "Tell", "Verdict", "Verification",
    "announced", "chosen_model", "verify",
]  # fmt: skip

MOST_AT_ONCE = 33


def verify(
    facts: Facts,
    environment: Mapping[str, str],
    *,
    url: str | None = None,
    deep: bool = False,
    root: Path = Path("/"),
    log: Path | None = None,
    model: str | None = None,
    most: int = MOST_AT_ONCE,
    reload: bool = False,
    run: Run | None = None,
    tell: Tell | None = None,
) -> Verification:
    """Return for each setting whether it is in force on the server that `facts` describe.

    It reads the server's log, its process, the llama-server of each model and `/api/ps`, whatever
    of these can be had. It raises nothing when the server does not answer: then nothing can be
    told, and the verdicts say so.

    Args:
        facts: The machine, as `probe` returns them.
        environment: What shall be in force; an empty value means unset.
        url: The server; None: that of the facts, which keep no password.
        deep: Whether to send requests too; `announced` tells which.
        root: Where the files of the server's machine are.
        log: The server's log; None: it is looked for.
        model: The model that requests go to; None: one that is loaded already, else the smallest.
        most: Requests to send at the same time, at most.
        reload: Whether `deep` may unload the model first, to time its load.
        run: Runs the commands that show a log; None: real ones.
        tell: Called with each thing that `deep` has found.

    Raises:
        ConfigError: The log that is given cannot be read.
    """
    measured = None
    url = url or facts.ollama.url
    if deep:
        measured = _measured(facts, url, environment, model, most, reload=reload, tell=tell)
    seen = gather(facts, url=url, root=root, log=log, run=run)
    if measured is not None:
        seen = _with(seen, measured)
    return judge(facts, environment, seen)


def _measured(
    facts: Facts,
    url: str,
    environment: Mapping[str, str],
    model: str | None,
    most: int,
    *,
    reload: bool,
    tell: Tell | None,
) -> Measured:
    name = chosen_model(facts, model)
    if name is None:
        why = "no model that answers is loaded or installed"
        if facts.loaded:
            why = "only embedding models are loaded; name one with --model, which is loaded then"
        return Measured(model="", error=why)
    expected = read_number("OLLAMA_NUM_PARALLEL", environment.get("OLLAMA_NUM_PARALLEL", ""))
    return measure(
        url,
        name,
        expected=max(1, expected),
        most=most,
        reload=reload,
        tell=tell,
    )


def _with(seen: Evidence, measured: Measured) -> Evidence:
    done = f"{measured.requests} requests to {measured.model}" if measured.requests else "none"
    what = f"{done}: {measured.error}" if measured.error else done
    source = Source(name="requests", found=measured.slots is not None, what=what)
    return msgspec.structs.replace(seen, measured=measured, sources=(*seen.sources, source))
