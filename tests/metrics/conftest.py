"""Every test counts from zero."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aegis_llm.metrics.registry import METRICS
from aegis_llm.quiet import Quiet


@pytest.fixture(autouse=True)
def _from_zero(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    METRICS.renew()
    monkeypatch.setattr(METRICS, "_quiet", Quiet())
    yield
    METRICS.renew()
