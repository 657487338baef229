"""The files that a bench leaves, and where they go."""

from __future__ import annotations

import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from aegis_llm.bench.markdown import markdown
from aegis_llm.bench.page import page
from aegis_llm.bench.results import Results, encode
from aegis_llm.cli_parts import aside, refuse
from aegis_llm.errors import AegisError


def place(out: Path | None, model: str, *, force: bool) -> Path:
    """Return where results go, when that can be written; it is no time to find out afterwards."""
    name = re.sub(r"[^\w.-]+", "-", model)
    stem = out or Path(f"bench-{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    if stem.suffix in (".json", ".md", ".html"):
        stem = stem.with_suffix("")
    there = [path for path in _files(stem) if path.exists()]
    if there and not force:
        refuse(f"{there[0]} is there already; give another --out, or --force.")
    if not stem.parent.is_dir() or not os.access(stem.parent, os.W_OK):
        refuse(f"{stem.parent} cannot be written; give another --out.")
    return stem


def _files(stem: Path) -> list[Path]:
    return [stem.with_name(stem.name + ending) for ending in (".json", ".md", ".html")]


def written(found: Results, stem: Path) -> Path:
    """Write the files and return where; what took minutes is not lost when that place is full.

    Raises:
        AegisError: They can be written neither there nor in the folder of temporary files.
    """
    texts = (encode(found), markdown(found).encode(), page(found).encode())
    try:
        return _put(texts, stem)
    except OSError as exc:
        why = f"{stem} cannot be written: {exc.strerror}"
    try:
        other = _put(texts, Path(tempfile.mkdtemp(prefix="aegis-bench-")) / stem.name)
    except OSError as exc:
        msg = f"{why}; nor can {tempfile.gettempdir()}: {exc.strerror}"
        raise AegisError(msg) from exc
    aside.print(f"{why}; the results are in {other.parent}.", style="red", markup=False)
    return other


def _put(texts: tuple[bytes, ...], stem: Path) -> Path:
    for path, text in zip(_files(stem), texts, strict=True):
        path.write_bytes(text)
    return stem
