"""Log lines that come once a minute at most: trouble is said, and not once for every request."""

from __future__ import annotations

import time
from collections.abc import Callable

_MINUTE = 60.0


class Quiet:
    """Allows each subject once a minute."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = monotonic
        self._said: dict[str, float] = {}

    def may_say(self, subject: str) -> bool:
        """Return True to the first caller of a subject in a minute."""
        now = self._now()
        if now - self._said.get(subject, -_MINUTE) < _MINUTE:
            return False
        self._said[subject] = now
        return True

    def forget(self) -> None:
        """Allow everything anew, because the trouble is over."""
        self._said.clear()
