"""Gathers what a server shows of its settings, the cheapest first; it sends no work."""

from __future__ import annotations

import os
import plistlib
from collections.abc import Mapping
from pathlib import Path
from xml.parsers.expat import ExpatError

from aegis_llm.bootstrap.facts import Facts, Loaded
from aegis_llm.bootstrap.linting.reading import environment_of
from aegis_llm.bootstrap.probing.commands import Run, no_commands, run_command
from aegis_llm.bootstrap.probing.elsewhere import optional
from aegis_llm.bootstrap.probing.environment import kept, of_pairs
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.bootstrap.probing.strays import strays
from aegis_llm.bootstrap.verifying.asking import SilentError, loaded_at, version_of
from aegis_llm.bootstrap.verifying.evidence import Child, Evidence, FileSays, child_of
from aegis_llm.bootstrap.verifying.finding_logs import find_log
from aegis_llm.bootstrap.verifying.verdict import Source
from aegis_llm.errors import ConfigError

_GENERATIONS = 3
_TICKS_A_SECOND = 100
"""Linux tells start times in these, whatever the kernel's own clock is."""


def gather(
    facts: Facts,
    *,
    url: str,
    root: Path = Path("/"),
    log: Path | None = None,
    run: Run | None = None,
) -> Evidence:
    """Return what there is to see.

    Args:
        facts: Say how the server was installed and what its process is.
        url: Its address.
        root: Where the files of its machine are.
        log: A log to read in place of the one that is looked for.
        run: Runs commands that show a log; None: real ones for this machine, else none.

    Raises:
        ConfigError: The log that is given cannot be read.
    """
    tree = Tree(root)
    run = run or (run_command if tree.here else no_commands)
    pid = facts.ollama.pid
    gone = ""
    if pid is not None and not _serves(tree, pid):
        # It has ended, and its number may be another program's by now.
        is_other = tree.has(f"/proc/{pid}")
        gone = f"process {pid} is no Ollama" if is_other else f"there is no process {pid}"
        pid = None
    started = _started(tree, pid) if pid is not None else None
    answers, version, loaded, loaded_source = _loaded(url)
    process, process_source = _process(tree, pid, gone)
    ended = not answers and pid is None
    if process is None and _is_of_process(facts) and answers:
        process = facts.ollama.environment
        what = facts.ollama.environment_source or ""
        process_source = Source(name="process", found=True, what=what)
    logged, log_where, log_source = find_log(facts, tree, log, run, pid, started)
    if ended and logged is not None:
        what = f"{log_where} is of a server that has ended"
        logged, log_source = None, Source(name="log", found=False, what=what)
    children, children_source = _children(tree, pid)
    if not children and logged is not None and logged.children:
        children = logged.children[-1:]
        children_source = Source(name="children", found=True, what="the last one in the log")
    return Evidence(
        answers=answers,
        version=version or facts.ollama.version,
        log=logged.environment if logged is not None else None,
        log_where=log_where,
        process=process,
        pid=pid,
        started_at=started,
        children=children,
        loaded=loaded if answers else facts.loaded,
        files=files_of(tree, facts.ollama.files),
        strays=strays(root),
        caller=kept(os.environ) if tree.here else {},
        sources=(log_source, process_source, children_source, loaded_source),
    )


def _is_of_process(facts: Facts) -> bool:
    """Return whether the environment of the facts is what the server was started with."""
    source = facts.ollama.environment_source or ""
    return facts.ollama.environment is not None and source.startswith(("process ", "container "))


def _process(tree: Tree, pid: int | None, gone: str) -> tuple[dict[str, str] | None, Source]:
    if pid is None:
        why = gone or "no process of `ollama serve` is seen here"
        return None, Source(name="process", found=False, what=why)
    path = f"/proc/{pid}/environ"
    text = tree.text(path)
    if not text:
        why = f"{path} is not readable; try with sudo"
        return None, Source(name="process", found=False, what=why)
    return kept(of_pairs(text.split("\0"))), Source(name="process", found=True, what=path)


