"""Exports the entries of a namespace, and imports them again; some hundred at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from aegis_llm.browsing import details, keyspace
from aegis_llm.browsing.lines import Header, Line, Ready, Refused, Vector, line_of, ready
from aegis_llm.browsing.searching import index_ids
from aegis_llm.errors import ConfigError
from aegis_llm.keys import semantic_prefix
from aegis_llm.stores import document_commands as documents
from aegis_llm.stores.redis_commands import entries_of, semantic_fields, set_exact

_AT_ONCE = 200
_TOLD = 20
_MOST_INDEXES = 8


class Imported(msgspec.Struct, kw_only=True):
    """What became of the lines.

    `kept` were there already, `expired` were too old, `invalidated` rest on a document or tag that
    was invalidated after the export; `refused` were no entries, the first of them told by line.
    """

    stored: int = 0
    kept: int = 0
    expired: int = 0
    invalidated: int = 0
    refused: int = 0
    told: list[tuple[int, str]] = []


def export(client: Any, namespace: str, now_ms: int, *, vectors: bool = True) -> Iterator[bytes]:
    """Yield the lines of all entries; one that moves meanwhile may come twice."""
    version, sequence = _numbers(client, namespace)
    yield line_of(
        Header(namespace=namespace, version=version, sequence=sequence, exported_ms=now_ms)
    )
    ids = (index_ids(client, namespace) or ()) if vectors else ()
    for keys in keyspace.batches(client, entries_of(namespace)):
        for start in range(0, len(keys), _AT_ONCE):
            found = details.entries(client, keys[start : start + _AT_ONCE])
            made = _vectors(client, namespace, ids, [one.entry.key for one in found])
            for one in found:
                tail = (one.other or one.key).decode("utf-8", "replace").split(":", 5)[5]
                yield line_of(Line(one.entry, tail, tuple(made.get(one.entry.key, ()))))


def take_in(
    client: Any,
    namespace: str,
    header: Header,
    lines: Iterable[bytes],
    now_ms: int,
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
    indexes: set[tuple[str, int]] = set()
    while some := list(islice(checked, _AT_ONCE)):
        _make_indexes(client, namespace, some, indexes)
        _store(client, namespace, some, sequence, now_ms, done, overwrite=overwrite)
    return done


def _checked(
    lines: Iterable[bytes], namespace: str, now_ms: int, done: Imported
) -> Iterator[Ready]:
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        try:
            made = ready(line, namespace, now_ms)
        except Refused as exc:
            done.refused += 1
            if len(done.told) < _TOLD:
                done.told.append((number, str(exc)))
            continue
        if made is None:
            done.expired += 1
        else:
            yield made


def _make_indexes(
    client: Any, namespace: str, some: Sequence[Ready], made: set[tuple[str, int]]
) -> None:
    """Make the indexes that the vectors belong to, a few at most: a request makes any other."""
    from aegis_llm.stores.index_redisvl import create_named  # slow, as in `searching`

    for index_id, dimension in {index for one in some for index in one.indexes} - made:
        if len(made) < _MOST_INDEXES and index_ids(client, namespace) is not None:
            create_named(client, namespace, index_id, dimension)
        made.add((index_id, dimension))


def _store(
    client: Any,
    namespace: str,
    some: Sequence[Ready],
    sequence: int,
    now_ms: int,
    done: Imported,
    *,
    overwrite: bool,
) -> None:
    there = details.asked(client, [("EXISTS", one.put.key) for one in some])
    marks = [documents.guard(namespace, one.put.names)[1:] for one in some]
    replies = iter(details.asked(client, [command for group in marks for command in group]))
    commands: list[Sequence[Any]] = []
    for one, exists, group in zip(some, there, marks, strict=True):
        told = list(islice(replies, len(group)))
        if documents.overtaken(told, sequence):
            done.invalidated += 1
        elif exists and not overwrite:
            done.kept += 1
        else:
            done.stored += 1
            commands += _commands(namespace, one, now_ms)
    if not commands:
        return
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        pipeline.execute()


def _commands(namespace: str, one: Ready, now_ms: int) -> list[Sequence[Any]]:
    put = one.put
    made: list[Sequence[Any]] = [set_exact(put.key, put.data, put.ttl_ms)]
    for key, record in one.semantic:
        made.append(("HSET", key, *semantic_fields(record, put.key, put.data)))
        made.append(("PEXPIRE", key, put.ttl_ms))
    members = [put.key, *(key for key, _ in one.semantic)]
    return [*made, *documents.records(namespace, put, members, now_ms)]


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
