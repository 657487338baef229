"""Every race must leave nothing behind."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

from aegis_llm.scheduler import dispatch
from tests.races.kit import Bench, until
from tests.races.queue_kit import Counter, nothing_is_left

settings.register_profile("aegis", deadline=None, print_blob=True)
settings.load_profile("aegis")


@pytest.fixture(autouse=True)
def _restless_threads() -> Iterator[None]:
    """Let threads interrupt each other five hundred times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A cache of its own; afterwards no flight and no thread may be left."""
    before = set(threading.enumerate())
    made = Bench()
    yield made
    assert made.flights == []
    until(lambda: not _left(before))


@pytest.fixture
def counter() -> Iterator[Counter]:
    """Makes queues and counts what is in flight; afterwards no request may be left in them."""
    made = Counter()
    yield made
    for queue in made.queues:
        nothing_is_left(queue)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have those that wait look around all the time."""
    monkeypatch.setattr(dispatch, "PATIENCE_S", 0.01)
    monkeypatch.setattr(dispatch, "GRACE_S", 0.03)


def _left(before: set[threading.Thread]) -> list[threading.Thread]:
    """Return the threads that no request may leave; those of the background stay a while."""
    now = set(threading.enumerate()) - before
    return [one for one in now if not one.name.startswith(("aegis-io", "aegis-hits"))]
