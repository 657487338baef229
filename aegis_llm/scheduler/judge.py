"""Asking a model whether two questions, or two answers, are the same."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from aegis_llm.breaker import Breaker
from aegis_llm.errors import JudgeTrouble
from aegis_llm.learning import judging
from aegis_llm.ports import ModelSource, Reply
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from aegis_llm.values import Request

log = logging.getLogger("aegis_llm")
SERVE_S = 5.0
"""Longest wait of a request for the judge."""
BACKGROUND_S = 120.0
_FAILED = JudgeTrouble("judge_failed")
Going = Callable[[], bool]


class Judge:
    """The model that judges, on the Ollama that the request goes to.

    Before serving it is asked within `budget_s`, behind a breaker, so that an Ollama in trouble
    costs the budget a few times and no more.
    """

    def __init__(
        self,
        sources: Callable[[str], ModelSource | None],
        model: str | None,
        budget_s: float = SERVE_S,
    ) -> None:
        self._sources = sources
        self._model = model
        self._budget = budget_s
        self._pool = DaemonPool("aegis-judge", 4, give_up_s=BACKGROUND_S)
        self._breaker = Breaker(pause=5.0, longest=60.0)
        self._quiet = Quiet()

    def knows(self, server: str) -> bool:
        """Return whether the server can be asked."""
        return bool(server) and self._sources(server) is not None

    def same(self, request: Request, asked: str, cached: str) -> bool:
        """Return whether two questions are the same; anything but a clear yes is a no.

        Raises:
            JudgeTrouble: It failed, took too long, or gave no clear reply.
        """
        future, stop = self._start(request, asked, cached)
        try:
            verdict = wait(future, self._budget, _FAILED)
        except Exception as exc:
            raise self._failed(stop, exc) from exc
        return self._clear(verdict)

    async def asame(self, request: Request, asked: str, cached: str) -> bool:
        """Like `same`, awaited."""
        future, stop = self._start(request, asked, cached)
        try:
            verdict = await await_(future, self._budget, _FAILED)
        except Exception as exc:
            raise self._failed(stop, exc) from exc
        finally:
            stop.set()  # also when the caller is cancelled
        return self._clear(verdict)

    def questions(self, request: Request, asked: str, cached: str, going: Going) -> bool | None:
        """Return the verdict on two questions, in the background; None: there is none."""
        body = judging.about_questions(request, self._model, asked, cached)
        return None if body is None else self._verdict(request.server, body, going)

    def answers(
        self, request: Request, asked: str, one: str, other: str, going: Going
    ) -> bool | None:
        """Return whether two answers say the same; None: there is no verdict."""
        body = judging.about_answers(request, self._model, asked, one, other)
        return None if body is None else self._verdict(request.server, body, going)

    def again(self, request: Request, going: Going) -> str | None:
        """Return what the model answers to the request now; None: nothing complete."""
        reply = self._ask(request.server, judging.again(request), BACKGROUND_S, going)
        return reply.text if reply is not None and reply.complete else None

    def _start(
        self, request: Request, asked: str, cached: str
    ) -> tuple[Future[bool | None], threading.Event]:
        stop = threading.Event()
        body = judging.about_questions(request, self._model, asked, cached)
        if body is None:
            refused: Future[bool | None] = Future()
            refused.set_result(False)
            return refused, stop
        if not self._breaker.allow() and not self._breaker.probe_due(time.monotonic()):
            raise JudgeTrouble("judge_failed")
        verdict = self._pool.submit(
            self._verdict, request.server, body, lambda: not stop.is_set(), self._budget
        )
        return verdict, stop

    def _clear(self, verdict: bool | None) -> bool:
        self._breaker.success()
        if verdict is None:
            raise JudgeTrouble("judge_failed")
        return verdict

    def _failed(self, stop: threading.Event, exc: Exception) -> JudgeTrouble:
        stop.set()
        now = time.monotonic()
        if self._breaker.is_open:
            self._breaker.probe_failed(now)
        else:
            self._breaker.failure(now)
        if self._quiet.may_say(f"{type(exc)}"):
            log.warning("the judge failed: %s; the model answers instead", type(exc).__name__)
        return JudgeTrouble("judge_failed")

    def _verdict(
        self, server: str, body: dict[str, Any], going: Going, timeout_s: float = BACKGROUND_S
    ) -> bool | None:
        reply = self._ask(server, body, timeout_s, going)
        return None if reply is None else judging.read_reply(reply.text)

    def _ask(
        self, server: str, body: dict[str, Any], timeout_s: float, going: Going
    ) -> Reply | None:
        source = self._sources(server)
        if source is None:
            raise JudgeTrouble("judge_failed", f"nobody knows the server {server}")
        return source.chat(body, timeout_s, going)
