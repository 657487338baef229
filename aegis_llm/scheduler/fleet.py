"""The servers that a model is asked on: which one a request goes to, and whether it is there."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aegis_llm.batching.jobs import Job
from aegis_llm.batching.placing import Load, Placing
from aegis_llm.config import safe_url
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.dispatch import Dispatcher
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.pool import DaemonPool

log = logging.getLogger("aegis_llm")
_LOOK_EVERY_S = 30.0
_pool = DaemonPool("aegis-fleet", 4)
_quiet = Quiet()


class Seen(NamedTuple):
    """What a server says of itself: digests of its models, the loaded ones, their families."""

    models: Mapping[str, str]
    loaded: Collection[str]
    families: Mapping[str, str] = {}


class Lookout(Protocol):
    """Asks one server what it has; raises when it cannot be reached."""

    def look(self) -> Seen:
        """Return what the server says."""


class Link(NamedTuple):
    """One server: its name without secrets, its queue, and how it is asked what it has."""

    name: str
    dispatcher: Dispatcher
    lookout: Lookout


class Fleet:
    """One server or several that answer the same requests."""

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = tuple(links)
        self.placing = Placing(len(self.links))
        self._looked_at = 0.0
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def choose(self, job: Job, avoid: Collection[int]) -> int:
        """Return the place of the server that a request goes to."""
        if len(self.links) == 1:
            return 0
        loads = [_load(link, job.model) for link in self.links]
        with self._lock:
            chosen = self.placing.choose(job, loads, avoid)
        self._look_after()
        return chosen

    def has_others(self, model: str, avoid: Collection[int]) -> bool:
        """Return whether a server with the model is in service that is not among these."""
        with self._lock:
            return self.placing.has_others(model, avoid)

    def lost(self, place: int) -> None:
        """Note that a server could not be reached."""
        link = self.links[place]
        link.dispatcher.went_away()
        if len(self.links) > 1:
            with self._lock:
                self.placing.failed(place, time.monotonic())
            if _quiet.may_say(f"lost {link.name}"):
                log.warning("%s cannot be reached; requests go to the other servers", link.name)

    def worked(self, place: int) -> None:
        """Note that a server answered."""
        if len(self.links) > 1 and self.placing.out():
            with self._lock:
                back = self.placing.worked(place)
            if back:
                log.warning("%s answers again", self.links[place].name)

    def look(self, place: int) -> None:
        """Ask a server what it has, and note whether it answers."""
        link = self.links[place]
        try:
            seen = link.lookout.look()
        except Exception:  # noqa: BLE001 - whatever it is, the server cannot be asked
            self.lost(place)
            return
        for model, family in seen.families.items():
            if family in ONE_SLOT:
                link.dispatcher.family_has(model, 1)
        with self._lock:
            self.placing.told(place, seen.models, seen.loaded)
            odd = self.placing.odd()
        for model, places in odd.items():
            if _quiet.may_say(f"odd {model}"):
                names = ", ".join(self.links[p].name for p in places)
                log.warning(
                    "%s is not the same model on every server: %s get no requests for it; "
                    "pull it there again",
                    model,
                    names,
                )
        self.worked(place)

    def look_now(self) -> None:
        """Ask every server what it has."""
        self._looked_at = time.monotonic()
        for place in range(len(self.links)):
            self.look(place)

    def state(self) -> list[Any]:
        """Return what is to be seen of each server's queue."""
        return [link.dispatcher.state() for link in self.links]

    def _look_after(self) -> None:
        """Have servers asked in the background whose time has come."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            due: Collection[int] = range(len(self.links))
        else:
            with self._lock:
                due = self.placing.to_check(now)
        with contextlib.suppress(RuntimeError):  # the interpreter ends: no more threads
            for place in due:
                _pool.submit(self.look, place)


ONE_SLOT = frozenset((
    "mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe",
    "nemotron_h", "nemotron_h_moe", "nemotron_h_omni",
))  # fmt: skip
"""Families of models that Ollama gives one slot, whatever OLLAMA_NUM_PARALLEL says."""


def _load(link: Link, model: str) -> Load:
    dispatcher = link.dispatcher
    return Load(dispatcher.busy, dispatcher.slots(model) or 1)


def shown(url: str) -> str:
    """Return the name of a server for messages."""
    return safe_url(url).rstrip("/")
