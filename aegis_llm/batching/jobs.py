"""A request that waits or is sent, and what the server's reply says of its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from aegis_llm.batching.prefix import NOTHING, Prefix

_NS = 1e9
_MOST = 1e9  # seconds, or tokens


@dataclass(slots=True, eq=False)
class Job:
    """One request to one model.

    Attributes:
        model: Name of the model.
        arrived: When it came, by a monotonic clock in seconds, as all times here.
        prefix: Its prompt.
        priority: The higher goes first.
        deadline: When its answer is of no use any more.
        tenant: Whose it is, for the fair share.
        template: What requests of the same kind have in common, for the length of their answers.
        most_tokens: Most tokens of its answer; None: no limit is known.
        number: Its place in the order of arrival, given by the queue.
        overtakes: How many requests had been sent when it came, given by the queue.
        patience: Most that may be sent before it, given by the queue.
        rank: Requests in flight with it when it was sent, itself included.
        sent: When it was sent.
        turn: Its place in the order of sending, given by the queue.
        held_since: Since when others are held back for it, given by the queue.
        answered: Whether the first part of its answer is there, where it comes in parts.
        expected: Tokens of its answer, as predicted when it came.
    """

    model: str
    arrived: float
    prefix: Prefix = NOTHING
    priority: int = 0
    deadline: float | None = None
    tenant: str = ""
    template: int = 0
    most_tokens: int | None = None
    number: int = 0
    overtakes: int = 0
    patience: int = 0
    rank: int = 0
    sent: float = 0.0
    turn: int = 0
    held_since: float | None = None
    answered: bool = False
    expected: float = 0.0


class Reply(NamedTuple):
    """What the last line of an answer says, times in seconds.

    `wait_s` is the wait for a slot of the server. It begins after the load and is not reported:
    it is what the parts leave of the total. `ended_at` is when the answer ended, by the server's
    clock.
    """

    load_s: float
    prefill_s: float
    decode_s: float
    wait_s: float
    prompt_tokens: int
    output_tokens: int
    ended_at: float | None = None

    @property
    def total_s(self) -> float:
        """Seconds from the arrival at the server to the end of the answer."""
        return self.load_s + self.wait_s + self.prefill_s + self.decode_s


def reply_of(part: Mapping[str, Any]) -> Reply | None:
    """Return what a last line says; None where it has no times (another server, a cut stream).

    Raises:
        ArithmeticError, TypeError: What it says are no numbers, or none that can be.
    """
    total = part.get("total_duration")
    if not total:
        return None
    load, prefill, decode = (
        (part.get(f"{name}_duration") or 0) / _NS for name in ("load", "prompt_eval", "eval")
    )
    wait = max(0.0, total / _NS - load - prefill - decode)
    read, said = part.get("prompt_eval_count") or 0, part.get("eval_count") or 0
    if not all(0 <= number < _MOST for number in (total / _NS, load, prefill, decode, read, said)):
        msg = f"no reply says that: {part}"
        raise ArithmeticError(msg)
    return Reply(load, prefill, decode, wait, read, said, _seconds(part.get("created_at")))


def _seconds(created_at: Any) -> float | None:
    try:
        return datetime.fromisoformat(created_at).timestamp()
    except (TypeError, ValueError):
        return None