def _serves(tree: Tree, pid: int) -> bool:
    """Return whether a process may still be the server that the facts name."""
    if not tree.has("/proc/stat"):
        return True  # a system without these files
    words = tree.text(f"/proc/{pid}/cmdline")
    if words is None:
        return False
    # The number of a container's process may be one inside a virtual machine.
    return "ollama" in words.lower() or "aegis_llm.testing.serving" in words


def _started(tree: Tree, pid: int) -> float | None:
    """Return when a process started; None: the system does not tell."""
    if tree.here and not tree.has("/proc/stat"):
        psutil = optional("psutil")
        try:
            return float(psutil.Process(pid).create_time()) if psutil is not None else None
        except (psutil.Error, OSError):
            return None
    fields = (tree.text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    booted = [
        line.split()[1]
        for line in (tree.text("/proc/stat") or "").splitlines()
        if line.startswith("btime ")
    ]
    try:
        return int(booted[0]) + int(fields[19]) / _TICKS_A_SECOND
    except (IndexError, ValueError):
        return None


def _children(tree: Tree, pid: int | None) -> tuple[tuple[Child, ...], Source]:
    found = []
    for name in tree.names("/proc") if pid is not None else ():
        if not name.isdigit():
            continue
        words = (tree.text(f"/proc/{name}/cmdline") or "").rstrip("\0").split("\0")
        child = child_of(words, f"process {name}")
        if child is None or pid not in _parents(tree, name):
            continue
        text = tree.text(f"/proc/{name}/environ")
        environment = kept(of_pairs(text.split("\0"))) if text else None
        found.append(child_of(words, f"process {name}", environment) or child)
    if found:
        what = ", ".join(one.where for one in found)
        return tuple(found), Source(name="children", found=True, what=what)
    why = "no llama-server is seen: no model is loaded, or it runs elsewhere"
    return (), Source(name="children", found=False, what=why)


def _parents(tree: Tree, pid: str) -> list[int]:
    """Return the parent of a process and those above: a container may start Ollama in a shell."""
    found: list[int] = []
    while len(found) < _GENERATIONS and (not found or found[-1] > 1):
        stat = tree.text(f"/proc/{found[-1] if found else pid}/stat") or ""
        fields = stat.rpartition(")")[2].split()
        if len(fields) < 2 or not fields[1].isdigit():
            break
        found.append(int(fields[1]))
    return found


def _loaded(url: str) -> tuple[bool, str | None, tuple[Loaded, ...], Source]:
    name = "loaded models"
    try:
        version, loaded = version_of(url), loaded_at(url)
    except SilentError as exc:
        return False, None, (), Source(name=name, found=False, what=str(exc))
    what = ", ".join(one.name for one in loaded) or "no model is loaded"
    return True, version, loaded, Source(name=name, found=bool(loaded), what=what)


def files_of(tree: Tree, paths: tuple[str, ...]) -> tuple[FileSays, ...]:
    """Return what configuration files set; one that cannot be read sets nothing."""
    found = []
    for path in paths:
        text = tree.text(path) or ""
        environment = _of_plist(text) if path.endswith(".plist") else _of_text(text)
        try:
            changed: float | None = tree.at(path).stat().st_mtime
        except OSError:
            changed = None
        found.append(FileSays(path=path, environment=kept(environment), changed_at=changed))
    return tuple(found)


def _of_text(text: str) -> Mapping[str, str]:
    try:
        return environment_of(text)
    except ConfigError:
        return {}


def _of_plist(text: str) -> Mapping[str, str]:
    """Return what an agent of launchd sets."""
    try:
        listed = plistlib.loads(text.encode())["EnvironmentVariables"]
        return {str(name): str(value) for name, value in listed.items()}
    except (plistlib.InvalidFileException, ExpatError, LookupError, AttributeError, ValueError,
            TypeError):  # fmt: skip
        return {}
