"""What an `embedded://` URL can say, and the settings the private server gets.

The eviction policy is volatile-lru: every answer has a TTL, and the few small records without
one (the digests of models) are read so rarely that any policy over all keys would lose them first.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from aegis_llm.config import safe_url, unknown_option
from aegis_llm.errors import ConfigError
from aegis_llm.stores.embedded_guard import DATA
from aegis_llm.stores.embedded_server import Candidate, Findings

DEFAULT_MAXMEMORY = "256mb"
LEAST_MAXMEMORY = 16 << 20
_UNITS = {
    "": 1, "b": 1, "k": 10**3, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30,
}  # fmt: skip


def parse(url: str) -> tuple[Path | None, str | None]:
    """Return folder and memory limit of an `embedded://` URL, None where it leaves them open.

    Raises:
        ConfigError: The folder is not absolute, an option is unknown, or the limit is unusable.
    """
    shape = re.fullmatch(r"embedded://(/[^?#]*)?(?:\?([^#]*))?", url)
    folder = unquote(shape[1] or "/") if shape else "\0"
    if shape is None or "\0" in folder:
        msg = f"{safe_url(url)!r} is not usable; write embedded:// or embedded:///absolute/folder"
        raise ConfigError(msg)
    options = dict(parse_qsl(shape[2] or "", keep_blank_values=True))
    for name in options.keys() - {"maxmemory"}:
        raise unknown_option(name, frozenset({"maxmemory"}))
    maxmemory = options.get("maxmemory")
    if maxmemory is not None:
        size = re.fullmatch(r"([0-9]+)([kmg]?b?)", maxmemory.lower())
        if size is None or int(size[1]) * _UNITS[size[2]] < LEAST_MAXMEMORY:
            msg = f"maxmemory={maxmemory!r} is not usable; give 16mb or more, like 512mb or 2gb"
            raise ConfigError(msg)
    return (Path(folder) if folder != "/" else None), maxmemory


def server_command(
    candidate: Candidate, findings: Findings, folder: Path, path: str, maxmemory: str | None
) -> list[str]:
    """Return the command line of the server: unix socket only, snapshots, a memory limit."""
    options = {
        "port": "0",
        "unixsocket": path,
        "unixsocketperm": "700",
        "dir": str(folder),
        "dbfilename": DATA,
        "save": "300 1 60 100",
        # A cache on a full disk goes on in memory.
        "stop-writes-on-bgsave-error": "no",
        "maxmemory": maxmemory or DEFAULT_MAXMEMORY,
        "maxmemory-policy": "volatile-lru",
        "loglevel": "warning",
    }
    if int(findings.version.partition(".")[0]) >= 7:
        options |= {"enable-debug-command": "no", "enable-module-command": "no"}
    return candidate.command(*(part for name in options for part in (f"--{name}", options[name])))
