"""Counts of what the cache and the queues do, for whoever watches them.

`snapshot()` returns them. With the extra `metrics`, `start_http_server`, `asgi_app` and `wsgi_app`
show them to Prometheus and `instrument` gives them to OpenTelemetry. No label holds a prompt, an
answer, or the name of a tenant or a user.
"""

from __future__ import annotations

from aegis_llm.metrics.histogram import Histogram
from aegis_llm.metrics.prometheus import (
    AegisCollector,
    asgi_app,
    registry,
    start_http_server,
    wsgi_app,
)
from aegis_llm.metrics.registry import METRICS, Call, metrics_off
from aegis_llm.metrics.snapshot import CacheState, ModelQueue, Requests, Snapshot
from aegis_llm.metrics.telemetry import instrument
from aegis_llm.metrics.usage import Usage, usage_of

__all__ = [
    "AegisCollector",
    "CacheState",
    "Call",
    "Histogram",
    "ModelQueue",
    "Requests",
    "Snapshot",
    "Usage",
    "asgi_app",
    "instrument",
    "metrics_off",
    "registry",
    "snapshot",
    "start_http_server",
    "usage_of",
    "wsgi_app",
]


def snapshot() -> Snapshot:
    """Return what was counted in this process so far, and its queues and caches as they are now.

    Never raises, and asks no server: what Redis holds is looked up in the background, as of a
    minute ago.
    """
    return METRICS.snapshot()
