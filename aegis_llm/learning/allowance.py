"""How often the judge may be asked in idle time, by how much traffic there is. Pure."""

from __future__ import annotations

REQUESTS_A_CALL = 20
BURST = 5


class Allowance:
    """A token bucket that requests fill: one call for every twenty of them, five at a time.

    It begins full. Whoever calls holds a lock.
    """

    def __init__(self) -> None:
        self._saved = BURST * REQUESTS_A_CALL

    @property
    def left(self) -> int:
        """How many calls may be made now."""
        return self._saved // REQUESTS_A_CALL

    def seen(self) -> None:
        """Note a request."""
        self._saved = min(self._saved + 1, BURST * REQUESTS_A_CALL)

    def take(self) -> bool:
        """Take one call; False: there is none left."""
        if not self.left:
            return False
        self._saved -= REQUESTS_A_CALL
        return True
