"""What Prometheus reads: over HTTP, mounted in an application, and among its own metrics."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aegis_llm import ConfigError
from aegis_llm.metrics import (
    AegisCollector,
    asgi_app,
    registry,
    snapshot,
    start_http_server,
    wsgi_app,
)
from aegis_llm.metrics.families import families
from aegis_llm.metrics.registry import METRICS
from tests.metrics.kit import answering, ask, call

ROOT = Path(__file__).resolve().parents[2]


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples of an exposition."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


HIT = (
    "aegis_requests_total",
    (("framework", "langchain"), ("outcome", "hit_local"), ("reason", "")),
)


def test_metrics_are_served_on_this_machine_alone() -> None:
    cache = answering()
    for _ in range(3):
        call(cache, ask())
    METRICS.waited(0.02)
    with start_http_server(0) as served:
        assert served.addr == "127.0.0.1"
        reply = httpx.get(f"http://127.0.0.1:{served.port}/metrics")
        told = read(reply.text)
    assert told[HIT] == 2
    assert told["aegis_lookup_seconds_count", (("tier", "local"),)] == 2
    assert told["aegis_queue_wait_seconds_bucket", (("le", "0.05"),)] == 1
    assert told["aegis_queue_wait_seconds_bucket", (("le", "0.01"),)] == 0
    assert told["aegis_saved_tokens_total", ()] == 60
    assert told["aegis_saved_seconds_total", ()] == 3.0
    assert told["aegis_wrong_hits_total", (("found_by", "reject"),)] == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{served.port}/metrics")


def test_a_forked_child_can_close_what_its_parent_serves() -> None:
    with start_http_server(0) as served:
        child = os.fork()
        if not child:
            served.close()
            os._exit(0)
        ends = time.monotonic() + 30
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > ends:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail("it hangs")
            time.sleep(0.01)
        assert httpx.get(f"http://127.0.0.1:{served.port}/metrics").status_code == 200


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"127\.0\.0\.1:{port}: .*in use; give another port"
        ):
            start_http_server(port)


@pytest.mark.parametrize("port", [-1, 65536, "9464", True, None, 9464.0])
def test_a_port_that_is_none_is_a_clear_error(port: Any) -> None:
    with pytest.raises(ConfigError, match="give a port"):
        start_http_server(port)


def test_an_address_that_is_not_ours_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot be served at 192\.0\.2\.1:"):
        start_http_server(0, "192.0.2.1")


def test_every_metric_has_help_and_is_parsed() -> None:
    call(answering(), ask())
    text = generate_latest(registry()).decode()
    parsed = {family.name: family for family in text_string_to_metric_families(text)}
    for family in families(snapshot()):
        assert parsed[family.name].documentation == family.help
        assert parsed[family.name].type == family.kind


def test_metrics_stand_among_an_applications_own() -> None:
    own = CollectorRegistry()
    own.register(AegisCollector())
    call(answering(), ask())
    assert b"aegis_requests_total{" in generate_latest(own)


async def test_they_are_mounted_in_fastapi() -> None:
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/metrics", asgi_app())
    call(answering(), ask())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.get("/metrics/")
    assert read(reply.text)["aegis_saved_tokens_total", ()] == 0


def test_they_are_mounted_in_flask() -> None:
    from flask import Flask
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app = Flask(__name__)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": wsgi_app()})  # type: ignore[method-assign]
    call(answering(), ask())
    reply = app.test_client().get("/metrics")
    assert read(reply.text)["aegis_saved_tokens_total", ()] == 0


def test_without_the_extra_the_counts_are_there_and_the_error_names_it() -> None:
    code = """
        import sys
        sys.modules["prometheus_client"] = sys.modules["opentelemetry"] = None
        from aegis_llm import MissingExtraError, metrics
        print(metrics.snapshot().total)
        for show in (metrics.asgi_app, metrics.wsgi_app, metrics.instrument, metrics.registry,
                     lambda: metrics.start_http_server(0)):
            try:
                show()
            except MissingExtraError as exc:
                print(exc)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *errors = done.stdout.splitlines()
    assert first == "0"
    assert len(errors) == 5
    assert all("the extra metrics: pip install '" in error for error in errors)


def test_importing_the_package_imports_neither_exposition() -> None:
    code = """
        import sys, aegis_llm, aegis_llm.metrics
        print([name for name in ("prometheus_client", "opentelemetry") if name in sys.modules])
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/metrics.md").read_text(), re.S)
SHOWING = [block for block in BLOCKS if "import redis" not in block]  # that one wants a Redis


@pytest.mark.parametrize("block", SHOWING, ids=lambda block: block.split("\n")[0])
def test_every_example_of_the_page_runs(block: str) -> None:
    call(answering(), ask())
    block = block.replace("9464", "0")  # whatever port is free
    own = CollectorRegistry()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prometheus_client.REGISTRY", own)
        made: dict[str, Any] = {"__name__": "__main__"}
        exec(block, made)
    app = made.get("app")
    if app is not None and hasattr(app, "test_client"):
        assert b"aegis_requests_total" in app.test_client().get("/metrics").data
    elif app is not None:
        from fastapi.testclient import TestClient

        assert "aegis_requests_total" in TestClient(app).get("/metrics").text


def test_every_metric_is_on_the_page_with_its_labels() -> None:
    rows = [r for r in (ROOT / "docs/metrics.md").read_text().splitlines() if r.startswith("| `")]
    told = {
        name: set(re.findall(r"`(\w+)`", row.split("|")[2]))
        for row in rows
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    shown = {
        family.name + ("_total" if family.kind == "counter" else ""): set(family.labels)
        for family in families(snapshot())
    }
    assert told == shown
