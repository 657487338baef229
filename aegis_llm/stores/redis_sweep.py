"""Looking at every entry of a namespace, where Redis may have evicted what remembers them."""

from __future__ import annotations

from itertools import islice
from typing import Any

from aegis_llm import codec
from aegis_llm.names import Names, names_of
from aegis_llm.stores.redis_commands import entries_of, reason_of

_AT_ONCE = 500


def evicts(client: Any) -> bool:
    """Return whether Redis has evicted keys, or may not be asked."""
    try:
        told = client.info("stats")
    except Exception as exc:
        if reason_of(exc) != "redis_no_permission":
            raise
        return True
    nodes = [told, *(node for node in told.values() if isinstance(node, dict))]
    return any(node.get("evicted_keys") for node in nodes)


def made_from(client: Any, namespace: str, names: Names) -> set[bytes]:
    """Return the keys of the entries, in both tiers, that carry one of these names."""
    wanted = set(names)
    keys = iter(client.scan_iter(entries_of(namespace), count=_AT_ONCE))
    found: set[bytes] = set()
    while some := list(islice(keys, _AT_ONCE)):
        with client.pipeline(transaction=False) as pipeline:
            for key in some:
                exact = key.split(b":")[3] == b"x"
                pipeline.execute_command(*(("GET", key) if exact else ("HGET", key, "value")))
            values = pipeline.execute(raise_on_error=False)
        for key, value in zip(some, values, strict=True):
            entry = codec.decode(value) if isinstance(value, bytes) else None
            if entry and not wanted.isdisjoint(names_of(entry.documents, entry.tags)):
                found.add(key)
    return found
