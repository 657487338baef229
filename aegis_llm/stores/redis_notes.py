"""What was learnt, in Redis: five small keys of the namespace, and one count of all.

Pairs are sorted sets by the time of the finding, so that a refresh reads what is new: one for each
kind, so that no kind pushes out a stronger one. Labels are a list of the last ones; counts are
hashes. All are bounded, and none is read by a request.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, get_args

import msgspec
from redis import RedisError

from aegis_llm.errors import StoreTrouble
from aegis_llm.keys import SCHEMA
from aegis_llm.learning.ledger import LOG, Counts, Label
from aegis_llm.learning.pairs import MOST_PAIRS, Finding, room_for_approved
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.stores import redis_usage
from aegis_llm.stores.link import Link
from aegis_llm.stores.memory_notes import ENTRY_ID, counted
from aegis_llm.stores.redis_commands import reason_of

T = TypeVar("T")
_FINDINGS: tuple[Finding, ...] = get_args(Finding)
_NAME = re.compile(r"[0-9a-f]{32}")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Label).decode


class RedisNotes:
    """Pairs and labels of one namespace.

    Args:
        namespace: Whose they are.
        link: Tells whether Redis may be asked.
        client: Makes a client with long time limits.
        batch: Whether one server has all keys, so that a write can be one transaction.
    """

    def __init__(
        self, namespace: str, link: Link, client: Callable[[], Any], *, batch: bool
    ) -> None:
        self._namespace = namespace
        self._prefix = f"aegis:{SCHEMA}:{namespace}"
        self._entries = f"aegis:v[0-9]:{namespace}:[xs]:*"
        self._link = link
        self._make = client
        self._batch = batch
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make connections anew, for a forked child."""
        self._lock = threading.Lock()
        self._client: Any = None

    def write(self, pairs: Mapping[str, Finding], labels: Sequence[Label], now_ms: int) -> None:
        """Add findings and labels in one transaction; then make room."""

        def write(client: Any) -> None:
            with client.pipeline(transaction=self._batch) as pipe:
                for finding in _FINDINGS:
                    told = {name: now_ms for name, kind in pairs.items() if kind == finding}
                    if told:
                        pipe.zadd(self._key(finding), told)
                        pipe.zremrangebyrank(self._key(finding), 0, -MOST_PAIRS - 1)
                if labels:
                    pipe.rpush(f"{self._prefix}:labels", *map(_encode, labels))
                    pipe.ltrim(f"{self._prefix}:labels", -LOG, -1)
                    counts = counted(labels)
                    for key in (f"{self._prefix}:counts", f"aegis:{SCHEMA}:counts"):
                        pipe.hincrby(key, "right", counts.right)
                        pipe.hincrby(key, "wrong", counts.wrong)
                pipe.execute()
            if pairs:
                with contextlib.suppress(RedisError):  # what matters is written
                    self._make_room(client)

        self._asked(write)

    def pairs(self, since_ms: int) -> dict[str, Finding]:
        """Return the findings since a time; of two under one name, the user's."""

        def read(client: Any) -> dict[str, Finding]:
            found: dict[str, Finding] = {}
            for finding in _FINDINGS:
                for told in client.zrangebyscore(self._key(finding), since_ms, "+inf"):
                    name = told.decode("ascii", "replace")
                    if _NAME.fullmatch(name):
                        found[name] = finding
            return found

        return self._asked(read)

    def labels(self) -> tuple[Counts, Counts, list[Label]]:
        """Return the counts of this namespace and of all, and the last labels in their order."""

        def read(client: Any) -> tuple[Counts, Counts, list[Label]]:
            own = _counts(client.hgetall(f"{self._prefix}:counts"))
            everywhere = _counts(client.hgetall(f"aegis:{SCHEMA}:counts"))
            told = client.lrange(f"{self._prefix}:labels", 0, -1) if own.total else []
            return own, everywhere, [label for label in map(_label, told) if label is not None]

        return self._asked(read)

    def remove(self, entry_id: str) -> list[bytes]:
        """Delete an entry from both tiers, found by SCAN, and return the values of the exact."""
        if ENTRY_ID.fullmatch(entry_id) is None:
            return []

        def remove(client: Any) -> list[bytes]:
            values: list[bytes] = []
            found = client.scan_iter(f"{self._entries}{entry_id}*", count=1000)
            while keys := list(islice(found, 100)):
                for key in keys:
                    if client.type(key) == b"hash":
                        value = client.hget(key, "value")
                    else:
                        value = client.get(key)
                    values += [value] if value else []
                    client.unlink(key)
            redis_usage.forget_hits(client, self._namespace, [entry_id])
            return values

        return self._asked(remove)

    def add_hits(self, hits: Mapping[str, int], now_ms: int, keep_ms: int) -> None:
        """Count hits of entries, used now; drop what was not used for `keep_ms`."""
        self._asked(
            lambda client: redis_usage.add_hits(client, self._namespace, hits, now_ms, keep_ms)
        )

    def size(self) -> tuple[int | None, int | None]:
        """Return how many entries the namespace has, and the bytes that Redis takes."""
        return self._asked(lambda client: redis_usage.size(client, self._namespace))

    def close(self) -> None:
        """Close the connection; it opens again when used."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _key(self, finding: Finding) -> str:
        return f"{self._prefix}:{finding}"

    def _make_room(self, client: Any) -> None:
        refused, rejected = (client.zcard(self._key(kind)) for kind in _FINDINGS[1:])
        left = room_for_approved(refused, rejected, MOST_PAIRS)
        client.zremrangebyrank(self._key("approved"), 0, -left - 1)

    def _asked(self, call: Callable[[Any], T]) -> T:
        if self._link.is_open:
            raise StoreTrouble("redis_breaker_open")
        try:
            with self._lock:
                if self._client is None:
                    self._client = self._make()
                client = self._client
            return call(client)
        except Exception as exc:
            reason = exc.reason if isinstance(exc, StoreTrouble) else reason_of(exc)
            raise StoreTrouble(reason) from exc


def _counts(told: Mapping[bytes, bytes]) -> Counts:
    try:
        return Counts(int(told.get(b"right", 0)), int(told.get(b"wrong", 0)))
    except ValueError:
        return Counts()


def _label(data: bytes) -> Label | None:
    try:
        return _decode(data)
    except (msgspec.MsgspecError, ValueError):
        return None
