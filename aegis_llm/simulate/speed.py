"""How fast a server reads prompts and writes answers."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from aegis_llm.config.checks import check_range, require
from aegis_llm.errors import ConfigError

_MOST = 1e9


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The speed of one model on one server.

    Attributes:
        prefill: Prompt tokens a second; prompts of one model are read one after the other.
        decode: Pairs of busy slots and the answer tokens a second of all of them together, in
            rising order and from one slot on. Between them it is interpolated; more slots than
            the last pair has are no faster than it.
        contention: With a single pair: the share by which each further busy slot lengthens a
            decode step; the pair then says what one slot does.
        source: Where the figures are from.
    """

    prefill: float
    decode: tuple[tuple[int, float], ...]
    contention: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        check_range("prefill", self.prefill, 1e-6, float("inf"), "tokens a second, more than 0")
        slots = [number for number, _ in self.decode]
        require(
            bool(slots) and slots[0] == 1 and slots == sorted(set(slots)),
            f"decode={self.decode!r}",
            "give pairs of busy slots and tokens a second, from one slot on, in rising order",
        )
        for number, tokens in self.decode:
            check_range(f"decode[{number}]", tokens, 1e-6, _MOST, "tokens a second, more than 0")
        if self.contention is not None:
            check_range("contention", self.contention, 0, 100, "a share, 0 or more")
            require(
                len(slots) == 1,
                "a contention beside decode speeds of several slots",
                "give one of the two",
            )

    def per_slot(self, busy: int) -> float:
        """Return the answer tokens a second of each slot while so many (1 or more) decode."""
        if self.contention is not None:
            return self.decode[0][1] / (1 + self.contention * (busy - 1))
        place = bisect_left(self.decode, (busy, 0.0))
        if place == len(self.decode):
            return self.decode[-1][1] / busy
        slots, together = self.decode[place]
        if slots == busy:
            return together / busy
        fewer, less = self.decode[place - 1]
        part = (busy - fewer) / (slots - fewer)
        return (less + part * (together - less)) / busy

    def all_slots(self, busy: int) -> float:
        """Return the answer tokens a second of so many busy slots together."""
        return self.per_slot(busy) * busy


def decode_speeds(text: str) -> tuple[tuple[int, float], ...]:
    """Read `45` (one slot) or `1:29.2,4:104` (busy slots and all of them together).

    Raises:
        ConfigError: It is neither.
    """
    try:
        if ":" not in text:
            return ((1, float(text)),)
        pairs = (part.split(":") for part in text.split(","))
        return tuple((int(slots), float(tokens)) for slots, tokens in pairs)
    except ValueError:
        msg = f"decode={text!r} is not usable; give tokens a second, 45, or by slots, 1:29,4:104"
        raise ConfigError(msg) from None
