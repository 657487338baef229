"""What the doctor says: problems, the one to fix first in front. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.linting.finding import ORDER, Level
from aegis_llm.bootstrap.verifying.verdict import Verification

Area = Literal["ollama", "redis", "settings", "models"]
_AREAS: tuple[Area, ...] = ("ollama", "redis", "settings", "models")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something to fix.

    Attributes:
        rule: A short name that stays the same.
        level: `error`: something does not work or does otherwise than it was told; `warning`: it
            costs time, memory or safety; `note`: to be known.
        what: What is so, one sentence.
        fix: The command or the change that mends it.
    """

    area: Area
    rule: str
    level: Level
    what: str
    fix: str


class RedisSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a Redis shows of itself.

    Attributes:
        url: Without a password.
        reason: Why it does not answer: `redis_down`, `redis_auth`, `redis_timeout` and so on.
        search: Whether it has the Query Engine.
        maxmemory: Bytes; 0: no limit.
        memory: Of its machine.
        policy: What goes when it is full; None: it does not tell.
        saves: Whether it keeps anything on disk; None: it does not tell.
        save_failed: Whether the last one failed, which may have it refuse writes.
        always_syncs: Whether each write waits for the disk.
        latency_s: Median of some PINGs.
        denied: Commands that the user may not run.
        indexes: Of the namespace.
    """

    url: str
    answers: bool = False
    reason: str = ""
    said: str = ""
    version: str | None = None
    search: bool | None = None
    replica: bool = False
    used: int | None = None
    maxmemory: int | None = None
    memory: int | None = None
    policy: str | None = None
    evicted: int = 0
    saves: bool | None = None
    save_failed: bool = False
    always_syncs: bool = False
    latency_s: float | None = None
    user: str = "default"
    denied: tuple[str, ...] = ()
    indexes: tuple[str, ...] | None = None


class Checkup(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found; fields are added, never renamed, while `v` stays 1.

    Attributes:
        problems: The one to fix first in front.
        redis: None: it was not looked at.
    """

    v: Literal[1] = 1
    problems: tuple[Problem, ...]
    facts: Facts
    verification: Verification | None = None
    redis: RedisSeen | None = None

    @property
    def healthy(self) -> bool:
        """Return whether there is neither an error nor a warning."""
        return all(one.level == "note" for one in self.problems)


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems by how bad they are, and among equals what others rest on first."""
    return tuple(
        sorted(problems, key=lambda one: (ORDER.index(one.level), _AREAS.index(one.area)))
    )
