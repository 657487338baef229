"""The notebooks, each executed once from a clean kernel on a simulated Ollama."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from tests.redis_server import RedisServer

HERE = Path(__file__).parents[2] / "notebooks"
NAMES = ("1_quick_start", "2_llama_index", "3_matching", "4_scheduling", "5_tuning")
ASKED = (
    "[[one.label, one.answer, one.origin.outcome, one.origin.reason, 1000 * one.seconds,"
    " one.origin.lookup_ms] for one in rows]"
)
PAIRS = (
    "[[one['same'], one['cosine'], one['strict'].accept, one['balanced'].accept] for one in pairs]"
)
BURSTS = (
    "[[[one.group, one.began, one.wrote, one.ended, slot]"
    " for one, slot in zip(sent, slots_of(sent), strict=True)] for sent in ({})]"
)
VALUES = {
    "1_quick_start": ASKED,
    "2_llama_index": ASKED,
    "3_matching": PAIRS,
    "4_scheduling": BURSTS.format("gathered, ordered"),
    "5_tuning": f"[{BURSTS.format('before, after')}, advice.environment,"
    " [[one.name, one.wanted, one.state] for one in proof.verdicts]]",
}
"""What a test wants to know of the variables of a notebook."""
LAST = """
import json
from _support import slots_of
shown = [
    {
        "title": axes.get_title(loc="left"),
        "across": axes.get_xlabel(),
        "texts": [one.get_text() for one in axes.texts],
        "legend": [one.get_text() for one in (axes.get_legend() or figure).findobj(Text)],
    }
    for axes in figure.axes
]
print("VALUES", json.dumps([%s, shown]))
"""


class Executed(NamedTuple):
    """A notebook that was run: what it printed and drew, and what its variables hold."""

    printed: str
    pictures: list[bytes]
    values: Any
    axes: list[dict[str, Any]]


@pytest.fixture(scope="session")
def running() -> ModuleType:
    """The module that runs notebooks."""
    for needed in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(needed, reason="the extra notebooks and nbclient are absent")
    spec = importlib.util.spec_from_file_location("_run", HERE / "_run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def executed(
    running: ModuleType, redis_server: RedisServer
) -> Iterator[Callable[[str], Executed]]:
    """Return a notebook by its name; two run at a time, since most of their time is waiting."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else can
        environment = {
            **os.environ,
            "OLLAMA_HOST": f"127.0.0.1:{closed.getsockname()[1]}",
            "AEGIS_REDIS_URL": redis_server.url,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        environment.pop("MPLBACKEND", None)
        with ThreadPoolExecutor(2) as pool:
            runs = {name: pool.submit(_run, running, name, environment) for name in NAMES}
            yield lambda name: _result(runs[name])
            for run in runs.values():
                run.cancel()


def _run(running: ModuleType, name: str, environment: dict[str, str]) -> Executed:
    more = "from matplotlib.text import Text\n" + LAST % VALUES[name]
    notebook = running.run(HERE / f"{name}.ipynb", more, environment)
    printed, _, values = running.printed(notebook).partition("VALUES ")
    found, axes = json.loads(values)
    return Executed(printed, running.pictures(notebook), found, axes)


def _result(run: Future[Executed]) -> Executed:
    return run.result()
