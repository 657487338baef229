"""What was learnt, in Redis: three small keys of the namespace, and one count of all.

Pairs are a sorted set by the time of their verdicts, so that a refresh reads what is new; labels
a list of the last ones; counts are hashes. All are bounded, and none is read by a request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

from aegis_llm.errors import StoreTrouble
from aegis_llm.keys import SCHEMA
from aegis_llm.learning.ledger import LOG, Counts, Label
from aegis_llm.learning.pairs import MOST_PAIRS, PairVerdict
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.stores.link import Link
from aegis_llm.stores.memory_notes import ENTRY_ID, counted
from aegis_llm.stores.redis_commands import reason_of

T = TypeVar("T")
_SIGNS: dict[str, PairVerdict] = {"=": "same", "!": "different"}
_SIGN_OF = {verdict: sign for sign, verdict in _SIGNS.items()}
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

    def write(
        self, pairs: Mapping[str, PairVerdict], labels: Sequence[Label], now_ms: int
    ) -> None:
        """Add verdicts and labels in one transaction."""

        def write(client: Any) -> None:
            with client.pipeline(transaction=self._batch) as pipe:
                if pairs:
                    told = {_SIGN_OF[verdict] + pair: now_ms for pair, verdict in pairs.items()}
                    pipe.zadd(f"{self._prefix}:pairs", told)
                    pipe.zremrangebyrank(f"{self._prefix}:pairs", 0, -MOST_PAIRS - 1)
                if labels:
                    pipe.rpush(f"{self._prefix}:labels", *map(_encode, labels))
                    pipe.ltrim(f"{self._prefix}:labels", -LOG, -1)
                    counts = counted(labels)
                    for key in (f"{self._prefix}:counts", f"aegis:{SCHEMA}:counts"):
                        pipe.hincrby(key, "right", counts.right)
                        pipe.hincrby(key, "wrong", counts.wrong)
                pipe.execute()

        self._asked(write)

    def pairs(self, since_ms: int) -> dict[str, PairVerdict]:
        """Return the verdicts since a time; of two about one pair, the refusal."""

        def read(client: Any) -> dict[str, PairVerdict]:
            told = client.zrangebyscore(f"{self._prefix}:pairs", since_ms, "+inf")
            found: dict[str, PairVerdict] = {}
            for text in (one.decode("ascii", "replace") for one in told):
                verdict = _SIGNS.get(text[:1])
                if verdict is not None and found.get(text[1:]) != "different":
                    found[text[1:]] = verdict
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
            return values

        return self._asked(remove)

    def close(self) -> None:
        """Close the connection; it opens again when used."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

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
