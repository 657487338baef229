"""Stores entries of an import: some at once, and never over what a process stored meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec

from aegis_llm.browsing import details
from aegis_llm.browsing.lines import Ready
from aegis_llm.keys import semantic_prefix
from aegis_llm.stores import document_commands as documents
from aegis_llm.stores.redis_commands import semantic_fields, set_exact

_MOST_INDEXES = 8


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some entries; see `Imported`."""

    stored: int
    kept: int
    invalidated: int


def make_indexes(
    client: Any, namespace: str, some: Sequence[Ready], made: set[tuple[str, int]]
) -> None:
    """Make the indexes that the vectors belong to, a few at most: a request makes any other."""
    from aegis_llm.stores.index_redisvl import create_named  # slow, as in `searching`

    for index_id, dimension in {index for one in some for index in one.indexes} - made:
        if len(made) < _MOST_INDEXES:
            create_named(client, namespace, index_id, dimension)
        made.add((index_id, dimension))


def store(
    client: Any,
    namespace: str,
    some: Sequence[Ready],
    sequence: int,
    now_ms: int,
    *,
    overwrite: bool,
    ids: Sequence[str] = (),
) -> Stored:
    """Store some entries; what a process stores or invalidates meanwhile has the last word."""
    there = details.asked(client, [("EXISTS", one.put.key) for one in some])
    before = _valid(client, namespace, some, sequence)
    wanted = [
        one
        for one, exists, fine in zip(some, there, before, strict=True)
        if fine and (overwrite or not exists)
    ]
    made = _made(client, namespace, wanted, now_ms, overwrite=overwrite)
    if overwrite:
        _sent(client, [("UNLINK", key) for one in made for key in _outdated(namespace, one, ids)])
    _sent(client, [command for one in made for command in _reworded(one)])
    after = _valid(client, namespace, made, sequence)
    late = [one for one, fine in zip(made, after, strict=True) if not fine]
    _sent(client, [("UNLINK", key) for one in late for key in _members(one)])
    return Stored(
        stored=len(made) - len(late),
        kept=before.count(True) - len(made),
        invalidated=before.count(False) + len(late),
    )


def _valid(client: Any, namespace: str, some: Sequence[Ready], sequence: int) -> list[bool]:
    """Return which of them rest on nothing that was invalidated after the export."""
    marks = [documents.guard(namespace, one.put.names)[1:] for one in some]
    replies = iter(details.asked(client, [command for group in marks for command in group]))
    told = [list(islice(replies, len(group))) for group in marks]
    return [not documents.overtaken(each, sequence) for each in told]


def _made(
    client: Any, namespace: str, some: Sequence[Ready], now_ms: int, *, overwrite: bool
) -> list[Ready]:
    """Store the exact tier's part and return what was; first comes what invalidates it later."""
    commands: list[Sequence[Any]] = []
    places: list[int] = []
    for one in some:
        commands += documents.records(namespace, one.put, _members(one), now_ms)
        places.append(len(commands))
        put = set_exact(one.put.key, one.put.data, one.put.ttl_ms)
        commands.append(put if overwrite else (*put, "NX"))
    replies = _sent(client, commands)
    return [one for one, place in zip(some, places, strict=True) if replies[place]]


def _reworded(one: Ready) -> list[Sequence[Any]]:
    """Return the commands that store the semantic tier's part."""
    made: list[Sequence[Any]] = []
    for key, record in one.semantic:
        made.append(("HSET", key, *semantic_fields(record, one.put.key, one.put.data)))
        made.append(("PEXPIRE", key, one.put.ttl_ms))
    return made


def _outdated(namespace: str, one: Ready, ids: Sequence[str]) -> set[str]:
    """Return where the answer that was overwritten may still be found by rewording."""
    keys = {semantic_prefix(namespace, index) + one.entry_id for index in ids}
    return keys.difference(key for key, _ in one.semantic)


def _members(one: Ready) -> list[str]:
    return [one.put.key, *(key for key, _ in one.semantic)]


def _sent(client: Any, commands: Sequence[Sequence[Any]]) -> list[Any]:
    """Send commands in one go, all of which have to succeed."""
    if not commands:
        return []
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute())
