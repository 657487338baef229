"""Taking back an answer: finds the caches of this process that may have given it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from weakref import WeakValueDictionary

import msgspec

from aegis_llm.errors import ConfigError, StoreTrouble


class Rejected(msgspec.Struct, frozen=True):
    """What is to be rejected; the fields beside the id tell which pair of questions was wrong."""

    entry_id: str
    outcome: str = ""
    similarity: float | None = None
    asked: str | None = None


class Removal(Protocol):
    """A rejection under way."""

    def wait(self) -> bool:
        """Return whether the entry was removed."""

    async def await_(self) -> bool:
        """Like `wait`, awaited."""


class Rejecter(Protocol):
    """A cache that can forget an entry."""

    def remembers(self, entry_id: str) -> bool:
        """Return whether the entry answered by meaning here, not long ago."""

    def start_rejecting(self, rejected: Rejected) -> Removal:
        """Forget an entry here, and begin to remove it."""


_caches: WeakValueDictionary[int, Rejecter] = WeakValueDictionary()


_told: list[Callable[[], None]] = []


def on_removal(call: Callable[[], None]) -> None:
    """Have `call` called for each rejection that removed an entry, from however many caches."""
    _told.append(call)


def _tell() -> None:
    for call in _told:
        call()


def register(cache: Rejecter) -> None:
    """Let `reject` find a cache while it lives."""
    _caches[id(cache)] = cache


def reject(answer: Any, *, asked: str | None = None) -> bool:
    """Remove the entry that gave a wrong answer, and never serve it for that question again.

    `answer` is an `Origin`, the dictionary of it in a message's metadata, or an entry id; `asked`
    the question it was wrong for, where this process has not given the answer. The entry goes
    from both tiers at once, and from the local copies of other processes as soon as
    they hear of it (after `local_max_age_s` at the latest). Returns whether the entry was removed:
    an answer that came from the model has none, and one that is gone already is not removed again.
    What Redis is told beside that (the pair of questions) is written later when it cannot be now.
    A Redis that hangs costs five seconds.

    Raises:
        ConfigError: `answer` is none of these.
        StoreTrouble: Redis could not be asked to remove the entry; this process forgot it all the
            same.
    """
    rejected = rejected_of(answer, asked)
    if rejected is None:
        return False
    done, trouble = False, None
    for removal in [cache.start_rejecting(rejected) for cache in _found(rejected)]:
        try:
            done = removal.wait() or done
        except StoreTrouble as exc:
            trouble = exc
    if trouble is not None and not done:
        raise trouble
    if done:
        _tell()
    return done


async def areject(answer: Any, *, asked: str | None = None) -> bool:
    """Like `reject`, awaited."""
    rejected = rejected_of(answer, asked)
    if rejected is None:
        return False
    done, trouble = False, None
    for removal in [cache.start_rejecting(rejected) for cache in _found(rejected)]:
        try:
            done = await removal.await_() or done
        except StoreTrouble as exc:
            trouble = exc
    if trouble is not None and not done:
        raise trouble
    if done:
        _tell()
    return done


def rejected_of(answer: Any, asked: str | None = None) -> Rejected | None:
    """Return what an answer's origin, its metadata or an id names; None: it has no entry.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(answer, str) and answer:
        return Rejected(answer, asked=asked)
    told = answer if isinstance(answer, Mapping) else None
    if isinstance(answer, msgspec.Struct):
        told = msgspec.structs.asdict(answer)
    if told is not None and isinstance(told.get("aegis"), Mapping):
        told = told["aegis"]  # the whole metadata of a message
    if told is None or "outcome" not in told:
        msg = (
            f"reject({type(answer).__name__}): give an Origin, the dictionary "
            'response_metadata["aegis"] or an entry id'
        )
        raise ConfigError(msg)
    if not told.get("entry_id") or told["outcome"] in ("miss", "bypass"):
        return None
    return Rejected(str(told["entry_id"]), str(told["outcome"]), told.get("similarity"), asked)


def _found(rejected: Rejected) -> list[Rejecter]:
    """Return the caches that gave the answer, or all when none remembers it."""
    caches = [cache for ref in _caches.valuerefs() if (cache := ref()) is not None]
    return [cache for cache in caches if cache.remembers(rejected.entry_id)] or caches
