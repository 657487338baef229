"""A simulated Ollama as a process: `python -m aegis_llm.testing.serving`.

It reads `OLLAMA_HOST`, `OLLAMA_NUM_PARALLEL`, `OLLAMA_CONTEXT_LENGTH`, `OLLAMA_KEEP_ALIVE`,
`OLLAMA_MAX_LOADED_MODELS`, `OLLAMA_MAX_QUEUE`, `OLLAMA_KV_CACHE_TYPE` and
`OLLAMA_FLASH_ATTENTION` from its environment as Ollama does, and logs its configuration in
Ollama's words. Port 0 takes a free one; the log tells it. SIGTERM and SIGINT end it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from aegis_llm.testing.ngrams import HashedNgrams
from aegis_llm.testing.serving_settings import Settings, settings_of
from aegis_llm.testing.simulator import DEFAULT_MODELS, OllamaSimulator
from aegis_llm.testing.slots import TIMINGS


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; return the exit status: 1 when it cannot start."""
    asked = _parser().parse_args(arguments)
    refused = [one for one in asked.refuse if _has(os.environ, one)]
    told = settings_of(_without(os.environ, asked.ignore))
    does = settings_of(_without(os.environ, [*asked.ignore, *asked.disobey]))
    log = _Log(asked.log)
    for name, value in told.bad.items():
        log.write("WARN", "invalid environment variable, using default", key=name, value=value)
    log.write("INFO", "server config", "routes.go:1951", env=config_of(told))
    if refused:
        log.plain(f"Error: {refused[0]} is not usable")
        return 1
    ended = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: ended.set())
    simulator = OllamaSimulator(
        asked.models.split(","),
        timing=asked.timing,
        version=asked.version,
        embedder=HashedNgrams(),
        **does.arguments,
    )
    host, port = told.address
    try:
        simulator.start()
    except OSError:
        log.plain(f"Error: listen tcp {host}:{port}: bind: address already in use")
        return 1
    where = f"Listening on {host}:{simulator.port} (version {asked.version})"
    log.write("INFO", where, "routes.go:2004")
    try:
        ended.wait()
    finally:
        simulator.stop()
    return 0


def config_of(settings: Settings) -> str:
    """Return the environment as Go prints the map in the line `server config`."""
    return f"map[{' '.join(f'{name}:{value}' for name, value in settings.shown.items())}]"


class _Log:
    """Lines in the form of Go's slog, on stderr and in a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def write(self, level: str, message: str, source: str = "config.go:1", **fields: str) -> None:
        """Log one line."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        more = "".join(f' {name}="{value}"' for name, value in fields.items())
        self.plain(f'time={at} level={level} source={source} msg="{message}"{more}')

    def plain(self, line: str) -> None:
        """Write a line as it is."""
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aegis_llm.testing.serving")
    parser.add_argument("--models", default=",".join(DEFAULT_MODELS), help="names, with commas")
    parser.add_argument("--timing", default="fast", choices=sorted(TIMINGS))
    parser.add_argument("--version", default="0.33.0", help="what /api/version says")
    parser.add_argument("--log", type=Path, help="a file for the log, beside stderr")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="NAME", help="a variable not to read"
    )
    parser.add_argument(
        "--disobey",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable to read and to log, and not to follow",
    )
    parser.add_argument(
        "--refuse",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting that ends the start with status 1",
    )
    return parser


def _without(environment: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


def _has(environment: Mapping[str, str], setting: str) -> bool:
    name, _, value = setting.partition("=")
    return environment.get(name) == value


if __name__ == "__main__":
    sys.exit(main())
