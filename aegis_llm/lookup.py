"""What became of one request, from the look-up to the answer that is told of."""

from __future__ import annotations

import logging
import time
from typing import Any, Protocol

import msgspec

from aegis_llm import plan as p
from aegis_llm.control import report
from aegis_llm.drivers import arun, run
from aegis_llm.metrics.registry import METRICS
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.hits import HitBook
from aegis_llm.scheduler.learner import Learner
from aegis_llm.scheduling import Trip
from aegis_llm.values import Answer, Document, Entry, Origin, Request

log = logging.getLogger("aegis_llm")
_quiet = Quiet()


class Answered(Protocol):
    """The service that looked up, and that stores."""

    rules: p.Rules
    learner: Learner
    hits: HitBook

    def perform(self, effect: Any) -> Any:
        """Perform one effect of a plan."""

    async def aperform(self, effect: Any) -> Any:
        """Like `perform`, awaited."""


class Lookup:
    """What became of one request: a hit with its `entry`, a shared `stream`, or a miss.

    After a miss call exactly one of `store` (or `astore`) and `failed`.
    """

    __slots__ = (
        "_around", "_counted", "_late", "_made", "_opened", "_request", "_service", "_started",
        "origin", "trip",
    )  # fmt: skip

    def __init__(
        self, service: Answered, request: Request, opened: p.Opened, started: float
    ) -> None:
        self._service = service
        self._request = request
        self._opened = opened
        self._made: tuple[Answer, ...] = ()
        self._started = started
        self._late: tuple[Document, ...] = ()
        self._counted = False
        self._around = METRICS.around()
        self.trip = Trip()
        elapsed = (time.perf_counter() - started) * 1000
        self.origin = msgspec.structs.replace(opened.origin, lookup_ms=elapsed)

    @property
    def entry(self) -> Entry | None:
        """The entry of a hit."""
        return self._opened.entry

    @property
    def stream(self) -> Any:
        """The stream of an identical request that is under way."""
        return self._opened.stream

    def made_from(self, documents: tuple[Document, ...]) -> None:
        """Note what `store` is to be told, where the answers are read and stored by another."""
        self._late = documents

    def store(self, *answers: Answer, documents: tuple[Document, ...] = ()) -> None:
        """Store what the model answered to a miss, and note it for who listens; never raises.

        `documents` are those that came to light while it was made, beside the request's own.
        """
        self._made, ticket = answers, self._opened.ticket
        if ticket is None:
            return
        documents = (*self._late, *documents)
        plan = p.close_plan(ticket, answers, self._service.rules, documents)
        try:
            self._unstored(run(plan, self._service.perform))
            self._service.learner.answered(self._opened, answers)
        except Exception as exc:  # noqa: BLE001 - a cache never costs an answer
            self._broken(exc)

    async def astore(self, *answers: Answer, documents: tuple[Document, ...] = ()) -> None:
        """Like `store`, awaited."""
        self._made, ticket = answers, self._opened.ticket
        if ticket is None:
            return
        documents = (*self._late, *documents)
        plan = p.close_plan(ticket, answers, self._service.rules, documents)
        try:
            self._unstored(await arun(plan, self._service.aperform))
            self._service.learner.answered(self._opened, answers)
        except Exception as exc:  # noqa: BLE001 - as in `store`
            self._broken(exc)

    def failed(self, error: BaseException) -> None:
        """Note that the model call failed, or was cancelled (anything but an `Exception`)."""
        self._land(error)
        self.unanswered(error)

    def unanswered(self, error: BaseException) -> None:
        """Count the request as failed, once; identical ones go on waiting for the model."""
        if self._counted:
            return
        self._counted = True
        METRICS.unanswered(self._request, error, self._started, self._made, self._around)

    def _land(self, error: BaseException) -> None:
        """Let identical requests that wait for this one go on."""
        flight = self._opened.ticket.flight if self._opened.ticket is not None else None
        if flight is None:
            return
        if isinstance(error, Exception):
            flight.settle(None)
        else:
            flight.abandon()

    def publish(self, stream: Any) -> None:
        """Let identical requests read the stream that answers this one."""
        if self._opened.ticket is not None and self._opened.ticket.flight is not None:
            self._opened.ticket.flight.publish(stream)

    def alone(self, reason: str) -> None:
        """Note that a follower had to call the model after all."""
        self.origin = msgspec.structs.replace(self.origin, outcome="miss", reason=reason)

    def spared(self, *answers: Answer) -> None:
        """Note what the follower of a stream did not have the model compute."""
        tokens = sum(answer.prompt_tokens + answer.completion_tokens for answer in answers)
        seconds = sum(answer.duration_ms for answer in answers) / 1000
        self.origin = msgspec.structs.replace(self.origin, saved_tokens=tokens, saved_s=seconds)

    def reported(self, *, late: bool = False) -> Origin:
        """Tell `observe()` and the metrics, return the origin; `late`: `told` will be called."""
        if self.trip.server:
            queued_ms, server = self.trip.queued_s * 1000, self.trip.server
            self.origin = msgspec.structs.replace(self.origin, queued_ms=queued_ms, server=server)
        report(self.origin)
        self._counted = True
        METRICS.ended(self.origin, self._request.framework, self._service.hits)
        if METRICS.listeners and not late:
            self.told()
        return self.origin

    def told(self) -> None:
        """Tell those who listen to the metrics about this request."""
        METRICS.told(self._request, self._started, self.origin, self._made, self._around)

    def _unstored(self, reason: str) -> None:
        METRICS.unstored(reason)
        if reason and reason != self.origin.reason:
            said = f"{self.origin.reason}; not stored: {reason}"
            self.origin = msgspec.structs.replace(self.origin, reason=said)

    def _broken(self, error: Exception) -> None:
        if _quiet.may_say(f"storing {type(error)}"):
            log.error("storing an answer failed; it was served all the same", exc_info=error)
        self._land(error)
