"""A circuit breaker: after repeated trouble, stop asking for a while. Pure, the clock is given."""

from __future__ import annotations


class Breaker:
    """Opens after `threshold` failures in a row and asks for a probe after a growing pause.

    While it is open no caller waits: `allow` is False, and once `probe_due` is True for one
    caller, that caller starts a probe in the background. Safe to share between threads: a lost
    update costs one more attempt, nothing else.
    """

    def __init__(self, threshold: int = 3, pause: float = 0.5, longest: float = 10.0) -> None:
        self._threshold = threshold
        self._first_pause = pause
        self._longest = longest
        self._pause = pause
        self._failures = 0
        self._next_probe = 0.0
        self._open = False

    @property
    def is_open(self) -> bool:
        """Whether callers are turned away."""
        return self._open

    def allow(self) -> bool:
        """Return whether a caller may try."""
        return not self._open

    def probe_due(self, now: float) -> bool:
        """Return True to one caller when it is time to probe; the next waits another pause."""
        if not self._open or now < self._next_probe:
            return False
        self._next_probe = now + self._pause
        return True

    def success(self) -> bool:
        """Note that an attempt worked; return True when this closes an open breaker."""
        was_open = self._open
        self._failures = 0
        self._open = False
        self._pause = self._first_pause
        return was_open

    def failure(self, now: float) -> bool:
        """Note that a caller's attempt failed; return True when this opens the breaker."""
        self._failures += 1
        if self._open or self._failures < self._threshold:
            return False
        self._open = True
        self._next_probe = now + self._pause
        return True

    def probe_failed(self, now: float) -> None:
        """Note that a probe failed: the next one comes after twice the pause."""
        self._pause = min(self._pause * 2, self._longest)
        self._next_probe = now + self._pause
