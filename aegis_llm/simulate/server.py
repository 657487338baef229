"""One server: the models it has loaded, those it has to load, and the requests for them."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from aegis_llm.simulate.jobs import Job
from aegis_llm.simulate.runner import Runner, Visit
from aegis_llm.simulate.setup import Setup
from aegis_llm.simulate.slots import PrefixSlots


class Hall(Protocol):
    """What a server tells, and how it is woken."""

    def wake(self, what: _Wakeable, at: float) -> None:
        """Call `what.fire(at)` at that time, unless its `version` is another one by then."""
        ...

    def started(self, visit: Visit) -> None:
        """Hear that a request has a slot."""
        ...

    def ended(self, server: int, visit: Visit, now: float) -> None:
        """Hear that a request has its whole answer."""
        ...

    def refused(self, server: int, visit: Visit, now: float) -> None:
        """Hear that a request was refused."""
        ...


class _Wakeable(Protocol):
    version: int

    def fire(self, now: float) -> None: ...


class _Loaded(Runner):
    """A model of a server, woken when something is due."""

    __slots__ = ("_server",)

    def __init__(self, server: Server) -> None:
        setup = server.setup
        slots = PrefixSlots(setup.parallel, setup.host_cache_tokens)
        super().__init__(slots, server.rates, setup.speed.prefill, setup.num_batch)
        self._server = server

    def fire(self, now: float) -> None:
        """Do what is due."""
        self._server.step(self, now)


class Server:
    """One server.

    Args:
        number: Its place among the servers.
        setup: Its settings.
        rates: Answer tokens a second of a slot, by the number of slots that write.
        hall: Whom it tells.
    """

    def __init__(self, number: int, setup: Setup, rates: list[float], hall: Hall) -> None:
        self.number = number
        self.setup = setup
        self.rates = rates
        self.loads = 0
        self.version = 0
        self._hall = hall
        self._loaded: dict[str, _Loaded] = {}
        self._pending: deque[Visit] = deque()
        self._loading = False
        self._working = 0

    def arrive(self, job: Job, now: float) -> None:
        """Take a request: to a slot, into the queue of its model, or to wait for a load."""
        self._expire(now)
        visit = Visit(job, now)
        runner = self._loaded.get(job.model)
        if runner is not None:
            self._use(runner, visit, now)
        elif len(self._pending) > self.setup.max_queue:
            self._hall.refused(self.number, visit, now)
        else:
            self._pending.append(visit)
            self._load_next(now)

    def step(self, runner: _Loaded, now: float) -> None:
        """Do what is due in a model."""
        ended = runner.step(now)
        if ended is None:
            self._settle(runner, now)
            return
        runner.uses -= 1
        runner.expires_at = now + self.setup.keep_alive_s
        if runner.waiting:
            self._start(runner, runner.waiting.popleft(), now)
        self._settle(runner, now)
        self._hall.ended(self.number, ended, now)
        if self._pending:
            self._load_next(now)

    def fire(self, now: float) -> None:
        """End a load."""
        self._loading = False
        self._load()
        self._load_next(now)

    def _load(self) -> None:
        self.loads += 1
        self._loaded[self._pending[0].job.model] = _Loaded(self)

    def _use(self, runner: _Loaded, visit: Visit, now: float) -> None:
        runner.uses += 1
        visit.loaded_at = now
        if runner.slots.idle:
            runner.advance(now)
            self._start(runner, visit, now)
            self._settle(runner, now)
        else:
            runner.waiting.append(visit)

    def _start(self, runner: _Loaded, visit: Visit, now: float) -> None:
        runner.start(visit, now)
        self._hall.started(visit)

    def _settle(self, runner: _Loaded, now: float) -> None:
        """Say when the model is due next; the others go slower or faster if it began or ended."""
        if runner.has_work != runner.working:
            runner.working = runner.has_work
            self._working += 1 if runner.working else -1
            for other in self._loaded.values():
                if other.working and other is not runner:
                    other.advance(now)
                    self._hall.wake(other, other.next_at(self._working))
        if runner.working:
            self._hall.wake(runner, runner.next_at(self._working))

    def _load_next(self, now: float) -> None:
        """Serve those at the head of the queue for loading as far as it goes."""
        while self._pending and not self._loading:
            runner = self._loaded.get(self._pending[0].job.model)
            if runner is not None:
                self._use(runner, self._pending.popleft(), now)
            elif self._room() and not self.setup.load_s:
                self._load()
            elif self._room():
                self._loading = True
                self._hall.wake(self, now + self.setup.load_s)
            else:
                return

    def _room(self) -> bool:
        """Make room for one more model; False while all of them are in use."""
        if len(self._loaded) < self.setup.max_loaded_models:
            return True
        idle = [name for name, one in self._loaded.items() if not one.uses]
        if not idle:
            return False
        del self._loaded[min(idle, key=lambda name: self._loaded[name].expires_at)]
        return True

    def _expire(self, now: float) -> None:
        for name, one in list(self._loaded.items()):
            if not one.uses and one.expires_at <= now:
                del self._loaded[name]
