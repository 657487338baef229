"""The state of the link to Redis: breaker, probe, log lines, first contact. No client here."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from aegis_llm.breaker import Breaker
from aegis_llm.config import safe_url
from aegis_llm.errors import StoreTrouble
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.stores.redis_commands import counts_for_breaker, garbled, reason_of

log = logging.getLogger("aegis_llm")

_HELP = {
    "redis_auth": "check the user and password in redis_url",
    "redis_full": "answers are served but not stored; raise maxmemory or set an eviction policy",
    "redis_readonly": "answers are served but not stored; point redis_url at the primary",
    "redis_no_permission": "allow GET MGET SET DEL HSET PEXPIRE MULTI EXEC PING FT.* on aegis:*",
    "no_query_engine": "only the exact tier works; the semantic tier needs Redis 8 or Redis Stack",
}


class Link:
    """Decides whether Redis may be asked, and notes how it went.

    The first contact, and every probe while the breaker is open, run in the background pool, so
    that name resolution, a private server's start or a dead host never hold up a caller for longer
    than `patience_s`, once. A Redis whose replies all take long is left alone as well.

    Args:
        url: What is shown of it has no secrets.
        contact: Connects, and returns how many seconds a reply takes.
        pool: Where it is called.
        patience_s: Longest wait of one caller for the first contact, in seconds.
        slow_s: A reply that takes longer counts as a failure.
    """

    def __init__(
        self,
        url: str,
        contact: Callable[[], float],
        pool: DaemonPool,
        patience_s: float,
        slow_s: float = math.inf,
    ) -> None:
        self._shown = safe_url(url)
        self._contact = contact
        self._pool = pool
        self._patience = patience_s
        self._slow = slow_s
        self._breaker = Breaker()
        self._quiet = Quiet()
        self.reached = False
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget a first contact that no thread of a forked child will end."""
        self._lock = threading.Lock()
        self._first: Future[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the breaker turns callers away."""
        return self._breaker.is_open

    @property
    def patience_s(self) -> float:
        """Longest wait of one caller for the first contact, in seconds."""
        return self._patience

    def first_contact(self) -> Future[None] | None:
        """Return the future of the first contact, or None when Redis may be asked now.

        Raises:
            StoreTrouble: The breaker is open.
        """
        if self._breaker.is_open:
            self._probe_if_due()
            raise StoreTrouble("redis_breaker_open")
        if self.reached:
            return None
        with self._lock:
            if self._first is None or self._first.done():
                self._first = self._pool.submit(self._reach)
            return self._first

    def worked(self) -> None:
        """Note that Redis answered."""
        if self._breaker.success():
            log.info("Redis at %s is back: answers are cached again", self._shown)
            self._quiet.forget()

    def replied(self, seconds: float) -> None:
        """Note that Redis answered a caller after `seconds`: too late is a failure."""
        if seconds <= self._slow:
            self.worked()
            return
        if self._breaker.failure(time.monotonic()):
            self.say("redis_slow")

    def failed(self, error: BaseException) -> StoreTrouble:
        """Note an error and return the trouble to raise; logs once a minute per reason."""
        reason = error.reason if isinstance(error, StoreTrouble) else reason_of(error)
        if counts_for_breaker(reason) or garbled(error):
            self._breaker.failure(time.monotonic())
        # What is missing on this machine for a private server only its own sentence says.
        self.say(str(error) if reason == "embedded_unavailable" else reason)
        return StoreTrouble(reason)

    def say(self, reason: str) -> None:
        """Log a reason, unless it was logged within the last minute."""
        if self._quiet.may_say(reason):
            hint = _HELP.get(reason, "requests go to the model; caching resumes by itself")
            log.warning("Redis at %s: %s; %s", self._shown, reason, hint)

    def _reach(self) -> None:
        try:
            self._contact()
        except Exception as exc:
            raise self.failed(exc) from exc
        self.reached = True
        self.worked()

    def _probe_if_due(self) -> None:
        if self._breaker.probe_due(time.monotonic()):
            self._pool.submit(self._probe)

    def _probe(self) -> None:
        try:
            seconds = self._contact()
        except Exception:  # noqa: BLE001 - whatever it is, Redis is not back
            seconds = math.inf
        if seconds > self._slow or seconds == math.inf:
            self._breaker.probe_failed(time.monotonic())
        else:
            self.reached = True
            self.worked()
