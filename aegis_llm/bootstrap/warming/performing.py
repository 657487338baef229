"""Does what the plans of a warm-up ask for: blocking in threads, or awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from aegis_llm.bootstrap.warming import effects as e
from aegis_llm.bootstrap.warming.traffic import Server
from aegis_llm.bootstrap.warming.wire import AsyncWire, Wire, meanings
from aegis_llm.config import SchedulerConfig
from aegis_llm.keys import normal_model
from aegis_llm.ollama_client import OllamaModels
from aegis_llm.ollama_servers import fleet_of
from aegis_llm.runner_options import tell
from aegis_llm.scheduled_client import ScheduledAsyncClient, ScheduledClient
from aegis_llm.scheduler.fleet import Fleet
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.scheduling import scheduling

LOWEST = -100
_ANY_SIZE = 1 << 40
_GRACE_S = 1.0
sending = DaemonPool("aegis-fill", 64)
_rates: dict[tuple[str, str], float] = {}


class Lane:
    """One server, and how its requests are scheduled, until a deadline.

    Args:
        server: Where requests go.
        fleet: All servers that the traffic goes to: runner options are agreed on for all of them.
        config: Settings of the scheduler.
        deadline: By the monotonic clock.
    """

    def __init__(
        self, server: Server, fleet: Fleet | None, config: SchedulerConfig, deadline: float
    ) -> None:
        self.server = server
        self.deadline = deadline
        self.here = fleet_of([OllamaModels(server.url, server.options)], config)
        self.everywhere = fleet or self.here
        self.scheduled = config.schedule

    def left(self) -> float:
        """Return the seconds that are left; raises when there are none."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise e.CallError("timeout")
        return seconds

    def most(self, ask: e.Ask) -> float:
        """Return how long a request may take."""
        left = self.left()
        return left if ask.most_s is None else min(left, ask.most_s)

    def decide(self, effect: Any) -> Any:
        """Perform what waits for nobody."""
        match effect:
            case e.Clock():
                return time.monotonic()
            case e.Settle(model, options):
                return self._settled(model, options)
            case e.Tell(model, options, worked):
                return tell(self.everywhere, {"model": model, "options": options}, worked=worked)
            case e.Slots(model):
                return self.here.links[0].dispatcher.load(normal_model(model)).slots
            case e.Rate(model, seen):
                return self._rate(model, seen)
        raise TypeError(effect)

    def _settled(self, model: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the runner options that the model's requests are sent with.

        A larger context than the others have is kept, since prompts come that need it: it is
        loaded now and not at the first of them. Whoever has less gets it then.
        """
        if not self.everywhere.config.normalise_options:
            return dict(options)
        size = 0 if options.get("num_ctx") is None else _ANY_SIZE
        with QUEUES.agreed(self.everywhere.addresses, normal_model(model)) as agreed:
            return dict(agreed.settle(options, size).options)

    def _rate(self, model: str, seen: float) -> float:
        key = (self.here.addresses[0], normal_model(model))
        known = _rates.get(key, 0.0)
        _rates[key] = max(known, seen)
        return known


class Blocking:
    """Performs the plan of one server in the calling thread, chats in some others."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._wire = Wire(lane.server, lane.left)

    def perform(self, effect: Any) -> Any:
        """Perform one effect."""
        lane = self._lane
        match effect:
            case e.Ask(method, path, body):
                started = time.monotonic()
                with meanings():
                    said = self._wire.ask(method, path, body, lane.most(effect))
                return e.Said(said, time.monotonic() - started)
            case e.Send(bodies):
                under_way = [sending.submit(self._chat, body) for body in bodies]
                return [_answer(one, lane) for one in under_way]
        return lane.decide(effect)

    def _chat(self, body: Mapping[str, Any]) -> e.Said | e.CallError:
        lane, client = self._lane, self._wire
        started = time.monotonic()
        try:
            with meanings(), scheduling(priority=LOWEST, deadline_s=lane.left()):
                scheduled = ScheduledClient([client], lane.here) if lane.scheduled else client
                said = scheduled.chat(**body)
        except e.CallError as exc:
            return exc
        return e.Said(said, time.monotonic() - started)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()


class Awaited:
    """Like `Blocking`, on the running event loop."""

    def __init__(self, lane: Lane, wire: AsyncWire) -> None:
        self._lane = lane
        self._wire = wire

    async def perform(self, effect: Any) -> Any:
        """Perform one effect."""
        lane = self._lane
        match effect:
            case e.Ask(method, path, body):
                started = time.monotonic()
                with meanings():
                    said = await self._wire.ask(method, path, body, lane.most(effect))
                return e.Said(said, time.monotonic() - started)
            case e.Send(bodies):
                return await asyncio.gather(*(self._chat(body) for body in bodies))
        return lane.decide(effect)

    async def _chat(self, body: Mapping[str, Any]) -> e.Said | e.CallError:
        lane, client = self._lane, self._wire
        started = time.monotonic()
        try:
            with meanings(), scheduling(priority=LOWEST, deadline_s=lane.left()):
                scheduled = ScheduledAsyncClient([client], lane.here) if lane.scheduled else client
                said = await scheduled.chat(**body)
        except e.CallError as exc:
            return exc
        return e.Said(said, time.monotonic() - started)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()


def _answer(sent: Future[e.Said | e.CallError], lane: Lane) -> e.Said | e.CallError:
    """Return what became of a chat; it ends by its own time limit, unless it comes by drops."""
    try:
        return sent.result(max(0.0, lane.deadline - time.monotonic()) + _GRACE_S)
    except FutureTimeoutError:
        return e.CallError("timeout")
