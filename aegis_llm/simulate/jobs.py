"""What is asked of a simulated server: one request, and where requests come from."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Job(msgspec.Struct, gc=False):
    """One request.

    Attributes:
        at: Seconds from the start at which it arrives.
        prompt_tokens: Tokens of the whole prompt, the prefix included.
        output_tokens: Tokens of the answer.
        model: The model that is asked.
        prefix: Names the text with which the prompt begins; empty: it shares nothing.
        prefix_tokens: Tokens of that text with which this prompt begins.
        tenant: Who asks.
        hit: The answer cache of this package answers; no server is asked.
    """

    at: float
    prompt_tokens: int
    output_tokens: int
    model: str = "model"
    prefix: str = ""
    prefix_tokens: int = 0
    tenant: str = ""
    hit: bool = False


class Source(Protocol):
    """Where requests come from; `next_at` is infinite when none is on its way."""

    next_at: float

    def pop(self) -> Job:
        """Return the request that arrives at `next_at`."""
        ...

    def finished(self, now: float) -> None:
        """Hear that one request has its answer, or was refused."""
        ...
