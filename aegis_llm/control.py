"""Per-request control and observation, carried by context variables.

Context variables travel into tasks and into the threads that LangChain starts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from aegis_llm.errors import ConfigError
from aegis_llm.scheduling import current_terms, reset_terms, restore_terms
from aegis_llm.values import Control, Origin

_NONE = Control()
_control: ContextVar[Control] = ContextVar("aegis_control", default=_NONE)
_observers: ContextVar[tuple[Observation, ...]] = ContextVar("aegis_observers", default=())


@contextmanager
def cache_control(
    *,
    bypass: bool | None = None,
    refresh: bool | None = None,
    only_if_cached: bool | None = None,
    ttl: float | None = None,
    tenant: str | None = None,
    user: str | None = None,
    tags: Sequence[str] | None = None,
    documents: Sequence[str] | None = None,
    corpus_version: str | None = None,
) -> Iterator[Control]:
    """Change how the cache treats the requests made inside the block.

    What is not given is inherited from an enclosing block; `tags` and `documents` are added to
    those.

    Args:
        bypass: Neither look up nor store.
        refresh: Do not look up, but store the new answer.
        only_if_cached: Raise `NotCachedError` instead of calling the model.
        ttl: Seconds that entries stored here live.
        tenant: Entries are shared only between requests of the same tenant.
        user: As `tenant`, one level deeper.
        tags: Words that `invalidate(tag=...)` finds the stored entries by, for example `price`.
        documents: Ids of the documents that the answer rests on, beside those that a retriever
            of the chain is known to have found; `invalidate(document=...)` finds them. Enter
            the block before you read them, and anew for each answer: one that is asked for in a
            block is not stored when one of them was invalidated since that was entered.
        corpus_version: Names the state of the documents; another one shares no entry.

    Raises:
        ConfigError: A value is not usable; the message says what to give.
    """
    given: dict[str, Any] = {
        "bypass": bypass,
        "refresh": refresh,
        "only_if_cached": only_if_cached,
        "ttl": ttl,
        "tenant": tenant,
        "user": user,
        "corpus_version": corpus_version,
    }
    _check(given)
    outer = _control.get()
    changes = {name: value for name, value in given.items() if value is not None}
    for name, words in (("tags", tags), ("documents", documents)):
        if words is not None:
            changes[name] = _words(name, words, getattr(outer, name))
    if documents and outer.since is None:
        changes["since"] = time.monotonic()
    token = _control.set(msgspec.structs.replace(outer, **changes))
    try:
        yield _control.get()
    finally:
        _control.reset(token)


def current_control() -> Control:
    """Return what the enclosing `cache_control` blocks ask for."""
    return _control.get()


class Observation(list[Origin]):
    """The origins of all answers inside one `observe()` block, in the order they were given."""

    @property
    def outcomes(self) -> list[str]:
        """The outcomes alone."""
        return [origin.outcome for origin in self]

    @property
    def hits(self) -> int:
        """How many answers came without a model call of their own."""
        return sum(origin.hit for origin in self)

    @property
    def saved_tokens(self) -> int:
        """Tokens that no model had to compute."""
        return sum(origin.saved_tokens for origin in self)

    @property
    def saved_s(self) -> float:
        """Seconds that no model had to compute, as long as it once took."""
        return sum(origin.saved_s for origin in self)


@contextmanager
def observe() -> Iterator[Observation]:
    """Collect where every answer inside the block came from, whatever the chain drops.

    A `StrOutputParser` keeps no metadata; this sees the origin all the same, in this task or
    thread and in those that it starts.
    """
    seen = Observation()
    token = _observers.set((*_observers.get(), seen))
    try:
        yield seen
    finally:
        _observers.reset(token)


class Surroundings:
    """What the blocks of `cache_control` and the like around this place say, to be restored later.

    A stream is often read outside the block, or in a thread, that asked for it. Two are equal when
    the cache does the same in both, and the same `observe` blocks see it.
    """

    __slots__ = ("_asked", "_observing", "_terms")

    def __init__(self) -> None:
        self._asked = _control.get()
        self._observing = _observers.get()
        self._terms = current_terms()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Surroundings) and self._told == other._told

    def __hash__(self) -> int:
        return hash(self._told)

    @property
    def _told(self) -> tuple[Control, tuple[int, ...]]:
        return self._asked, tuple(map(id, self._observing))

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Make it hold inside the block."""
        asked, observing = _control.set(self._asked), _observers.set(self._observing)
        terms = restore_terms(self._terms)
        try:
            yield
        finally:
            reset_terms(terms)
            _observers.reset(observing)
            _control.reset(asked)


def report(origin: Origin) -> None:
    """Tell the enclosing `observe()` blocks about one answer."""
    for observer in _observers.get():
        observer.append(origin)


def _check(given: dict[str, Any]) -> None:
    for name in ("bypass", "refresh", "only_if_cached"):
        if given[name] is not None and not isinstance(given[name], bool):
            msg = f"cache_control({name}={given[name]!r}): give True or False"
            raise ConfigError(msg)
    ttl = given["ttl"]
    if ttl is not None and (
        isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0.001 <= ttl <= 315360000
    ):
        msg = f"cache_control(ttl={ttl!r}): give seconds, more than 0"
        raise ConfigError(msg)
    for name in ("tenant", "user", "corpus_version"):
        if given[name] is not None and (not isinstance(given[name], str) or not given[name]):
            msg = f"cache_control({name}={given[name]!r}): give a text that is not empty"
            raise ConfigError(msg)


def _each(words: object) -> Iterable[Any]:
    return words if isinstance(words, Iterable) else [None]


def _words(name: str, words: object, outer: tuple[str, ...]) -> tuple[str, ...]:
    given: list[Any] = [None] if isinstance(words, str) else list(_each(words))
    if not all(isinstance(w, str) and w and w.isprintable() for w in given):
        msg = f"cache_control({name}={words!r}): give a list of printable texts, none empty"
        raise ConfigError(msg)
    return tuple(dict.fromkeys((*outer, *given)))
