"""Writes docs/configuration.md from the code: settings, environment variables, commands.

`python -m tools.configuration` writes it; a test fails while it is not up to date.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from aegis_llm import AegisConfig, CacheConfig, SchedulerConfig
from aegis_llm.errors import ConfigError
from tools.command_reference import commands

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
_PROBES = ("memory://", "elsewhere", "0.5")
_HEAD = """\
# Configuration

<!-- Written by `python -m tools.configuration` from the code: change it there. -->

Settings are frozen and checked when they are made. Give them

- to the model itself, where it has a field of that name (below each table): this wins;
- by name to `AegisCache`, `AegisMiddleware`, `cache_chain` and `AegisQueryEngine`, all of them;
- in `aegis=AegisConfig(...)` (`config=` of `AegisCache` and `AegisMiddleware`), for everything;
- in the environment, with `aegis=AegisConfig.from_env()`: nothing else reads it for a model.

```python
from aegis_llm import AegisConfig, CacheConfig, SchedulerConfig
from langchain_aegis import ChatAegis

config = AegisConfig(
    cache=CacheConfig(redis_url="redis://localhost:6379", ttl=600, matching="balanced"),
    scheduler=SchedulerConfig(queue_timeout_s=30),
)
config = config.with_options(ttl_jitter=0.1, max_queue=200)   # any section; a typo is refused
llm = ChatAegis(model="llama3.1:8b", aegis=config)
llm = ChatAegis(model="llama3.1:8b", ttl=60, aegis=AegisConfig.from_env())
```

For one block of code: [`cache_control(...)`](guides/langchain.md#one-call-otherwise) and
[`scheduling(...)`](scheduling.md).
"""


class _Unusable:
    """No setting takes this: the refusal tells what it would take."""

    def __repr__(self) -> str:
        return "?"


def page() -> str:
    """Return the page."""
    parts = [
        _HEAD,
        "## Environment\n\n" + "\n".join(_environment()),
        "## CacheConfig\n\n" + "\n".join(_table(CacheConfig)),
        "## SchedulerConfig\n\n" + "\n".join(_table(SchedulerConfig)),
        "## Commands\n\n" + "\n".join(commands()),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _environment() -> Iterator[str]:
    yield "| variable | setting | read by |"
    yield "|---|---|---|"
    documented = re.findall(r"`(AEGIS_\w+)`", AegisConfig.from_env.__doc__ or "")
    for name in documented:
        setting = next(s for probe in _PROBES if (s := _changed(name, probe)))
        yield f"| `{name}` | `{setting}` | `AegisConfig.from_env()`, the commands |"
    yield (
        "| `OLLAMA_HOST` | the address, where none is given | LangChain's classes, the commands;"
        " LlamaIndex' classes take `base_url` |"
    )
    yield "| `XDG_CACHE_HOME` | the folder of the private Redis, else `~/.cache` | `embedded://` |"


def _changed(variable: str, probe: str) -> str:
    """Return the setting that a variable sets, found by trying; empty: it refuses the value."""
    try:
        made = AegisConfig.from_env({variable: probe}).cache
    except ConfigError:
        return ""
    plain = CacheConfig()
    return next(
        (f.name for f in fields(plain) if getattr(made, f.name) != getattr(plain, f.name)), ""
    )


def _table(section: type[Any]) -> Iterator[str]:
    yield "| setting | default | what it takes | what it does |"
    yield "|---|---|---|---|"
    told = _attributes(section)
    takers: dict[str, list[str]] = {}
    for field in fields(section):
        cells = (
            f"`{field.name}`",
            f"`{_default(field)}`",
            _range(section, field.name),
            told[field.name],
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        for name in _takers(field.name):
            takers.setdefault(name, []).append(f"`{field.name}`")
    if takers:
        yield ""
    for name, settings in takers.items():
        yield f"- Fields of `{name}` itself: {', '.join(settings)}."


def _default(field: Field[Any]) -> str:
    value = field.default if field.default is not MISSING else "..."
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _range(section: type[Any], name: str) -> str:
    """Return what a setting takes, in the words in which it refuses something else."""
    try:
        section(**{name: _Unusable()})
    except ConfigError as exc:
        return re.sub(r"^(give|use|write) ", "", str(exc).rpartition("; ")[2])
    return ""


def _attributes(section: type[Any]) -> dict[str, str]:
    """Return the sentences of a docstring's `Attributes:`."""
    text = inspect.getdoc(section) or ""
    told: dict[str, str] = {}
    name = ""
    for line in text.partition("Attributes:\n")[2].splitlines():
        if found := re.match(r"    (\w+): (.+)", line):
            name = found[1]
            told[name] = found[2]
        elif name:
            told[name] += " " + line.strip()
    return told


def _takers(option: str) -> Iterator[str]:
    """Yield the classes that take a setting directly."""
    from langchain_aegis import AegisEmbeddings, ChatAegis
    from llama_index.llms.aegis import AegisEmbedding, AegisOllama

    for kind in (ChatAegis, AegisOllama, AegisEmbeddings, AegisEmbedding):
        if option in kind.model_fields:
            yield kind.__name__


if __name__ == "__main__":
    PAGE.write_text(page())
