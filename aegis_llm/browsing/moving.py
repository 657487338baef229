"""Exports the entries of a namespace, and imports them again; some hundred at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from aegis_llm.browsing import details, keyspace, storing
from aegis_llm.browsing.lines import (
    End,
    Header,
    Line,
    Ready,
    Refused,
    Vector,
    is_end,
    line_of,
    ready,
)
from aegis_llm.browsing.searching import index_ids
from aegis_llm.errors import ConfigError
from aegis_llm.keys import semantic_prefix
from aegis_llm.stores import document_commands as documents
from aegis_llm.stores.redis_commands import entries_of

_AT_ONCE = 200
_BYTES_AT_ONCE = 8 * 1024 * 1024
_TOLD = 20
_TAIL = 5


class Imported(msgspec.Struct, kw_only=True):
    """What became of the lines.

    `kept` were there already, `expired` were too old, `invalidated` rest on a document or tag that
    was invalidated after the export; `refused` were no entries, the first of them told by line.
    `whole` is False when the last line is missing: the export was cut off.
    """

    stored: int = 0
    kept: int = 0
    expired: int = 0
    invalidated: int = 0
    refused: int = 0
    told: list[tuple[int, str]] = []
    whole: bool = False


def export(client: Any, namespace: str, now_ms: int, *, vectors: bool = True) -> Iterator[bytes]:
    """Yield the lines of all entries; one that moves meanwhile may come twice."""
    version, sequence = _numbers(client, namespace)
    yield line_of(
        Header(namespace=namespace, version=version, sequence=sequence, exported_ms=now_ms)
    )
    ids = (index_ids(client, namespace) or ()) if vectors else ()
    count = 0
    for keys in keyspace.batches(client, entries_of(namespace)):
        for start in range(0, len(keys), _AT_ONCE):
            found = details.entries(client, keys[start : start + _AT_ONCE])
            made = _vectors(client, namespace, ids, [one.entry.key for one in found])
            for one in found:
                parts = (one.other or one.key).decode("utf-8", "replace").split(":", 5)
                if len(parts) > _TAIL:  # else nothing of ours has made that key
                    vectors_of = tuple(made.get(one.entry.key, ()))
                    yield line_of(Line(one.entry, parts[_TAIL], vectors_of))
                    count += 1
    yield line_of(End(count))


def take_in(
    client: Any,
    namespace: str,
    header: Header,
    lines: Iterable[bytes],
    now_ms: Callable[[], int],
    *,
    overwrite: bool = False,
) -> Imported:
    """Store what the lines after the header hold; each keeps the time at which it expires.

    Raises:
        ConfigError: The namespace has another version, so that no request would find them.
    """
    _same_version(client, namespace, header)
    sequence = _numbers(client, namespace)[1]
    if header.namespace == namespace:
        sequence = min(sequence, header.sequence)
    done = Imported(told=[])
    checked = _checked(lines, namespace, now_ms, done)
    ids = index_ids(client, namespace)
    indexes: set[tuple[str, int]] = set()
    for some in _some(checked):
        usable = [_exact_only(one) for one in some] if ids is None else some
        storing.make_indexes(client, namespace, usable, indexes)
        told = storing.store(
            client, namespace, usable, sequence, now_ms(), overwrite=overwrite, ids=ids or ()
        )
        done.stored += told.stored
        done.kept += told.kept
        done.invalidated += told.invalidated
    return done


def _exact_only(one: Ready) -> Ready:
    """Return an entry without what only the Query Engine could find."""
    return msgspec.structs.replace(one, semantic=(), indexes=())


def _checked(
    lines: Iterable[bytes], namespace: str, now_ms: Callable[[], int], done: Imported
) -> Iterator[Ready]:
    for number, line in enumerate(lines, 2):
        if not line.strip() or is_end(line):
            done.whole = done.whole or is_end(line)
            continue
        try:
            made = ready(line, namespace, now_ms())
        except Refused as exc:
            done.refused += 1
            if len(done.told) < _TOLD:
                done.told.append((number, str(exc)))
            continue
        if made is None:
            done.expired += 1
        else:
            yield made


def _some(checked: Iterable[Ready]) -> Iterator[list[Ready]]:
    """Yield some at once, of which none is kept longer: hostile lines may be large."""
    some: list[Ready] = []
    size = 0
    for one in checked:
        some.append(one)
        size += len(one.put.data) * (1 + len(one.semantic))
        if len(some) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _vectors(
    client: Any, namespace: str, ids: Sequence[str], entry_ids: Sequence[str]
) -> dict[str, list[Vector]]:
    asked = [(index, entry_id) for index in ids for entry_id in entry_ids]
    told = details.asked(
        client,
        [
            ("HMGET", semantic_prefix(namespace, index) + entry_id, "vector", "tenant")
            for index, entry_id in asked
        ],
    )
    made: dict[str, list[Vector]] = {}
    for (index, entry_id), fields in zip(asked, told, strict=True):
        vector, tenant = fields or (None, None)
        if vector is not None:
            shown = (tenant or b"").decode("ascii", "replace")
            made.setdefault(entry_id, []).append(Vector(index, vector, shown))
    return made


def _numbers(client: Any, namespace: str) -> tuple[int, int]:
    told = [client.execute_command(*command) for command in documents.known(namespace)]
    return documents.numbers(told)


def _same_version(client: Any, namespace: str, header: Header) -> None:
    """Give the version of the export to a namespace that has none."""
    if header.version:
        client.execute_command("SET", documents.version_key(namespace), header.version, "NX")
    version = _numbers(client, namespace)[0]
    if version != header.version:
        msg = (
            f"the namespace {namespace} is at version {version}, the export at {header.version}: "
            "everything was invalidated in between, and no request would find these answers; "
            "import them into a namespace that was never used"
        )
        raise ConfigError(msg)
