"""One queue for each server, shared by everything in the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from aegis_llm.batching.agreeing import Agreed
from aegis_llm.batching.state import QueueState, show
from aegis_llm.config import SchedulerConfig
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.dispatch import Dispatcher
from aegis_llm.scheduler.fleet import ONE_SLOT, Group, shown
from aegis_llm.scheduler.forks import renew_in_child

log = logging.getLogger("aegis_llm")
_LOCAL = ("localhost", "::1", "", "0.0.0.0", "::")  # noqa: S104 - names, nothing is bound
_PORTS = {"http": 80, "https": 443}
_OLLAMA = 11434
_MOST_AGREED = 1024
_USUAL = SchedulerConfig()
_quiet = Quiet()


class Registry:
    """The queues of a process, and what the models share that are asked there."""

    def __init__(self) -> None:
        self._dispatchers: dict[str, Dispatcher] = {}
        self._groups: dict[tuple[str, ...], Group] = {}
        self._agreed: dict[tuple[str, str], Agreed] = {}
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def dispatcher(self, url: str, config: SchedulerConfig) -> Dispatcher:
        """Return the queue of a server.

        Its settings are those of the first caller that gives other than the usual ones. What each
        caller decides for its own calls is none of them.
        """
        config = _of_the_queue(config)
        with self._lock:
            dispatcher = self._dispatchers.get(address(url))
            if dispatcher is None:
                dispatcher = self._dispatchers[address(url)] = Dispatcher(config, shown(url))
            known = dispatcher.config
            if config in (known, _USUAL):
                return dispatcher
            if known == _USUAL:
                dispatcher.configure(config)
                return dispatcher
        if _quiet.may_say(shown(url)):
            log.warning(
                "%s has a queue with other scheduler settings already; those stay in force",
                shown(url),
            )
        return dispatcher

    def group(self, addresses: tuple[str, ...]) -> Group:
        """Return what is known of some servers."""
        with self._lock:
            return self._groups.setdefault(addresses, Group(len(addresses)))

    @contextmanager
    def agreed(self, addresses: Sequence[str], model: str) -> Iterator[Agreed]:
        """Lend the runner options that the callers of a model share; one at a time has them.

        Callers of several servers do not know where they will be sent: these share theirs.
        """
        keys = [(one, model) for one in addresses]
        with self._lock:
            agreed = next((self._agreed[key] for key in keys if key in self._agreed), None)
            if agreed is None:
                agreed = Agreed()
                while len(self._agreed) >= _MOST_AGREED:  # names come from callers
                    del self._agreed[next(iter(self._agreed))]
            self._agreed.update(dict.fromkeys(keys, agreed))
            yield agreed

    def families(self, url: str, families: Mapping[str, str]) -> None:
        """Note the families of the models on a server, some of which get one slot only."""
        dispatcher = self._dispatchers.get(address(url))
        for model, family in families.items():
            if dispatcher is not None and family in ONE_SLOT:
                dispatcher.family_has(model, 1)

    def states(self) -> list[QueueState]:
        """Return what is to be seen of each queue."""
        with self._lock:
            dispatchers = list(self._dispatchers.values())
        return [dispatcher.state() for dispatcher in dispatchers]

    def forget(self) -> None:
        """Forget all queues, for tests."""
        with self._lock:
            self._dispatchers.clear()
            self._groups.clear()
            self._agreed.clear()


def address(url: str) -> str:
    """Return what tells one server from another: all names of this machine are one."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    host = "127.0.0.1" if (parts.hostname or "") in _LOCAL else parts.hostname
    port = parts.port or _PORTS.get(parts.scheme, _OLLAMA)
    return f"{host}:{port}{parts.path.rstrip('/')}"


def _of_the_queue(config: SchedulerConfig) -> SchedulerConfig:
    """Return the settings without those that each caller has for itself."""
    own = ("single_flight", "schedule", "retries", "normalise_options")
    return replace(config, **{name: getattr(_USUAL, name) for name in own})


QUEUES = Registry()
show(QUEUES.states)
