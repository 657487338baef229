"""An Ollama in virtual time, with room for some models, in front of which a queue stands."""

from __future__ import annotations

import heapq
from itertools import count

from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.queue import Queue
from aegis_llm.config import SchedulerConfig

LOAD_S = 2.0


class ModelServer:
    """Requests for a loaded model run at once; the others wait in line for a load.

    A load takes the place of a model that nobody uses; until there is one, it waits. What arrives
    for a loaded model meanwhile runs all the same.
    """

    def __init__(self, room: int, *, takes: float = 1.0, slots: int = 4, **settings: int) -> None:
        self.room = room
        self.takes = takes
        self.slots = slots
        self.queue = Queue(SchedulerConfig(**{"num_parallel": slots} | settings))
        self.now = 0.0
        self.loads = 0
        self.order: list[str] = []
        self.answered: list[Job] = []
        self._loaded: dict[str, float] = {}  # and when it was used last
        self._in_line: list[Job] = []
        self._running: list[tuple[float, int, str, Job | None]] = []
        self._loading: str | None = None
        self._numbers = count()

    def ask(self, *models: str) -> list[Job]:
        jobs = [Job(model, self.now) for model in models]
        for job in jobs:
            self.queue.submit(job, self.now)
        self.move()
        return jobs

    def move(self) -> None:
        while (job := self.queue.next(self.now)) is not None:
            self.order.append(job.model)
            self._in_line.append(job)
        self._serve()

    def step(self) -> bool:
        """Let the next thing happen; False: there is nothing."""
        if not self._running:
            return False
        self.now, _, model, job = heapq.heappop(self._running)
        if job is None:
            self._loaded[model] = self.now
            self._loading = None
            self.loads += 1
        else:
            self._loaded[model] = self.now
            load = max(0.01, self.now - job.sent - self.takes)
            self.answered.append(job)
            self.queue.done(job, self.now, Reply(load, 0.1, self.takes - 0.1, 0.0, 100, 20))
        self._serve()
        self.move()
        return True

    def drain(self) -> None:
        while self.step():
            pass
        assert not self._in_line
        assert not self.queue.waiting

    def expire(self, model: str) -> None:
        """Unload a model that nobody used for long."""
        self._loaded.pop(model, None)

    def _serve(self) -> None:
        for job in list(self._in_line):
            if job.model in self._loaded and self._uses(job.model) < self.slots:
                self._in_line.remove(job)
                end = self.now + self.takes
                heapq.heappush(self._running, (end, next(self._numbers), job.model, job))
        waiting = [job.model for job in self._in_line if job.model not in self._loaded]
        if waiting and self._loading is None and self._has_room():
            self._loading = waiting[0]
            entry = (self.now + LOAD_S, next(self._numbers), waiting[0], None)
            heapq.heappush(self._running, entry)

    def _has_room(self) -> bool:
        if len(self._loaded) < self.room:
            return True
        idle = [model for model in self._loaded if not self._uses(model)]
        if idle:
            del self._loaded[min(idle, key=self._loaded.__getitem__)]
        return bool(idle)

    def _uses(self, model: str) -> int:
        return sum(one == model for _, _, one, job in self._running if job is not None)
