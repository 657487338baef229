"""Names under which entries are found when a document or a tag is invalidated. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from aegis_llm.errors import ConfigError

Names = tuple[str, ...]
Ids: TypeAlias = str | Sequence[str] | None


def names_of(documents: Iterable[str], tags: Iterable[str]) -> Names:
    """Return one name for each document and each tag: a letter and 32 hex digits."""
    found = [_name("d", document) for document in documents]
    found += [_name("t", tag) for tag in tags]
    return tuple(dict.fromkeys(found))


def names_given(document: Ids, tag: Ids, *, everything: bool) -> Names:
    """Return the names of what is to be invalidated; none of them: everything."""
    documents, tags = _listed("document", document), _listed("tag", tag)
    if everything is bool(documents or tags):
        msg = "invalidate() needs a document, a tag, or everything=True alone"
        raise ConfigError(msg)
    return names_of(documents, tags)


def _listed(what: str, ids: Any) -> list[str]:
    listed = [ids] if isinstance(ids, str) else ids or ()
    if isinstance(listed, list | tuple | set | frozenset) and all(
        isinstance(given, str) and given for given in listed
    ):
        return list(listed)
    msg = f"invalidate({what}={ids!r}): give an id as text, or a list of them"
    raise ConfigError(msg)


def readable(name: str) -> str:
    """Return an id as text that JSON can carry: a lone surrogate is escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


@lru_cache(maxsize=4096)
def _name(kind: str, text: str) -> str:
    return kind + hashlib.sha256(readable(text).encode()).hexdigest()[:32]
