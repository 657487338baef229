"""Which modules are a library's, told by name and version, and which are the user's own."""

from __future__ import annotations

import functools
import sys
import types
from importlib import metadata, util
from pathlib import Path
from typing import Any

_FRAMEWORKS = frozenset(
    {
        "langchain", "langchain_core", "langchain_classic", "langchain_community",
        "langchain_ollama", "langchain_text_splitters", "langgraph", "langsmith", "llama_index",
        "aegis_llm", "langchain_aegis", "pydantic", "pydantic_core", "ollama",
    }
)  # fmt: skip
_OURS = "llama_index.llms.aegis"
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STDLIB = Path(str(types.__file__)).parent


def library(module: str | None) -> str | None:
    """Return the version of an installed module; None when what it does is to be written down.

    The standard library and the frameworks are known by their names alone.
    """
    if not module:  # made by exec, ...
        return None
    top = module.partition(".")[0]
    if top == "llama_index":  # a package that others may add to
        mine = not module.startswith(_OURS) and module != top and not _installed(_place(module))
        return None if mine else ""
    if top in _FRAMEWORKS:
        return ""
    place = _place(top)
    if top in sys.stdlib_module_names:
        builtin = place is None or (_STDLIB in place.parents and not _installed(place))
        return "" if builtin else None
    return _version(top) if _installed(place) else None


def _installed(place: Path | None) -> bool:
    return place is not None and not _INSTALLED.isdisjoint(place.parts)


def _place(module: str) -> Path | None:
    """Return the file of a module, or the folder of a namespace."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    found = list(getattr(loaded, "__path__", ()))
    if loaded is None and "." not in module:
        spec = _spec(module)
        file = spec.origin if spec is not None and spec.has_location else None
        found = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(file or found[0]) if file or found else None


def _spec(top: str) -> Any:
    try:
        return util.find_spec(top)
    except (ImportError, ValueError):  # "__main__" and the like
        return None


@functools.lru_cache(maxsize=256)
def _version(top: str) -> str | None:
    version = getattr(sys.modules.get(top), "__version__", None)
    try:
        return str(version) if version is not None else metadata.version(top)
    except metadata.PackageNotFoundError:
        return None
