"""The workload that a cache has seen: lengths of prompts and answers, from its own entries.

Each entry keeps what Ollama counted for its answer. A question that was asked a thousand times is
one entry, so this tells how long prompts and answers are, not how many come.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from aegis_llm import codec
from aegis_llm.bootstrap.advice import Goal, Workload
from aegis_llm.config import CacheConfig, safe_url
from aegis_llm.errors import AegisError, ConfigError
from aegis_llm.stores.redis_clients import sync_client
from aegis_llm.stores.redis_commands import exact_of, reason_of
from aegis_llm.values import Answer, Entry

_AT_ONCE = 100
_SCANNED = 1000
_ENOUGH = 100  # answers from which on the longest one in a hundred may be left out
_CONNECT_S = 5.0
_MOST_TIME_S = 20.0


def learned_workload(
    redis_url: str,
    namespace: str | None = None,
    *,
    concurrent: int = 4,
    goal: Goal = "throughput",
    sample: int = 1000,
    most_s: float = _MOST_TIME_S,
) -> Workload:
    """Return the workload by a sample of the answers that are kept.

    Prompts are as long as 95 in 100, answers as 99 in 100 (of fewer than 100: as the longest).
    Models are in the order of how many of the answers are theirs. How many requests come at the
    same time is not kept, nor what their prompts share.

    Args:
        redis_url: Where the answers are.
        namespace: Whose they are; None: the usual one.
        concurrent: Requests at the same time, since entries do not tell.
        goal: As in `Workload`.
        sample: Most entries that are read; found by SCAN, which holds nobody up.
        most_s: Longest time that is spent looking for them.

    Raises:
        ConfigError: The URL or the namespace is not usable, or names no Redis.
        AegisError: Redis does not answer, or keeps no answer with its tokens.
    """
    config = CacheConfig(redis_url=redis_url, namespace=namespace or CacheConfig.namespace)
    shown = f"{config.namespace} at {safe_url(redis_url)}"
    if redis_url.startswith(("memory://", "embedded://")):
        msg = f"{safe_url(redis_url)} is no Redis that others share; give the URL of one"
        raise ConfigError(msg)
    try:
        client = sync_client(redis_url, _CONNECT_S, _CONNECT_S)
        try:
            entries = list(_entries(client, config.namespace, sample, time.monotonic() + most_s))
        finally:
            client.close()
    except Exception as exc:
        msg = f"the answers of {shown} cannot be read ({reason_of(exc)}); check the URL"
        raise AegisError(msg) from exc
    return workload_of(entries, shown, concurrent=concurrent, goal=goal)


def workload_of(
    entries: Sequence[Entry], shown: str, *, concurrent: int = 4, goal: Goal = "throughput"
) -> Workload:
    """Return the workload that made these entries.

    Raises:
        AegisError: None of them tells its tokens.
    """
    counted = [(entry, entry.answer) for entry in entries if _counts(entry.answer)]
    if not counted:
        msg = f"no answer of {shown} tells its tokens; ask something first, or give the lengths"
        raise AegisError(msg)
    prompts = [answer.prompt_tokens for _, answer in counted]
    outputs = [answer.completion_tokens for _, answer in counted]
    models = Counter(entry.model for entry, _ in counted if entry.model)
    return Workload(
        concurrent=concurrent,
        prompt_tokens=_percentile(prompts, 0.95),
        output_tokens=_percentile(outputs, 0.99 if len(outputs) >= _ENOUGH else 1.0),
        models=tuple(model for model, _ in models.most_common()),
        goal=goal,
        source=f"{len(counted):,} answers of {shown}",
    )


def _counts(answer: Answer) -> bool:
    return answer.prompt_tokens > 0 and answer.completion_tokens > 0


def _entries(client: Any, namespace: str, sample: int, until: float) -> Iterator[Entry]:
    keys = _keys(client, exact_of(namespace), until)
    left = sample
    while left > 0 and (some := list(islice(keys, min(left, _AT_ONCE)))):
        left -= len(some)
        with client.pipeline(transaction=False) as pipeline:
            for key in some:
                pipeline.get(key)
            values = pipeline.execute(raise_on_error=False)
        for value in values:
            entry = codec.decode(value) if isinstance(value, bytes) else None
            if entry is not None:
                yield entry


def _keys(client: Any, pattern: str, until: float) -> Iterator[Any]:
    """Yield keys; on a Redis full of others' keys no longer than until then."""
    if not hasattr(client, "connection_pool"):  # a Cluster is gone through node by node
        yield from client.scan_iter(pattern, count=_SCANNED)
        return
    cursor, begun = 0, False
    while (cursor or not begun) and time.monotonic() < until:
        begun = True
        cursor, found = client.scan(cursor, pattern, count=_SCANNED)
        yield from found


def _percentile(numbers: Sequence[int], share: float) -> int:
    """Return the number that this share of them does not exceed."""
    return sorted(numbers)[math.ceil(share * len(numbers)) - 1]
