"""What the stores of one namespace on one Redis share in this process.

They share the knowledge of its invalidations and one thread that listens to the other processes.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import uuid
import weakref
from typing import Any

from aegis_llm import events
from aegis_llm.config import safe_url
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.stores import document_commands as documents
from aegis_llm.stores.hearers import Hearers
from aegis_llm.stores.listener import Listener
from aegis_llm.stores.unheard import Unheard

log = logging.getLogger("aegis_llm")
_READ_AGAIN_S = 600.0
_LONGEST_TRUST_S = 300.0
_RIGHTS = {
    "listen": "invalidations reach the copies in this process late (allow SUBSCRIBE, and the "
    "channels &aegis:*)",
    "read": "invalidations of everything are not seen (allow GET on aegis:*)",
    "record": "answers are cached, and invalidate() will not find those of documents and tags "
    "(allow WATCH UNWATCH ZADD ZREMRANGEBYSCORE on aegis:*)",
    "sweep": "if this Redis evicts keys, invalidate() may miss entries (allow INFO SCAN HGET)",
    "publish": "other processes hear of invalidations late (allow PUBLISH, and the channels "
    "&aegis:*)",
}
_channels: weakref.WeakValueDictionary[tuple[str, str], Channel] = weakref.WeakValueDictionary()
_lock = threading.Lock()
_MISSED = events.encode(events.Missed())


def channel_of(url: str, namespace: str, max_age_s: float) -> Channel:
    """Return the one channel of a namespace on a Redis."""
    with _lock:
        channel = _channels.get((url, namespace))
        if channel is None:
            channel = _channels[url, namespace] = Channel(namespace, max_age_s)
        channel.trust(max_age_s)
        return channel


class Channel:
    """Version and sequence of a namespace as far as they are known, and the news of them.

    They are read at the first contact and come in replies and events from then on. While the
    listener lives they are trusted; else for `max_age_s`, and then a look-up asks again, in the
    message that it sends anyway.
    """

    def __init__(self, namespace: str, max_age_s: float) -> None:
        self.namespace = namespace
        self.name = documents.channel_name(namespace)
        self.url = ""
        self.numbers = (0, 0)
        self.updates = 0
        self.changed = -math.inf
        self.hearers = Hearers()
        self.listening = False
        self._trust_s = min(max(max_age_s, 1.0), _LONGEST_TRUST_S)
        self._token = uuid.uuid4().hex[:16]
        self.good_until = self._read = -math.inf
        self._known = False
        self._said: frozenset[str] = frozenset()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Have no listener: the parent's threads did not come along into a forked child."""
        self._lock = threading.RLock()
        self._unheard = Unheard()
        self._users: weakref.WeakSet[Any] = weakref.WeakSet()
        self._listener: Listener | None = None
        self.idle = True
        self.listening = False

    @property
    def version(self) -> int:
        """When everything was invalidated last, as far as is known; 0 before the first contact."""
        return self.numbers[0]

    @property
    def sequence(self) -> int:
        """How often documents and tags were invalidated, as far as is known."""
        return self.numbers[1]

    @property
    def stale(self) -> bool:
        """Whether version and sequence should be asked for anew."""
        return time.monotonic() > self.good_until

    @property
    def tick_s(self) -> float:
        """How long the listener waits for an event before it asks whether Redis is there."""
        return min(self._trust_s / 3, 10.0)

    def trust(self, max_age_s: float) -> None:
        """Trust what is known no longer than the most careful store wants."""
        self._trust_s = min(self._trust_s, max(max_age_s, 1.0))

    def learned(self, replies: Any, updates: int) -> bool:
        """Take over the replies to `known`, asked for when there had been so many `updates`.

        A version that is older than the known one, or none, was lost by Redis: the known one
        stays. Returns whether that is so.
        """
        version, sequence = documents.numbers(replies)
        with self._lock:
            renewed, lost = version > self.version, version < self.version
            if renewed:
                self._note(version, self.sequence)
            missed = self._count(sequence, sequence, newest=updates == self.updates)
            self.updates += 1
            self._known = True
            self._read = time.monotonic()
            self.confirm()
        if renewed:
            self.hearers.tell(events.encode(events.Renewed(version)))
        if missed:
            self.hearers.tell(_MISSED)
        return lost

    def made(self, version: int) -> None:
        """Note the version by which this process, or one that said so, invalidated everything."""
        with self._lock:
            self._note(max(version, self.version), self.sequence)
            self.updates += 1

    def counting(self) -> int:
        """Note that this process asks for an invalidation's number; return what `counted` wants.

        Whoever reads the sequence meanwhile may see the number before the reply is here. Then it
        is none that was missed.
        """
        with self._lock:
            self._unheard.ask()
            return self.updates

    def counted(self, number: int, updates: int) -> None:
        """Note the number of an invalidation that this process makes; 0 if no reply came.

        It was asked for when there had been so many `updates`.
        """
        with self._lock:
            missed = self._unheard.got(number)
            if number:
                newest = updates == self.updates
                missed = self._count(number, number - 1, newest=newest) or missed
                self.updates += 1
        if missed:
            self.hearers.tell(_MISSED)

    def _count(self, sequence: int, unheard: int, *, newest: bool) -> bool:
        """Take over a sequence; return whether others invalidated unheard, up to that number.

        One that went back is taken only if nothing was learned since it was asked for: then Redis
        lost its count. Else the replies came in another order.
        """
        before = self.sequence
        if sequence == before or (sequence < before and not newest):
            return False
        self._note(self.version, sequence)
        if self.listening or not self._known:
            return False
        return sequence < before or self._unheard.passed(before, unheard)

    def _note(self, version: int, sequence: int) -> None:
        self.changed = time.monotonic()
        self.numbers = version, sequence

    def lacks(self, right: str) -> None:
        """Log what does not work without a right, once in the life of the process."""
        with self._lock:
            said, self._said = right in self._said, self._said | {right}
        if not said:
            log.warning("Redis at %s: a right is missing; %s", safe_url(self.url), _RIGHTS[right])

    def confirm(self) -> None:
        """Note that nothing can have been missed until now."""
        self.good_until = min(time.monotonic() + self._trust_s, self._read + _READ_AGAIN_S)

    def sealed(self, event: bytes) -> bytes:
        """Return the message that carries an event to the other processes."""
        return b"%s-%d %s" % (self._token.encode(), os.getpid(), event)

    def opened(self, message: Any) -> bytes | None:
        """Return the event of a message, or None when it is this process's own."""
        if not isinstance(message, bytes):
            return None
        sender, _, event = message.partition(b" ")
        return None if sender == b"%s-%d" % (self._token.encode(), os.getpid()) else event

    def join(self, user: object) -> None:
        """Listen as long as this user does not leave; the first one starts the thread."""
        with self._lock:
            self._users.add(user)
            self.idle = False
            if self._listener is None:
                self._listener = Listener(self)

    def heard_by(self, listener: Listener) -> None:
        """Note that a listener misses nothing from now on, unless it was stopped meanwhile."""
        with self._lock:
            self.listening = self._listener is listener

    def leave(self, user: object) -> None:
        """Stop listening when nobody is left."""
        with self._lock:
            self._users.discard(user)
            if not self._users and self._listener is not None:
                self._listener.stop()
                self._listener = None
                self.idle = True
                self.listening = False
