"""Stand-ins for the clients of Ollama whose chats wait for their turn.

Both frameworks make their calls with `ollama.Client` and `ollama.AsyncClient`; what is scheduled
is `chat`, where it stands: after the framework has made the body, before it is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from itertools import islice
from typing import Any

import httpx

from aegis_llm.batching.jobs import Job, reply_of
from aegis_llm.batching.prefix import prefix_of_body
from aegis_llm.control import current_control
from aegis_llm.drivers import arun, run
from aegis_llm.keys import normal_model
from aegis_llm.runner_options import checked, tell
from aegis_llm.scheduler.dispatch import Hold
from aegis_llm.scheduler.fleet import Fleet
from aegis_llm.scheduler.read_ahead import AsyncReadAhead, ReadAhead
from aegis_llm.scheduler.sending import Call, Enter, Pause, Sent, is_refused, send_plan
from aegis_llm.scheduling import current_terms, note_trip


class _Scheduled:
    """What both stand-ins share: they are the first of their clients in all but `chat`."""

    def __init__(self, clients: Sequence[Any], fleet: Fleet) -> None:
        self._clients = tuple(clients)
        self._fleet = fleet

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_clients", "_fleet"):
            raise AttributeError(name)
        return getattr(self._clients[0], name)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def _plan(self, body: Mapping[str, Any]) -> Generator[Any, Any, Sent]:
        try:
            job = job_of(body)
        except Exception:  # noqa: BLE001 - the client tells the caller what is wrong with the body
            job = Job(str(body.get("model")), time.monotonic())
        try:
            sent = yield from send_plan(
                self._fleet, job, self._fleet.config.retries, random.random
            )
        except Exception as exc:
            if is_refused(exc):
                tell(self._fleet, body, worked=False)
            raise
        tell(self._fleet, body, worked=True)
        return sent

    @property
    def _may_wait(self) -> bool:
        return self._fleet.config.schedule

    def _noted(self, place: int, hold: Hold) -> Hold:
        note_trip(self._fleet.links[place].name, hold.queued_s)
        return hold


class ScheduledClient(_Scheduled):
    """Stands for `ollama.Client`."""

    def chat(self, model: str = "", messages: Any = None, **rest: Any) -> Any:
        """Like the client's, when its turn has come; a stream waits when its first part is asked.

        Raises:
            QueueFullError: As many requests wait as may.
            QueueTimeoutError: No slot came free in time.
        """
        body = {"model": model, "messages": _kept(messages), **rest}
        if body.get("stream"):
            return self._stream(body)
        sent = run(self._plan(body), partial(self._perform, body))
        sent.hold.end(_reply(sent.answer))
        return checked(self._fleet, body, sent.answer)

    def _stream(self, body: dict[str, Any]) -> Generator[Any, None, None]:
        sent = run(self._plan(body), partial(self._perform, body))
        begun, rest = sent.answer
        ahead = ReadAhead(begun, rest, partial(_over, sent.hold), _cut)
        sent.hold.on_wait(ahead.read_on)
        try:
            for part in ahead:
                yield checked(self._fleet, body, part)
        finally:
            ahead.close()

    def _perform(self, body: dict[str, Any], effect: Any) -> Any:
        match effect:
            case Enter(place, job):
                hold = self._fleet.links[place].dispatcher.enter(job, may_wait=self._may_wait)
                return self._noted(place, hold)
            case Call(place):
                answer = self._clients[place].chat(**body)
                if not body.get("stream"):
                    return answer
                return list(islice(answer, 1)), answer
            case Pause(seconds):
                return time.sleep(seconds)
        raise TypeError(effect)


class ScheduledAsyncClient(_Scheduled):
    """Stands for `ollama.AsyncClient`."""

    async def chat(self, model: str = "", messages: Any = None, **rest: Any) -> Any:
        """Like `ScheduledClient.chat`, awaited."""
        body = {"model": model, "messages": _kept(messages), **rest}
        if body.get("stream"):
            return self._stream(body)
        sent = await arun(self._plan(body), partial(self._perform, body))
        sent.hold.end(_reply(sent.answer))
        return checked(self._fleet, body, sent.answer)

    async def _stream(self, body: dict[str, Any]) -> AsyncGenerator[Any, None]:
        sent = await arun(self._plan(body), partial(self._perform, body))
        begun, rest = sent.answer
        ahead = AsyncReadAhead(begun, rest, partial(_over, sent.hold))
        sent.hold.on_wait(ahead.read_on)
        try:
            async for part in ahead:
                yield checked(self._fleet, body, part)
        finally:
            await ahead.aclose()

    async def _perform(self, body: dict[str, Any], effect: Any) -> Any:
        match effect:
            case Enter(place, job):
                hold = await self._fleet.links[place].dispatcher.aenter(
                    job, may_wait=self._may_wait
                )
                return self._noted(place, hold)
            case Call(place):
                answer = await self._clients[place].chat(**body)
                if not body.get("stream"):
                    return answer
                return [part async for part in _first(answer)], answer
            case Pause(seconds):
                return await asyncio.sleep(seconds)
        raise TypeError(effect)


def job_of(body: Mapping[str, Any], monotonic: Callable[[], float] = time.monotonic) -> Job:
    """Return what the scheduler has to know of a `/api/chat` body."""
    terms = current_terms()
    options = body.get("options") or {}
    most = options.get("num_predict")
    return Job(
        model=normal_model(str(body.get("model", ""))),
        arrived=monotonic(),
        prefix=prefix_of_body(body),
        priority=terms.priority,
        deadline=terms.deadline,
        tenant=current_control().tenant or "",
        template=_template(body),
        most_tokens=most if isinstance(most, int) and most > 0 else None,
    )


def _template(body: Mapping[str, Any]) -> int:
    """Return what requests of one kind have in common: their instructions, tools and format."""
    system = next(
        (str(m.get("content")) for m in body.get("messages") or () if m.get("role") == "system"),
        "",
    )
    return hash((system[:512], bool(body.get("tools")), str(body.get("format") or "")))


async def _first(parts: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield the first part alone."""
    with contextlib.suppress(StopAsyncIteration):
        yield await anext(parts)


def _kept(messages: Any) -> Any:
    """Return messages that can be read more than once: for the queue, and for each try."""
    return list(messages) if isinstance(messages, Iterator) else messages


def _cut(parts: Any) -> None:
    """Cut the connection of a stream that another thread waits for: nothing else wakes it."""
    with contextlib.suppress(Exception):  # then it ends with the next part
        for value in list(parts.gi_frame.f_locals.values()):
            if isinstance(value, httpx.Response) and value.http_version.startswith("HTTP/1"):
                stream = value.extensions["network_stream"]
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _over(hold: Hold, last: Any) -> None:
    hold.end(_reply(last))


def _reply(part: Any) -> Any:
    """Return the times of a last part; None for anything else."""
    with contextlib.suppress(Exception):  # what another server says
        return reply_of(part) if part is not None and part.get("done") else None
    return None
