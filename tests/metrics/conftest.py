"""Every test counts from zero."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakSet, WeakValueDictionary

import pytest

from aegis_llm import rejecting
from aegis_llm.metrics.registry import METRICS
from aegis_llm.quiet import Quiet


@pytest.fixture(autouse=True)
def _from_zero(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    METRICS.renew()
    monkeypatch.setattr(METRICS, "_quiet", Quiet())
    yield
    METRICS.renew()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache of an earlier test is asked: `reject()` and the gauges ask all of the process."""
    monkeypatch.setattr(rejecting, "_caches", WeakValueDictionary())
    monkeypatch.setattr(METRICS, "_caches", WeakSet())
