"""What every adapter offers to tell the cache that an answer was wrong, and to see how it does."""

from __future__ import annotations

from typing import Any

from aegis_llm.learning.ledger import Labels
from aegis_llm.rejecting import rejected_of
from aegis_llm.service import Service


class Feedback:
    """Methods of a model or cache with a service behind it."""

    @property
    def _cached_by(self) -> Service:
        raise NotImplementedError

    def reject(self, answer: Any, *, asked: str | None = None) -> bool:
        """Remove the entry that gave a wrong answer; see `aegis_llm.reject`.

        `answer` may also be the message or response itself.

        Raises:
            StoreTrouble: Redis could not be asked to; this process forgot the entry all the same.
        """
        rejected = rejected_of(_metadata(answer), asked)
        return rejected is not None and self._cached_by.reject(rejected)

    async def areject(self, answer: Any, *, asked: str | None = None) -> bool:
        """Like `reject`, awaited."""
        rejected = rejected_of(_metadata(answer), asked)
        return rejected is not None and await self._cached_by.areject(rejected)

    def labels(self) -> Labels:
        """Return how many checked hits by meaning were right and wrong, as far as known here."""
        return self._cached_by.labels()


def _metadata(answer: Any) -> Any:
    """Return where a framework's message keeps the origin; anything else as it is."""
    for name in ("response_metadata", "additional_kwargs"):
        told = getattr(answer, name, None)
        if told and "aegis" in told:
            return told
    return answer
