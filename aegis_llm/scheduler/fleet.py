"""The servers that a model is asked on: which one a request goes to, and whether it is there."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from aegis_llm.batching.jobs import Job
from aegis_llm.batching.placing import Placing
from aegis_llm.config import SchedulerConfig, safe_url
from aegis_llm.keys import normal_model
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
    """One server: its name without secrets, its address, its queue, and who asks what it has."""

    name: str
    address: str
    dispatcher: Dispatcher
    lookout: Lookout


class Group:
    """What is known of some servers, shared by all models of the process that are asked there."""

    def __init__(self, count: int) -> None:
        self.placing = Placing(count)
        self.looked_at = -math.inf
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew in a forked child."""
        self.lock = threading.Lock()


class Fleet:
    """One server or several that answer the same requests.

    Args:
        links: The servers.
        config: What the calls of its model ask for; the queues may have settings of another one.
        group: What is known of these servers already.
    """

    def __init__(
        self, links: Sequence[Link], config: SchedulerConfig, group: Group | None = None
    ) -> None:
        self.links = tuple(links)
        self.addresses = tuple(link.address for link in links)
        self.config = config
        self._group = group or Group(len(self.links))
        self._placing = self._group.placing

    def choose(self, job: Job, avoid: Collection[int]) -> int:
        """Return the place of the server that a request goes to."""
        if len(self.links) == 1:
            return 0
        loads = [link.dispatcher.load(job.model) for link in self.links]
        with self._group.lock:
            chosen = self._placing.choose(job, loads, avoid)
        self._look_after()
        return chosen

    def has_others(self, model: str, avoid: Collection[int]) -> bool:
        """Return whether a server with the model is in service that is not among these."""
        with self._group.lock:
            return self._placing.has_others(model, avoid)

    def knows_slots(self, model: str) -> bool:
        """Return whether it is known how many requests of a model each server answers at once."""
        name = normal_model(model)
        return all(link.dispatcher.load(name).slots is not None for link in self.links)

    def digests(self) -> Mapping[str, str]:
        """Return the digest of each model: that of the first server that has it."""
        with self._group.lock:
            return self._placing.digests()

    def asked_on(self, model: str) -> int:
        """Return a server on which a model may be asked beside the queue."""
        with self._group.lock:
            return self._placing.asked_on(normal_model(model))

    def is_out(self, place: int) -> bool:
        """Return whether a server is left out."""
        return self._placing.is_out(place)

    def lost(self, place: int) -> None:
        """Note that a server could not be reached."""
        link = self.links[place]
        link.dispatcher.went_away()
        if len(self.links) > 1:
            with self._group.lock:
                was_in = self._placing.failed(place, time.monotonic())
            if was_in and _quiet.may_say(f"lost {link.name}"):
                log.warning("%s cannot be reached; requests go to the other servers", link.name)

    def worked(self, place: int) -> None:
        """Note that a server answered a request; one that was left out is asked what it has now.

        It may have come back with another model of the same name.
        """
        if len(self.links) > 1 and self._placing.is_out(place):
            with self._group.lock:
                self._placing.answered(place)
            with contextlib.suppress(RuntimeError):  # the interpreter ends: no more threads
                _pool.submit(self.look, place)

    def look(self, place: int) -> None:
        """Ask a server what it has, and note whether it answers."""
        link = self.links[place]
        try:
            seen = link.lookout.look()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the server cannot be asked
            status = getattr(exc, "status_code", -1)
            if not 400 <= status < 500:
                self.lost(place)
                return
            with self._group.lock:
                self._placing.says_nothing(place)
            if _quiet.may_say(f"says nothing {link.name}"):
                log.warning(
                    "%s does not say which models it has (status %d); it gets requests only for "
                    "models that no other server is known to have",
                    link.name,
                    status,
                )
            self._returned(place)
            return
        for model, family in seen.families.items():
            if family in ONE_SLOT:
                link.dispatcher.family_has(model, 1)
        with self._group.lock:
            self._placing.told(place, seen.models, seen.loaded)
            odd = self._placing.odd()
        for model, places in odd.items():
            names = ", ".join(self.links[p].name for p in places)
            if _quiet.may_say(f"odd {model} {names}"):
                log.warning(
                    "%s is not the same model on every server: no request for it goes to %s; "
                    "pull it there again",
                    model,
                    names,
                )
        self._returned(place)

    def look_now(self) -> None:
        """Ask every server what it has; those that are left out are not waited for."""
        self._group.looked_at = time.monotonic()
        out = self._placing.out()
        asked = [(place, _pool.submit(self.look, place)) for place in range(len(self.links))]
        for place, asking in asked:
            if place not in out or len(out) == len(self.links):
                asking.result()

    def _returned(self, place: int) -> None:
        """Take a server in again that answers."""
        if len(self.links) == 1 or not self._placing.is_out(place):
            return
        with self._group.lock:
            back = self._placing.worked(place)
        if back and _quiet.may_say(f"back {self.links[place].name}"):
            log.warning("%s answers again", self.links[place].name)

    def _look_after(self) -> None:
        """Have servers asked in the background whose time has come."""
        now = time.monotonic()
        due: Collection[int] = ()
        if now - self._group.looked_at >= _LOOK_EVERY_S:
            self._group.looked_at = now
            due = range(len(self.links))
        elif self._placing.out():
            with self._group.lock:
                due = self._placing.to_check(now)
        with contextlib.suppress(RuntimeError):  # the interpreter ends: no more threads
            for place in due:
                _pool.submit(self.look, place)


ONE_SLOT = frozenset((
    "mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe",
    "nemotron_h", "nemotron_h_moe", "nemotron_h_omni",
))  # fmt: skip
"""Families of models that Ollama gives one slot, whatever OLLAMA_NUM_PARALLEL says."""


def shown(url: str) -> str:
    """Return the name of a server for messages."""
    if "://" in url:
        return safe_url(url).rstrip("/")
    return safe_url(f"http://{url}").removeprefix("http://").rstrip("/")
