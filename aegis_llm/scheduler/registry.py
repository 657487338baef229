"""One queue for each server, shared by everything in the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from aegis_llm.batching.agreeing import Agreed
from aegis_llm.batching.state import QueueState, show
from aegis_llm.config import SchedulerConfig
from aegis_llm.scheduler.dispatch import Dispatcher
from aegis_llm.scheduler.fleet import ONE_SLOT, shown
from aegis_llm.scheduler.forks import renew_in_child

log = logging.getLogger("aegis_llm")
_LOCAL = ("localhost", "::1", "")
_USUAL = SchedulerConfig()


class Registry:
    """The queues of a process, and the runner options that callers of a model share."""

    def __init__(self) -> None:
        self._dispatchers: dict[str, Dispatcher] = {}
        self._agreed: dict[tuple[str, str], Agreed] = {}
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew in a forked child."""
        self._lock = threading.Lock()

    def dispatcher(self, url: str, config: SchedulerConfig) -> Dispatcher:
        """Return the queue of a server.

        Its settings are those of the first caller that gives other than the usual ones.
        """
        with self._lock:
            dispatcher = self._dispatchers.get(address(url))
            if dispatcher is None:
                dispatcher = self._dispatchers[address(url)] = Dispatcher(config, shown(url))
                return dispatcher
        known = dispatcher.config
        if config in (known, _USUAL):
            return dispatcher
        if known == _USUAL:
            dispatcher.configure(config)
        else:
            log.warning(
                "%s has a queue with other scheduler settings already; those stay in force",
                shown(url),
            )
        return dispatcher

    def agreed(self, url: str, model: str) -> Agreed:
        """Return the runner options that the callers of a model share."""
        key = address(url), model
        agreed = self._agreed.get(key)
        if agreed is None:
            with self._lock:
                agreed = self._agreed.setdefault(key, Agreed())
        return agreed

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
            self._agreed.clear()


def address(url: str) -> str:
    """Return what tells one server from another: all names of this machine are one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return (
        f"{'127.0.0.1' if host in _LOCAL else host}:{parts.port or 11434}{parts.path.rstrip('/')}"
    )


QUEUES = Registry()
show(QUEUES.states)
