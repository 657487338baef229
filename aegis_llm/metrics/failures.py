"""Why a request ended without an answer, in one word. Pure."""

from __future__ import annotations

from aegis_llm.errors import NotCachedError, QueueFullError, QueueTimeoutError


class GivenUpError(RuntimeError):
    """Stands for a reader that left a stream before its end; never raised."""


_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (GivenUpError, "given_up"),
    (NotCachedError, "not_cached"),
    (QueueFullError, "queue_full"),
    (QueueTimeoutError, "queue_timeout"),
    (Exception, "model_error"),
)


def failure(error: BaseException) -> str:
    """Return the word for an error; what is no `Exception` cancelled the request."""
    return next((word for kind, word in _KINDS if isinstance(error, kind)), "cancelled")
