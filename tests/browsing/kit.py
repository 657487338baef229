"""Entries as the package stores them, many at once, with small vectors."""

from __future__ import annotations

import hashlib
import struct
import time
from typing import Any

import redis

from aegis_llm import codec
from aegis_llm.plan import SemanticRecord
from aegis_llm.stores.index_redisvl import SemanticIndex
from aegis_llm.stores.redis_commands import semantic_fields, set_exact
from aegis_llm.values import Answer, Entry

HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def entry(number: int, **changes: Any) -> Entry:
    given: dict[str, Any] = {
        "key": hashlib.sha256(str(number).encode()).hexdigest(),
        "answers": (Answer(f"Answer {number}.", done_reason="stop", duration_ms=500.0,
                           prompt_tokens=90, completion_tokens=10),),
        "created_ms": now_ms() - number * 1000,
        "expires_ms": now_ms() + HOUR_MS,
        "model": "llama3.1:8b",
        "scope": "a" * 64,
        "question": f"How does part {number} work?",
        "documents": (f"doc-{number % 3}",),
        "tags": (f"tag {number % 2}",),
    }  # fmt: skip
    return Entry(**(given | changes))


def key_of(namespace: str, one: Entry) -> str:
    return f"aegis:v1:{namespace}:x:{one.key}:llama3.1:8b:0"


def store(url: str, namespace: str, *entries: Entry, index: bool = True) -> None:
    """Store entries in the exact tier, and in the semantic one of a small embedder."""
    with redis.Redis.from_url(url, protocol=2) as client:
        semantic = SemanticIndex(namespace, "small", 4)
        if index:
            semantic.create(client)
        with client.pipeline(transaction=False) as pipe:
            for one in entries:
                data, key = codec.encode(one), key_of(namespace, one)
                life = one.expires_ms - now_ms()
                pipe.execute_command(*set_exact(key, data, life))
                if index:
                    record = SemanticRecord(
                        one.key, one.scope, one.question or "", struct.pack("<4f", 1, 0, 0, 0),
                        "b" * 32, one.model, one.tags, one.documents, one.created_ms,
                    )  # fmt: skip
                    pipe.execute_command(
                        "HSET", semantic.prefix + one.key, *semantic_fields(record, key, data)
                    )
                    pipe.execute_command("PEXPIRE", semantic.prefix + one.key, life)
            pipe.execute()
        name = semantic.name
        while index and int(_info(client, name)["indexing"]):
            pass


def _info(client: Any, name: str) -> dict[str, Any]:
    told = client.execute_command("FT.INFO", name)
    return {str(k, "utf-8"): v for k, v in zip(told[::2], told[1::2], strict=False)}


def numbers(entries: Any) -> list[int]:
    """Return the numbers of entries, read from their answers."""
    return [int(one.entry.answer.text.split()[1].rstrip(".")) for one in entries]
