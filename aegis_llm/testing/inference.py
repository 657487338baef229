"""`/api/chat` and `/api/generate` of the simulated server: load, wait, stream, misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count

from aegis_llm.testing import generating
from aegis_llm.testing.abilities import check_abilities, check_prompt
from aegis_llm.testing.clock import Clock
from aegis_llm.testing.engine import Engine, Turn
from aegis_llm.testing.faults import Fault, Faults
from aegis_llm.testing.loopback import PLAIN_JSON, TEXT, Exchange
from aegis_llm.testing.models import SimulatedModel, find
from aegis_llm.testing.requests import RefusedError, check_options, keep_alive
from aegis_llm.testing.runners import Runner
from aegis_llm.testing.wire import (
    Json,
    Metrics,
    Piece,
    chat_line,
    encode,
    generate_line,
    nanoseconds,
    rfc3339,
)

Finish = Callable[[], None]
"""Sends the end of an answer, after the model is free again."""


@dataclass(frozen=True)
class _Job:
    """One request on its way through the server."""

    path: str
    body: Json
    exchange: Exchange
    model: str
    started: float

    @property
    def chat(self) -> bool:
        return self.path == "/api/chat"

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is not False

    @property
    def empty(self) -> bool:
        return not self.body.get("messages" if self.chat else "prompt")


@dataclass
class _Outlet:
    """Where the lines of a stream go; a fault ends it after some of them."""

    exchange: Exchange
    fault: Fault | None
    hold: Callable[[], None]
    lines: int = 0

    def open(self) -> bool:
        """Return whether another line may be sent; a fault whose turn has come is played."""
        due = self.fault is not None and self.lines >= self.fault.after
        return not (self.fault and due and self._misbehave(self.fault))

    def line(self, data: Json) -> None:
        """Send a line."""
        self.exchange.line(encode(data))
        self.lines += 1

    def close(self, data: Json) -> None:
        """Send the last line."""
        self.exchange.last_line(encode(data))

    def _misbehave(self, fault: Fault) -> bool:
        if fault.kind == "reset":
            self.exchange.reset()
        if fault.kind == "midstream_error":
            if not self.exchange.started:
                raise RefusedError(500, fault.text)
            self.exchange.line(encode({"error": fault.text}))
        if fault.kind == "hang":
            self.hold()
            self.fault = None
        return fault.kind in ("midstream_error", "no_done")


class Inference:
    """Answer requests to chat and to generate."""

    def __init__(
        self,
        models: Mapping[str, SimulatedModel],
        engine: Engine,
        clock: Clock,
        faults: Faults,
        gate: threading.Event,
    ) -> None:
        self._models = models
        self._engine = engine
        self._clock = clock
        self._faults = faults
        self._gate = gate
        self._numbers = count(1)

    def run(self, path: str, body: Json, exchange: Exchange) -> None:
        """Answer one request."""
        job = _Job(path, body, exchange, body.get("model") or "", self._clock.monotonic())
        name = self._name(job)
        model = self._models[name]
        stay = keep_alive(body.get("keep_alive"))
        if job.empty and stay == 0:
            self._engine.unload(name)
            exchange.answer(200, encode(self._line(job, Piece(), done_reason="unload")))
            return
        check_abilities(path, body, name, model)
        options = check_options(body.get("options"))
        fault = self._faults.take(path)
        if fault and answer_status(fault, exchange):
            return
        runner = self._engine.open(
            name, model, options, exchange.watch, keep_alive=stay, shift=body.get("shift")
        )
        try:
            if job.empty:
                line = self._line(job, Piece(), done_reason="load")
                finish: Finish = partial(exchange.answer, 200, encode(line))
            else:
                finish = self._generate(job, runner, {**model.options, **options}, fault)
        except RefusedError as error:
            if job.stream:
                error.content_type = PLAIN_JSON
            raise
        finally:
            self._engine.close(runner)
        # Who has the whole answer finds the model free, so that tests need not wait for it.
        finish()

    def _generate(self, job: _Job, runner: Runner, options: Json, fault: Fault | None) -> Finish:
        loaded = self._clock.monotonic()
        make = generating.chat_prompt if job.chat else generating.generate_prompt
        prompt = make(job.body, runner.model, options)
        limit = runner.options.num_ctx
        check_prompt(job.body, runner.model, len(prompt.tokens), limit)
        read = prompt.tokens[-limit:]
        answer = generating.respond(prompt, f"{next(self._numbers)}")
        if fault and fault.kind == "empty":
            answer = generating.silenced(answer)
        turn = self._engine.enter(runner, read, job.exchange.watch)
        said: tuple[str, ...] = ()
        try:
            self._engine.hold(self._gate, job.exchange.watch)
            self._engine.pause(turn.prefill, job.exchange.watch)
            finish = self._speak(job, runner, turn, answer, len(read), loaded, fault)
            said = answer.tokens
            return finish
        finally:
            self._engine.leave(runner, turn, said)

    def _speak(
        self,
        job: _Job,
        runner: Runner,
        turn: Turn,
        answer: generating.Answer,
        prompt_tokens: int,
        loaded: float,
        fault: Fault | None,
    ) -> Finish:
        watch = job.exchange.watch
        begun = self._clock.monotonic()
        step = self._engine.timing.token_time(runner.slots.busy)
        outlet = _Outlet(
            job.exchange, fault, lambda: self._engine.hold(self._faults.released, watch)
        )
        if job.stream:
            for piece in answer.pieces:
                self._engine.pause(step, watch)
                if not outlet.open():
                    return job.exchange.end
                outlet.line(self._line(job, piece))
            # A tool call is one piece of several tokens.
            self._engine.pause(step * (len(answer.tokens) - len(answer.pieces)), watch)
        else:
            self._engine.pause(step * len(answer.tokens), watch)
        now = self._clock.monotonic()
        metrics = Metrics(
            total_duration=nanoseconds(now - job.started),
            load_duration=nanoseconds(loaded - job.started),
            prompt_eval_count=prompt_tokens,
            prompt_eval_duration=nanoseconds(
                self._engine.timing.prefill_time(prompt_tokens - turn.reused)
            ),
            eval_count=len(answer.tokens),
            eval_duration=nanoseconds(now - begun),
        )
        last = self._line(
            job,
            Piece() if job.stream else answer.whole,
            done_reason=answer.done_reason,
            metrics=metrics,
            context_size=prompt_tokens + len(answer.tokens),
        )
        if job.stream:
            return partial(outlet.close, last) if outlet.open() else job.exchange.end
        if fault:
            last = spoil(last, fault, job.exchange, outlet.hold)
        return partial(job.exchange.answer, 200, encode(last))

    def _line(
        self,
        job: _Job,
        piece: Piece,
        *,
        done_reason: str = "",
        metrics: Metrics | None = None,
        context_size: int = 0,
    ) -> Json:
        at = rfc3339(self._clock.time())
        if job.chat:
            return chat_line(job.model, at, piece, done_reason=done_reason, metrics=metrics)
        context = () if job.body.get("raw") else range(1, context_size + 1)
        return generate_line(
            job.model, at, piece, done_reason=done_reason, metrics=metrics, context=context
        )

    def _name(self, job: _Job) -> str:
        if not job.model and job.chat:
            raise RefusedError(400, "model is required")
        if not job.model:
            raise RefusedError(404, "model '' not found")
        name = find(job.model, self._models)
        if name is None:
            raise RefusedError(400, "invalid model name")
        if name not in self._models:
            raise RefusedError(404, f"model '{job.model}' not found")
        return name


def answer_status(fault: Fault, exchange: Exchange) -> bool:
    """Answer with the status that a fault orders; False: it orders something else."""
    if fault.kind != "status":
        return False
    if isinstance(fault.body, str):
        exchange.answer(fault.status, fault.body.encode(), TEXT)
    else:
        exchange.answer(fault.status, encode(fault.body))
    return True


def spoil(last: Json, fault: Fault, exchange: Exchange, hold: Callable[[], None]) -> Json:
    """Return an answer that is not streamed as the fault leaves it."""
    if fault.kind == "reset":
        exchange.reset()
    if fault.kind == "midstream_error":
        raise RefusedError(500, fault.text)
    if fault.kind == "hang":
        hold()
    if fault.kind == "no_done":
        dropped = ("done_reason", "total_duration", "load_duration")
        return {key: value for key, value in last.items() if key not in dropped} | {"done": False}
    return last
