"""A real Prometheus scrapes this process: the queries of the dashboard and the alerts answer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from aegis_llm.metrics import start_http_server
from aegis_llm.metrics.registry import METRICS
from aegis_llm.metrics.snapshot import CacheState, ModelQueue
from aegis_llm.values import Origin
from tests.metrics.kit import answering, ask, call
from tests.metrics.test_dashboards import FOLDER, QUERIES

Ask = Callable[[str], list[Any]]
FILLED = {"$__rate_interval": "3s", "$__range": "3s", "$job": "app", "$instance": ".*"}
STATE = CacheState("ns", "redis://r", False, False, 2, 500, entries=7, redis_bytes=9000)


class Cache:
    """A cache of which everything is known."""

    def state(self) -> CacheState:
        return STATE


@pytest.fixture
def busy(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have something of everything counted all the time."""
    queues = [ModelQueue("http://a:1", "m", 1, 2, 4)]
    monkeypatch.setattr(METRICS, "_queues", [lambda: queues])
    cache, other, over = answering(), Cache(), threading.Event()
    METRICS.watch(other)
    outcomes = ("hit_local", "hit_exact", "hit_semantic", "coalesced")

    def work() -> None:
        while not over.wait(0.02):
            call(cache, ask())
            for outcome in outcomes:
                METRICS.ended(Origin(outcome, saved_s=1.0, saved_tokens=5), "", Noted)  # type: ignore[arg-type]
            METRICS.ended(Origin("miss", "veto_numbers"), "", Noted)  # type: ignore[arg-type]
            METRICS.unstored("redis_full")
            METRICS.waited(0.2)
            METRICS.embedded("miss", 2)
            METRICS.checked("check", right=False)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


class Noted:
    """Stands for a book that keeps nothing: the hits here name no entry."""


@pytest.fixture
def prometheus(busy: None, tmp_path: Path) -> Iterator[Ask]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not here (Debian: apt install prometheus)")
    with start_http_server(0) as served, start_http_server(0) as free:
        port = free.port
        free.close()
        told = {
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
            "rule_files": [str(FOLDER / "alerts.yml")],
            "scrape_configs": [
                {"job_name": "app", "static_configs": [{"targets": [f"127.0.0.1:{served.port}"]}]}
            ],
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps(told))
        command = [
            program, f"--config.file={tmp_path}/prometheus.yml", "--log.level=error",
            f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        process = subprocess.Popen(command)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                yield lambda query: _answer(client, query)
        finally:
            process.terminate()
            process.wait()


def _answer(client: httpx.Client, query: str) -> list[Any]:
    """Return what a query finds; nothing while the server still starts."""
    with suppress(httpx.TransportError):
        reply = client.get("/api/v1/query", params={"query": query})
        if reply.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return reply.raise_for_status().json()["data"]["result"]  # type: ignore[no-any-return]
    return []


def _found(query: Callable[[str], list[Any]], expression: str) -> list[Any]:
    """Return what is found once there is something, and that is a number."""
    ends = time.monotonic() + 30
    while not (found := query(expression)) or any(one["value"][1] == "NaN" for one in found):
        assert time.monotonic() < ends, expression
        time.sleep(0.05)
    return found


def test_every_query_of_the_dashboard_and_the_alerts_finds_data(prometheus: Ask) -> None:
    for _, query in QUERIES:
        _found(prometheus, re.sub(r"\$\w+", lambda name: FILLED[name[0]], query))
    alerts = re.sub(r"\[\w+\]", "[3s]", (FOLDER / "alerts.yml").read_text())
    parts = re.findall(
        r"aegis_breaker_open\{[^}]*\}|(?:rate|increase)\(aegis_\w+(?:\{[^}]*\})?\[3s\]\)", alerts
    )
    assert len(parts) >= 12
    for part in parts:
        _found(prometheus, part)
