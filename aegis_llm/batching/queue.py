"""The queue in front of one server: which of the requests that wait is sent next.

A free slot is given at once. Where several wait, in this order: who was overtaken too often; the
highest priority; the nearest deadline; the models that are loaded; the tenant that got the fewest
tokens; the prefix that an idle slot holds; the shortest answer; who came first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from aegis_llm.batching.choosing import choose
from aegis_llm.batching.fair import Shares
from aegis_llm.batching.forecast import Forecast
from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.limit import Limit
from aegis_llm.batching.line import Line
from aegis_llm.batching.placing import Load
from aegis_llm.batching.residents import TURN, Residents
from aegis_llm.batching.state import ModelState, QueueState
from aegis_llm.batching.warm import Slots
from aegis_llm.config import SchedulerConfig
from aegis_llm.errors import QueueFullError

OVERTAKEN = 2 * TURN
"""After so many requests were sent since it came, a request goes before all others; where more
than half as many wait, after twice as many as wait."""
_HELD_S = 10.0  # for which other models are held back for one that may get no answer
_BURST = 1024  # requests that may come after one and still count for that
_MOST_MODELS = 256  # names come from callers, also those of models that do not exist


@dataclass(slots=True)
class Model:
    """What is known of one model on the server, and the requests for it that wait."""

    limit: Limit
    lines: dict[int, Line] = field(default_factory=dict)
    slots: Slots = field(default_factory=Slots)
    forecast: Forecast = field(default_factory=Forecast)
    flying: dict[Job, bool] = field(default_factory=dict)
    run: int = 0
    sent: int = 0

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(len(line) for line in self.lines.values())


class Queue:
    """The requests to one server that wait or are in flight.

    Args:
        config: How it decides.
        server: Name of the server, for messages.
    """

    def __init__(self, config: SchedulerConfig, server: str = "the server") -> None:
        self.config = config
        self.server = server
        self._models: dict[str, Model] = {}
        self._waiting: OrderedDict[int, Job] = OrderedDict()
        self._shares = Shares()
        self._residents = Residents(config.max_loaded_models)
        self._numbers = 0
        self._sent = 0
        self._flying: dict[str, int] = {}
        self._queued: dict[str, int] = {}
        self._gathering_since: float | None = None
        self._gathered = 0
        self._now = 0.0

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def flying(self) -> int:
        """How many requests are in flight."""
        return sum(self._flying.values())

    def configure(self, config: SchedulerConfig) -> None:
        """Change the settings."""
        self.config = config
        self._residents.given = config.max_loaded_models
        for model in self._models.values():
            model.limit.given = config.num_parallel

    def slots(self, name: str) -> int | None:
        """Return how many requests of a model the server answers at once; None: not known."""
        model = self._models.get(name)
        return self.config.num_parallel if model is None else model.limit.slots

    def load(self, name: str) -> Load:
        """Return how busy the server is, seen from one model."""
        return Load(
            len(self._waiting) + self.flying, self.slots(name), self._residents.displaces(name)
        )

    def submit(self, job: Job, now: float) -> None:
        """Take a request on; ask `next` then.

        Raises:
            QueueFullError: As many wait as may.
        """
        most = self.config.max_queue
        if most is not None and len(self._waiting) >= most:
            raise QueueFullError(self.server, len(self._waiting), self.expected_wait(job.model))
        model = self._model(job.model)
        self._numbers += 1
        job.number, job.overtakes = self._numbers, self._sent
        job.patience = 2 * (len(self._waiting) + _BURST)
        job.expected = model.forecast.tokens(job.template, job.most_tokens)
        self._shares.joined(job)
        self._add(job, model)
        if self._gathering_since is None:
            self._gathering_since = now

    def next(self, now: float) -> Job | None:
        """Return a request to send now, in flight from then on; None: there is none."""
        self._now = now
        if not self._waiting or self._gathers(now):
            return None
        job = self._urgent() or self._best(now)
        if job is not None:
            self._send(job, now)
        return job

    def push(self, job: Job, now: float) -> None:
        """Send a request that waits although no slot is free: its caller cannot wait."""
        since, gathered = self._gathering_since, self._gathered
        self._send(job, now)
        self._gathering_since, self._gathered = since, gathered
        self._ungather()

    def due_at(self) -> float | None:
        """Return when `next` is to be asked again although nothing happened."""
        if self.config.window == "busy" or not self._waiting or self._gathered:
            return None
        since = self._gathering_since
        return None if since is None else since + self.config.window_ms / 1000

    def leave(self, job: Job) -> None:
        """Note that a request that waits is given up."""
        self._remove(job, self._models[job.model])
        self._shares.left(job)
        self._ungather()

    def done(self, job: Job, now: float, reply: Reply | None = None) -> None:
        """Note that a request in flight is over; `reply` says what it took, if known."""
        model = self._models[job.model]
        cold = model.flying[job]
        self._land(job)
        if reply is None:
            if job.answered:
                self._residents.answered(job.model)
            model.limit.lost(job)
            self._shares.left(job)
            return
        if self._residents.replied(job.model, reply.load_s, job.sent, now):
            model.slots.forget()
            model.limit.loaded()
        model.limit.ended(job, reply, now)
        model.forecast.note(job, reply, cold=cold)
        self._shares.left(job, reply.output_tokens)

    def went_away(self) -> None:
        """Note that the server cannot be reached: it may come back with other settings."""
        self._residents.forget()
        for model in self._models.values():
            model.limit.doubt()
            model.slots.forget()

    def family_has(self, model: str, slots: int) -> None:
        """Note how many slots the server gives to models of this family."""
        self._model(model).limit.expect(slots)

    def expected_wait(self, model: str) -> float:
        """Return the seconds after which one more request may be sent; 0: nothing is known."""
        known = self._models.get(model)
        slots = None if known is None else known.limit.slots
        if known is None or slots is None:
            return 0.0
        return math.ceil(max(1, known.waiting) / slots) * known.forecast.service_s

    def state(self) -> QueueState:
        """Return what is to be seen of the queue."""
        return QueueState(
            self.server,
            {
                name: ModelState(
                    waiting=model.waiting,
                    flying=len(model.flying),
                    slots=model.limit.slots,
                    measured=model.limit.measured,
                    sent=model.sent,
                    loaded=self._residents.has(name),
                )
                for name, model in self._models.items()
            },
            self._residents.room,
        )

    def _model(self, name: str) -> Model:
        model = self._models.get(name)
        if model is None:
            if len(self._models) >= _MOST_MODELS:
                self._forget_idle()
            model = self._models[name] = Model(Limit(self.config.num_parallel))
        return model

    def _forget_idle(self) -> None:
        """Forget half of the models, the first known first, but none with requests."""
        idle = [name for name, model in self._models.items() if not (model.flying or model.lines)]
        for name in idle[: _MOST_MODELS // 2]:
            del self._models[name]
            self._residents.drop(name)

    def _gathers(self, now: float) -> bool:
        """Return whether the window is open in which nothing is sent."""
        if self.config.window == "busy" or self._gathered:
            return False
        since = now if self._gathering_since is None else self._gathering_since
        full = len(self._waiting) >= self.config.max_batch
        if not full and now < since + self.config.window_ms / 1000:
            return True
        self._gathered = len(self._waiting)
        return False

    def _ungather(self) -> None:
        """Note that a request went out of its turn: the window stays as it is for the others."""
        self._gathered = min(self._gathered, len(self._waiting))
        if not self._waiting:
            self._gathering_since = None

    def _urgent(self) -> Job | None:
        """Return the oldest request if it was overtaken too often and can be sent."""
        oldest = next(iter(self._waiting.values()))
        # In a long queue everybody waits long; a bound for short ones would make it first come,
        # first served. It grows with the queue, but not without end with those that come later.
        most = min(2 * len(self._waiting), oldest.patience)
        if self._sent - oldest.overtakes < max(OVERTAKEN, most):
            return None
        self._residents.claim(oldest.model)
        return oldest if self._may_send(oldest.model) else None

    def _best(self, now: float) -> Job | None:
        ready = [name for name in self._queued if self._may_send(name)]
        lines = [(name, p, line) for name in ready for p, line in self._models[name].lines.items()]
        if len(lines) > 1:
            lines.sort(key=self._rank)
        for name, _, line in lines:
            job = choose(line, self._models[name], self._shares, self.config.prefix_run, now)
            if job is not None:
                return job
        return None

    def _rank(self, entry: tuple[str, int, Line]) -> tuple[int, float, bool, int]:
        name, priority, line = entry
        pressing = line.most_pressing()
        deadline = math.inf if pressing is None or pressing.deadline is None else pressing.deadline
        return -priority, deadline, not self._residents.has(name), line.oldest().number

    def _may_send(self, name: str) -> bool:
        model = self._models[name]
        return (
            model.limit.room(len(model.flying))
            and self._residents.may_send(name, self._flying, self._queued)
            and not self._starves_another(name)
        )

    def _starves_another(self, name: str) -> bool:
        """Return whether a request for another model may get no answer for those of this one."""
        for other in self._flying:
            if other == name or not self._residents.may_starve(other):
                continue
            oldest = next(iter(self._models[other].flying))
            if oldest.answered or self._sent - oldest.turn < TURN:
                continue
            if oldest.held_since is None:
                oldest.held_since = self._now
            # Long enough for a load; it may be that its answer merely takes long.
            if self._now - oldest.held_since < _HELD_S:
                return True
        return False

    def _send(self, job: Job, now: float) -> None:
        model = self._models[job.model]
        self._residents.sent(job.model, self._flying, self._queued)
        self._remove(job, model)
        self._sent += 1
        model.sent += 1
        job.turn = self._sent
        if self._gathered:
            self._gathered -= 1
        if not self._gathered:
            self._gathering_since = now if self._waiting else None
        self._flying[job.model] = self._flying.get(job.model, 0) + 1
        job.rank, job.sent = len(model.flying) + 1, now
        model.limit.sent(job)
        model.flying[job] = not model.slots.take(job, model.limit.slots)
        self._shares.sent(job)

    def _land(self, job: Job) -> Model:
        model = self._models[job.model]
        del model.flying[job]
        self._flying[job.model] -= 1
        if not self._flying[job.model]:
            del self._flying[job.model]
        model.slots.give_back(job, model.limit.slots)
        return model

    def _add(self, job: Job, model: Model) -> None:
        model.lines.setdefault(job.priority, Line()).add(job, self._shares)
        self._queued[job.model] = self._queued.get(job.model, 0) + 1
        self._waiting[job.number] = job

    def _remove(self, job: Job, model: Model) -> None:
        line = model.lines[job.priority]
        line.remove(job)
        if not line:
            del model.lines[job.priority]
        del self._waiting[job.number]
        self._queued[job.model] -= 1
        if not self._queued[job.model]:
            del self._queued[job.model]
