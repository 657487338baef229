"""Every race must leave nothing behind."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.races.kit import Bench, until

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


def _left(before: set[threading.Thread]) -> list[threading.Thread]:
    now = set(threading.enumerate()) - before
    return [thread for thread in now if not thread.name.startswith("aegis-io")]
