"""The metrics for Prometheus, over `prometheus_client` (extra `metrics`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from aegis_llm.errors import ConfigError, MissingExtraError
from aegis_llm.metrics.families import Family, families
from aegis_llm.metrics.registry import METRICS

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import CollectorRegistry

_NEEDED_FOR = "showing metrics to Prometheus"


class AegisCollector:
    """Gives the metrics of this process to a registry of `prometheus_client`.

    `REGISTRY.register(AegisCollector())` shows them among an application's own.
    """

    def describe(self) -> list[Any]:
        """Return no names: what would have to be read for it is read at each scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        _client()
        for family in families(METRICS.snapshot()):
            yield _metric(family)


def registry() -> CollectorRegistry:
    """Return a registry that holds the metrics of this package alone.

    Raises:
        MissingExtraError: `prometheus_client` is not installed.
    """
    made: CollectorRegistry = _client().CollectorRegistry()
    made.register(AegisCollector())
    return made


class Served:
    """Metrics that are served at `port` of `addr`, until `close` or the end of the block."""

    def __init__(self, server: Any, thread: Any, addr: str) -> None:
        self._server, self._thread = server, thread
        self.addr: str = addr
        self.port: int = server.server_port

    def close(self) -> None:
        """Serve no more, and give the port back; again does nothing."""
        if self._thread.is_alive():  # not in a forked child, where nothing would answer
            self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_http_server(port: int, addr: str = "127.0.0.1") -> Served:
    """Serve the metrics at `http://addr:port/metrics` in a daemon thread.

    `addr` is this machine alone unless another is given: whoever reaches the port reads how much
    the application is used, and the names of its models.

    Raises:
        ConfigError: The address cannot be listened on; the message says why.
        MissingExtraError: `prometheus_client` is not installed.
    """
    client = _client()
    if type(port) is not int or not 0 <= port <= 65535:
        msg = f"start_http_server(port={port!r}): give a port, 1 to 65535, or 0 for a free one"
        raise ConfigError(msg)
    try:
        server, thread = client.start_http_server(port, addr, registry())
    except OSError as exc:
        why = exc.strerror or str(exc)
        msg = (
            f"metrics cannot be served at {addr}:{port}: {why}; give another port, or end what "
            "listens there (each process needs a port of its own, see docs/metrics.md)"
        )
        raise ConfigError(msg) from exc
    return Served(server, thread, addr)


def asgi_app() -> Any:
    """Return an ASGI application that shows the metrics, to be mounted in FastAPI and the like.

    Raises:
        MissingExtraError: `prometheus_client` is not installed.
    """
    return _client().make_asgi_app(registry())


def wsgi_app() -> Any:
    """Return a WSGI application that shows the metrics, to be mounted in Flask and the like.

    Raises:
        MissingExtraError: `prometheus_client` is not installed.
    """
    return _client().make_wsgi_app(registry())


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError as exc:
        raise MissingExtraError(_NEEDED_FOR, "metrics") from exc
    return prometheus_client


def _metric(family: Family) -> Metric:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if family.kind == "histogram":
        shown = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, histogram in family.histograms:
            shown.add_metric(labels, histogram.cumulative(), histogram.total)
        return shown
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    counted: Any = kind(family.name, family.help, labels=family.labels)
    for labels, value in family.values:
        counted.add_metric(labels, value)
    made: Metric = counted
    return made
