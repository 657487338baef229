"""Settings of the cache."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aegis_llm.config.checks import (
    check_flag,
    check_name,
    check_range,
    check_text,
    check_whole,
    require,
)
from aegis_llm.config.urls import DEFAULT_REDIS_URL, check_url
from aegis_llm.values import Route

Matching = Literal["strict", "balanced"]
History = Literal["standalone", "same"]
Judging = Literal["off", "background", "serve"]
_CHOICES: dict[str, tuple[str, ...]] = {
    "matching": get_args(Matching),
    "history": get_args(History),
    "judge": get_args(Judging),
}
_OVERLAP = re.compile(r"overlap>=(\d+(?:\.\d+)?)")

Extractor = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Names the question inside a list of messages (Ollama's shape); None: exact tier only."""

Router = Callable[[str], Route | None]
"""Says how far the answer to a question may be reused; None: the built-in router decides."""


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Settings of the cache.

    Attributes:
        redis_url: `redis://`, `rediss://`, `unix://`, `embedded://` or `memory://`; with the exact
            tier alone `redis+sentinel://` and `redis+cluster://`. A secret: it is never shown with
            its password.
        namespace: Separates applications on one Redis (letters, digits, `_`, `-`, `.`).
        ttl: Seconds an entry lives, counted from its storing (not sliding).
        ttl_jitter: Share of `ttl` (0 to 0.5) taken off at random, against expiry in step.
        matching: "strict" or "balanced": how sure a semantic hit has to be (see docs/matching.md).
        max_wrong_hits: Largest share of semantic hits that may be wrong, on the calibration mix;
            picks the threshold of the score in place of `matching`.
        similarity: A fixed cosine similarity (0 to 1) that a semantic hit must reach; the gates
            decide after it, and no score is made. None: the score decides.
        calibration: File that `aegis-llm calibrate` wrote for another embedder.
        context: Which entries may answer a reworded question: "same" (made from the same set of
            chunks, in any order), "overlap>=0.5" (at least that share of chunks in common) or
            "ignore" (needs a `corpus_version`).
        history: "standalone" (a last turn that stands alone may be answered across
            conversations) or "same" (the turns before it must be the same).
        router: What keeps questions about now, about the asker, and the like from being answered
            by meaning (see `aegis_llm.matching.route`). False: nothing does, and nothing is
            skipped. Or a function of the question that returns a `Route`, or None to leave it to
            the built-in one.
        corpus_version: Names the state of the documents; another one shares no entry.
        judge: Who decides in the grey zone of the score: "background" (the model, in idle time,
            for the next request), "serve" (the model, before serving) or "off".
        judge_model: The model that judges; None: the model of the request.
        shadow: Serve nothing by meaning, only record what would have been served.
        check_hits: Share of semantic hits (0 to 1) for which the model is asked too, in idle time.
        neighbours: How many nearest entries of the scope are looked at.
        max_question_tokens: Window of the embedder; a longer question stays in the exact tier.
        store_prompts: False keeps the questions out of Redis, and turns the semantic tier off: the
            gates could not compare what is not there.
        redis_timeout_ms: Longest wait for one Redis reply; after it nothing more is asked of Redis
            in the same request. Long enough for a machine whose processors are all busy.
        redis_connect_timeout_ms: Longest wait for a connection.
        embed_timeout_ms: Longest wait for the embedding of a question.
        local_max_bytes: Size of the in-process copy; 0 turns it off.
        local_max_age_s: Longest age of an in-process copy, which is also how long an entry that
            was deleted, or invalidated where this process cannot hear of it, can still be served.
        extractor: Finds the question in messages that the built-in patterns do not know.
        embedding_id: Name of the embedder in the index, when the derived one is not wanted.
    """

    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    namespace: str = "default"
    ttl: float = 3600.0
    ttl_jitter: float = 0.0
    matching: Matching = "strict"
    max_wrong_hits: float | None = None
    similarity: float | None = None
    calibration: str | None = None
    context: str = "same"
    history: History = "standalone"
    router: bool | Router = True
    corpus_version: str | None = None
    judge: Judging = "background"
    judge_model: str | None = None
    shadow: bool = False
    check_hits: float = 0.0
    neighbours: int = 4
    max_question_tokens: int = 256
    store_prompts: bool = True
    redis_timeout_ms: float = 35.0
    redis_connect_timeout_ms: float = 20.0
    embed_timeout_ms: float = 500.0
    local_max_bytes: int = 16 * 1024 * 1024
    local_max_age_s: float = 30.0
    extractor: Extractor | None = None
    embedding_id: str | None = None

    def __post_init__(self) -> None:
        check_url(self.redis_url)
        check_name("namespace", self.namespace)
        check_range("ttl", self.ttl, 0.001, 10 * 365 * 86400, "seconds, more than 0")
        check_range("ttl_jitter", self.ttl_jitter, 0, 0.5, "a share from 0 to 0.5")
        self._check_matching()
        check_whole("neighbours", self.neighbours, 1, 64, "a whole number from 1 to 64")
        tokens = "a whole number of tokens, 1 or more"
        check_whole("max_question_tokens", self.max_question_tokens, 1, 1 << 20, tokens)
        check_flag("store_prompts", self.store_prompts)
        for name in ("redis_timeout_ms", "redis_connect_timeout_ms", "embed_timeout_ms"):
            check_range(name, getattr(self, name), 0.1, 600_000, "milliseconds, more than 0")
        check_whole("local_max_bytes", self.local_max_bytes, 0, 1 << 50, "bytes, 0 turns it off")
        check_range("local_max_age_s", self.local_max_age_s, 0, 86400, "seconds")
        require(
            self.extractor is None or callable(self.extractor),
            f"extractor={self.extractor!r}",
            "give a function of the messages that returns the question",
        )
        check_text("embedding_id", self.embedding_id)

    @property
    def least_overlap(self) -> float | None:
        """The share of chunks in common that `context` asks for, if it asks for one."""
        overlap = _OVERLAP.fullmatch(self.context)
        return float(overlap[1]) if overlap else None

    def _check_matching(self) -> None:
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            require(value in known, f"{name}={value!r}", f"give one of {', '.join(known)}")
        if self.similarity is not None:
            check_range("similarity", self.similarity, 0, 1, "a cosine similarity from 0 to 1")
        if self.max_wrong_hits is not None:
            share = "a share of the hits, from 0.001 to 0.5"
            check_range("max_wrong_hits", self.max_wrong_hits, 0.001, 0.5, share)
        require(
            isinstance(self.router, bool) or callable(self.router),
            f"router={self.router!r}",
            "give True, False or a function of the question that returns a Route or None",
        )
        for name in ("calibration", "corpus_version", "judge_model"):
            check_text(name, getattr(self, name))
        check_flag("shadow", self.shadow)
        check_range("check_hits", self.check_hits, 0, 1, "a share of the hits, from 0 to 1")
        overlap = _OVERLAP.fullmatch(str(self.context))
        require(
            self.context in ("same", "ignore") or (overlap and 0 < float(overlap[1]) <= 1) is True,
            f"context={self.context!r}",
            'give "same", "overlap>=0.5" (a share, more than 0 and at most 1) or "ignore"',
        )
        require(
            self.context != "ignore" or self.corpus_version is not None,
            'context="ignore" without a corpus_version',
            "an answer would outlive the documents that it was made from; give "
            'corpus_version="1" as well, and another one when they change',
        )
