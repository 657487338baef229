"""`/api/embed` and `/api/embeddings` of the simulated server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aegis_llm.testing.clock import Clock
from aegis_llm.testing.embedders import Embedder
from aegis_llm.testing.engine import Engine
from aegis_llm.testing.faults import Faults
from aegis_llm.testing.inference import answer_status, spoil
from aegis_llm.testing.loopback import Exchange
from aegis_llm.testing.models import SimulatedModel, canonical, find
from aegis_llm.testing.requests import RefusedError, check_options, keep_alive
from aegis_llm.testing.runners import Runner
from aegis_llm.testing.wire import encode, nanoseconds

_NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"


class Embedding:
    """Turn texts into vectors, one after the other as Ollama does."""

    def __init__(
        self,
        models: Mapping[str, SimulatedModel],
        engine: Engine,
        clock: Clock,
        faults: Faults,
        embedder: Embedder,
    ) -> None:
        self._models = models
        self._engine = engine
        self._clock = clock
        self._faults = faults
        self._embedder = embedder

    def run(self, path: str, body: dict[str, Any], exchange: Exchange) -> None:
        """Answer one request to embed."""
        started = self._clock.monotonic()
        legacy = path == "/api/embeddings"
        asked = body.get("model") or ""
        # The legacy route looks a name up as it is written.
        name = canonical(asked) if legacy else find(asked, self._models)
        if not asked and legacy:
            raise RefusedError(400, "model is required")
        if not asked:
            raise RefusedError(404, "model '' not found")
        if name is None:
            raise RefusedError(400, "invalid model name")
        texts = _texts(body, "prompt" if legacy else "input")
        if name not in self._models:
            raise RefusedError(404, f'model "{asked}" not found, try pulling it first')
        fault = self._faults.take(path)
        if fault and answer_status(fault, exchange):
            return
        model = self._models[name]
        runner = self._engine.open(
            name,
            model,
            check_options(body.get("options")),
            exchange.watch,
            keep_alive=keep_alive(body.get("keep_alive")),
        )
        try:
            loaded = self._clock.monotonic()
            vectors, count = self._embed(runner, texts, body, exchange)
        finally:
            self._engine.close(runner)
        answer: dict[str, Any] = {"model": asked, "embeddings": vectors}
        if texts:
            answer |= {
                "total_duration": nanoseconds(self._clock.monotonic() - started),
                "load_duration": nanoseconds(loaded - started),
                "prompt_eval_count": count,
            }
        if legacy:
            answer = {"embedding": vectors[0] if vectors else []}
        if fault:
            released = self._faults.released
            answer = spoil(
                answer, fault, exchange, lambda: self._engine.hold(released, exchange.watch)
            )
        exchange.answer(200, encode(answer))

    def _embed(
        self, runner: Runner, texts: list[str], body: Mapping[str, Any], exchange: Exchange
    ) -> tuple[list[list[float]], int]:
        if not texts:
            return [], 0
        counts = [self._embedder.count(text) for text in texts]
        limit = min(runner.options.num_ctx, self._embedder.max_tokens)
        if body.get("truncate") is False and max(counts) >= limit:
            raise RefusedError(400, "the input length exceeds the context length")
        if not runner.model.can("embedding"):
            raise RefusedError(501 if "input" in body else 500, _NO_EMBEDDINGS)
        turn = self._engine.enter(runner, (), exchange.watch)
        try:
            timing = self._engine.timing
            needed = timing.embed * len(texts) + timing.prefill_time(sum(counts))
            self._engine.pause(needed, exchange.watch)
            vectors = self._embedder.embed(texts)
        finally:
            self._engine.leave(runner, turn, ())
        size = body.get("dimensions") or 0
        if 0 < size < vectors.shape[1]:
            vectors = vectors[:, :size]
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.tolist(), sum(counts)


def _texts(body: Mapping[str, Any], field: str) -> list[str]:
    given = body.get(field)
    if given is None or given == "":
        return []
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and all(isinstance(item, str) for item in given):
        return given
    raise RefusedError(400, "invalid input type")
