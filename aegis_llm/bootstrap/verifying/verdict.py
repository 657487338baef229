"""What verifying says: a verdict for each setting, and what it rests on. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["in force", "not in force", "cannot tell"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one setting is in force.

    Attributes:
        name: The environment variable.
        wanted: Its value as it was asked for; empty: it shall be unset.
        found: The value that is in force, as far as it is known.
        evidence: What was seen, the strongest first.
        why: Why it is not in force or cannot be told; a remark otherwise, mostly empty.
        do: What to do about it.
    """

    name: str
    wanted: str
    state: State
    found: str | None = None
    evidence: tuple[str, ...] = ()
    why: str = ""
    do: str = ""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One place where evidence was looked for.

    Attributes:
        name: `log`, `process`, `children`, `loaded models`, `requests`.
        found: Whether it told something.
        what: What was looked at, or why it told nothing.
    """

    name: str
    found: bool
    what: str


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were sent at the same time.

    Attributes:
        sent: How many.
        tokens: Asked of each at most.
        at_once: The greatest number that wrote at the same time.
        busy: Share of the time in which so many slots wrote. Of a model that writes faster than
            requests come it is small, and then nothing had to wait.
    """

    sent: int
    tokens: int
    at_once: int
    busy: float = 1.0


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What requests have shown.

    Attributes:
        slots: Requests that the model answers at once; None: not found out.
        sure: Whether more were sent and had to wait, twice, and nobody else used the model.
        busy: Whether others used the model meanwhile; then `slots` may be too few.
        context: Tokens of a slot, of a model that was loaded without options.
        keep_alive_s: How long it stays after a request that does not say; infinity: for ever.
        cold_load_s: Seconds to load it; None: it was loaded already.
        warm_load_s: What a request spends on loading when it is loaded.
        error: Why it ended early; empty: it did not.
    """

    model: str
    requests: int = 0
    rounds: tuple[Round, ...] = ()
    slots: int | None = None
    sure: bool = False
    busy: bool = False
    context: int | None = None
    keep_alive_s: float | None = None
    cold_load_s: float | None = None
    warm_load_s: float | None = None
    error: str = ""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts; fields are added, never renamed, while `v` stays 1.

    Attributes:
        answers: Whether the server answers.
        measured: What requests have shown; None: none were sent.
    """

    v: Literal[1] = 1
    url: str
    version: str | None
    answers: bool
    verdicts: tuple[Verdict, ...]
    sources: tuple[Source, ...] = ()
    measured: Measured | None = None

    @property
    def in_force(self) -> bool:
        """Return whether no setting was found not to be in force."""
        return all(one.state != "not in force" for one in self.verdicts)

    def of(self, name: str) -> Verdict:
        """Return the verdict on one variable.

        Raises:
            KeyError: It was not asked for.
        """
        for one in self.verdicts:
            if one.name == name:
                return one
        raise KeyError(name)
