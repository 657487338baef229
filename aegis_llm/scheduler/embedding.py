"""Embedding a question within a budget, in a pool of its own, behind a breaker."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future

import numpy as np

from aegis_llm.breaker import Breaker
from aegis_llm.errors import EmbedTrouble, TextTooLongError
from aegis_llm.ports import Embedder
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.pool import DaemonPool, await_, wait

log = logging.getLogger("aegis_llm")
_LATE = EmbedTrouble("embedding_timeout")
_TOO_LONG = "question_too_long"
_GIVE_UP_S = 30.0


class Embedding:
    """Turns questions into unit vectors (float32 bytes), or raises `EmbedTrouble` in time.

    The embedder runs in four daemon threads of its own: one that hangs can neither block an event
    loop, nor starve the executor that a model call needs, nor hold up the program's end. A thread
    that hangs for `give_up_s` is left to itself, so that an embedder that recovers is used again.
    """

    def __init__(
        self, embedder: Embedder, timeout_s: float, give_up_s: float = _GIVE_UP_S
    ) -> None:
        self._embedder = embedder
        self._timeout = timeout_s
        self._pool = DaemonPool("aegis-embed", 4, give_up_s=give_up_s)
        self._give_up = give_up_s
        self._breaker = Breaker(pause=1.0, longest=30.0)
        self._quiet = Quiet()
        self.renew()
        renew_in_child(self)

    @property
    def left_alone(self) -> bool:
        """Whether the embedder is not asked, after repeated trouble."""
        return self._breaker.is_open

    def renew(self) -> None:
        """Forget the probe: no thread of a forked child will end it."""
        self._probing: Future[None] | None = None
        self._probed_at = 0.0

    def embed(self, text: str) -> bytes:
        """Return the vector of `text`."""
        future = self._start(text)
        try:
            vector: bytes = wait(future, self._timeout, _LATE)
        except Exception as exc:
            raise self._failed(future, exc) from exc
        self._breaker.success()
        return vector

    async def aembed(self, text: str) -> bytes:
        """Like `embed`, awaited."""
        future = self._start(text)
        try:
            vector: bytes = await await_(future, self._timeout, _LATE)
        except Exception as exc:
            raise self._failed(future, exc) from exc
        self._breaker.success()
        return vector

    def _start(self, text: str) -> Future[bytes]:
        if not self._breaker.allow():
            now = time.monotonic()
            if self._breaker.probe_due(now):
                self._send_probe(text, now)
            raise EmbedTrouble("embedding_breaker_open")
        return self._pool.submit(self._call, text)

    def _send_probe(self, text: str, now: float) -> None:
        """Start a probe, unless the last one is under way: they must not pile up."""
        last = self._probing
        if last is not None and not last.done():
            if not last.running():
                self._pool.relieve()
                return
            if now - self._probed_at < self._give_up:
                return
        self._probed_at = now
        self._probing = self._pool.submit(self._probe, text)

    def _call(self, text: str) -> bytes:
        try:
            vector = np.asarray(self._embedder.embed(text), dtype=np.float32)
        except TextTooLongError as exc:
            raise EmbedTrouble(_TOO_LONG) from exc
        except BaseException as exc:  # in this thread even SystemExit ends nothing but the call
            raise EmbedTrouble("embedding_failed", str(exc)) from exc
        norm = float(np.linalg.norm(vector)) if vector.ndim == 1 and vector.size else 0.0
        if not np.isfinite(norm) or norm == 0.0:
            raise EmbedTrouble("embedding_unusable", f"shape {vector.shape}, norm {norm}")
        return (vector / np.float32(norm)).astype("<f4").tobytes()

    def _probe(self, text: str) -> None:
        try:
            self._call(text)
        except EmbedTrouble as exc:
            if exc.reason != _TOO_LONG:
                self._breaker.probe_failed(time.monotonic())
                return
        self._breaker.success()

    def _failed(self, future: Future[bytes], exc: Exception) -> EmbedTrouble:
        queued = future.cancel()  # it never started: the others in front took the time
        trouble = exc if isinstance(exc, EmbedTrouble) else EmbedTrouble("embedding_failed")
        if trouble.reason == _TOO_LONG:  # it is the question's fault: the embedder works
            self._breaker.success()
            return EmbedTrouble(_TOO_LONG)
        if not queued:
            self._breaker.failure(time.monotonic())
        if self._quiet.may_say(trouble.reason):
            log.warning(
                "the embedder %s: %s; the exact tier goes on without the semantic one",
                self._embedder.embedding_id,
                exc,
            )
        return EmbedTrouble(trouble.reason)
