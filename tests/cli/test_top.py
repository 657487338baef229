"""`aegis-llm top` and `aegis-llm ui`, as a person starts them."""

from __future__ import annotations

import http.server
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import get_type_hints

import pytest
from rich.console import Console
from typer.testing import Result

from aegis_llm.browsing import Stock
from aegis_llm.browsing.figures import figures_of
from aegis_llm.browsing.overview import View
from aegis_llm.cli_browsing.top import shown
from aegis_llm.cli_browsing.ui import ui
from aegis_llm.cli_explain import explain
from aegis_llm.errors import MissingExtraError
from tests.browsing.kit import entry, store
from tests.browsing.test_counting import TEXT

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def metrics() -> Iterator[str]:
    """The address of an endpoint that shows figures."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TEXT.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def test_it_is_shown_once_into_a_pipe(
    command: Run, redis_url: str, namespace: str, metrics: str
) -> None:
    store(redis_url, namespace, *map(entry, range(4)))
    given = ["--redis-url", redis_url, "--namespace", namespace]
    done = command("top", *given, "--metrics", metrics)
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    for each in ("hit rate 50.0%", "in flight 3", "entries 4", "look-up, half within"):
        assert each in told
    assert "\x1b" not in done.output
    data = json.loads(command("top", *given, "--json").output)
    assert (data["v"], data["stock"]["entries"], data["figures"]) == (1, 4, None)


def test_without_an_endpoint_it_says_how_to_have_one(
    command: Run, redis_url: str, namespace: str
) -> None:
    given = ["--redis-url", redis_url, "--namespace", namespace, "--once"]
    assert "--metrics http://HOST:PORT/metrics" in command("top", *given).output
    done = command("top", *given, "--metrics", "http://127.0.0.1:1/metrics")
    assert (done.exit_code, "no metrics at" in done.output) == (0, True)
    done = command("top", *given, "--metrics", "nonsense")
    assert (done.exit_code, "no metrics endpoint" in done.output) == (2, True)


def test_redis_down_is_told_and_is_the_status(command: Run, metrics: str) -> None:
    done = command("top", "--redis-url", "redis://127.0.0.1:1", "--metrics", metrics)
    assert done.exit_code == 1
    assert "redis_down: Redis does not answer" in done.output
    assert "hit rate" in done.output


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_it_fits_the_terminal(width: int) -> None:
    console = Console(width=width, no_color=True, force_terminal=False)
    view = View(figures=figures_of(TEXT), stock=Stock(entries=123456, hits=5, complete=True))
    with console.capture() as capture:
        console.print(shown(view, "namespace at redis://a-long-host-name.example:6379"))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    if width >= 40:
        assert "123,456" in capture.get()


def test_ui_says_which_extra_it_needs(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["aegis_llm.cli_browsing.ui"], "find_spec", lambda _: None)
    done = command("ui", "--redis-url", "redis://127.0.0.1:1")
    assert done.exit_code == 1
    assert "the extra ui: pip install" in " ".join(done.output.split())
    assert issubclass(MissingExtraError, ImportError)


def test_ui_says_that_its_port_is_in_use(command: Run, redis_url: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = command("ui", "--port", port, "--redis-url", redis_url)
    assert done.exit_code == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in done.output
    assert "token" not in done.output


def test_ui_and_explain_take_the_same_options() -> None:
    hints = [get_type_hints(command, include_extras=True) for command in (ui, explain)]
    shared = hints[0].keys() & hints[1].keys() - {"return"}
    assert {"embedding_model", "framework", "matching", "redis_url"} <= shared
    assert all(hints[0][name] is hints[1][name] for name in shared)
