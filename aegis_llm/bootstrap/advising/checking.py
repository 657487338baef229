"""Refuses workloads that nothing can be advised for. Pure."""

from __future__ import annotations

import re
from typing import get_args

from aegis_llm.bootstrap.advice import Goal, Workload
from aegis_llm.bootstrap.facts import MOST_LAYERS, ModelFacts
from aegis_llm.config.checks import check_whole, require

_MOST_TOKENS = 10_000_000
_MOST_CALLERS = 100_000
_DURATION = re.compile(r"-?(\d+|(\d+(\.\d+)?(ns|us|ms|s|m|h))+)")


def check(workload: Workload) -> None:
    """Refuse what cannot be meant.

    Raises:
        ConfigError: A field is not usable; the message says which and what to give.
    """
    w = workload
    check_whole("concurrent", w.concurrent, 1, _MOST_CALLERS, "requests at the same time, from 1")
    tokens = f"tokens, from 1 to {_MOST_TOKENS:,}"
    check_whole("prompt_tokens", w.prompt_tokens, 1, _MOST_TOKENS, tokens)
    check_whole("output_tokens", w.output_tokens, 1, _MOST_TOKENS, tokens)
    check_whole(
        "prefix_tokens", w.prefix_tokens, 0, w.prompt_tokens,
        f"tokens, from 0 to the {w.prompt_tokens:,} of the whole prompt",
    )  # fmt: skip
    check_whole("prefixes", w.prefixes, 1, _MOST_TOKENS, "different prefixes, from 1")
    require(
        w.goal in get_args(Goal), f"goal={w.goal!r}", f"give one of {', '.join(get_args(Goal))}"
    )
    for name in w.models:
        usable = re.fullmatch(r"[^\s\x00-\x1f]{1,256}", name) is not None
        require(usable, f"models={name!r}", "give names such as llama3.1:8b")
    if w.keep_alive is not None:
        require(
            _DURATION.fullmatch(w.keep_alive.strip()) is not None,
            f"keep_alive={w.keep_alive!r}",
            "give a duration as Go writes it, 30m or 1h30m, seconds, or -1 for ever; "
            "Ollama takes anything else as 5m without a word",
        )


def check_model(model: ModelFacts) -> None:
    """Refuse a model that cannot be.

    Raises:
        ConfigError: It has more layers than any could.
    """
    name = f"models.{model.name}.layers"
    check_whole(name, model.layers or 1, 1, MOST_LAYERS, f"layers, from 1 to {MOST_LAYERS:,}")
