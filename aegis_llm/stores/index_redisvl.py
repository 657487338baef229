"""The semantic index on the Redis Query Engine: schema, filter and query come from RedisVL.

RedisVL builds the query string once per policy, with a mark where the scope goes; each search
puts the scope in and is sent by the plain client.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import redis.exceptions
from redisvl.index import SearchIndex
from redisvl.query import CountQuery, VectorQuery
from redisvl.query.filter import Tag
from redisvl.schema import IndexSchema

from aegis_llm.keys import SCHEMA, semantic_prefix
from aegis_llm.stores.redis_commands import DISTANCE, TAG_SEPARATOR, Command

_MARK = "00000000scope00000000"
BIG_SCOPE = 5000
"""From this many entries on, a scope is searched in batches through the graph; below, one by one.

The server's own choice is ten times too slow on a scope that is half of the index, and batches
take milliseconds on a scope of four. Of 100,000 entries, one by one is as fast up to about 5,000
and misses no neighbour; benchmarks/performance/policies.py measures it.
"""


class SemanticIndex:
    """The index of one embedder, in one namespace, for vectors of one dimension.

    Another embedder, dimension or schema version is another index under another prefix, so that
    vectors of different make never meet.
    """

    def __init__(self, namespace: str, embedding_id: str, dimension: int) -> None:
        self.dimension = dimension
        slug = re.sub(r"[^A-Za-z0-9]+", "-", embedding_id).strip("-")[:32] or "embedder"
        mark = hashlib.sha256(f"{embedding_id}\x00{dimension}".encode()).hexdigest()[:8]
        self.index_id = f"{slug}-{dimension}-{mark}"
        self.prefix = semantic_prefix(namespace, self.index_id)
        self.name = f"aegis:{SCHEMA}:{namespace}:i:{self.index_id}"
        self.schema = IndexSchema.from_dict(_schema(self.name, self.prefix, dimension))
        self._queries: dict[tuple[bool | None, int], str] = {}
        self._count = str(CountQuery(Tag("scope") == _MARK).query_string())

    def create(self, client: Any) -> None:
        """Create the index unless it exists; entries already there are taken in."""
        _create(self.schema, client)

    def search(self, scope: str, vector: bytes, count: int, size: int | None) -> Command:
        """Return the command for the `count` nearest entries of a scope with `size` entries."""
        big = None if size is None else size >= BIG_SCOPE
        text = self._queries.get((big, count)) or self._build(big, count)
        return self._nearest(text.replace(_MARK, scope), vector, count)

    def survey(self, tenant: str | None, vector: bytes, count: int) -> Command:
        """Return the command for the `count` nearest entries of a tenant, or of all."""
        query = VectorQuery(
            vector=b"",
            vector_field_name="vector",
            filter_expression=None if tenant is None else Tag("tenant") == tenant,
            num_results=count,
        )
        return self._nearest(str(query.query_string()), vector, count)

    def count(self, scope: str) -> Command:
        """Return the command that counts the entries of a scope."""
        text = self._count.replace(_MARK, scope)
        return ("FT.SEARCH", self.name, text, "NOCONTENT", "LIMIT", 0, 0, "DIALECT", 2)

    def _nearest(self, text: str, vector: bytes, count: int) -> Command:
        return (
            "FT.SEARCH", self.name, text,
            "RETURN", 2, DISTANCE, "value",
            "SORTBY", DISTANCE, "ASC",
            "LIMIT", 0, count,
            "PARAMS", 2, "vector", vector,
            "DIALECT", 2,
        )  # fmt: skip

    def _build(self, big: bool | None, count: int) -> str:
        query = VectorQuery(
            vector=b"\x00" * (4 * self.dimension),
            vector_field_name="vector",
            filter_expression=Tag("scope") == _MARK,
            num_results=count,
        )
        if big:
            query.set_hybrid_policy("BATCHES")
            query.set_batch_size(10)
        elif big is not None:
            query.set_hybrid_policy("ADHOC_BF")
        text = self._queries[big, count] = str(query.query_string())
        return text


def create_named(client: Any, namespace: str, index_id: str, dimension: int) -> None:
    """Create the index of an `index_id` unless it exists, without knowing its embedder."""
    name = f"aegis:{SCHEMA}:{namespace}:i:{index_id}"
    told = _schema(name, semantic_prefix(namespace, index_id), dimension)
    _create(IndexSchema.from_dict(told), client)


def _create(schema: IndexSchema, client: Any) -> None:
    index = SearchIndex(schema, redis_client=client)
    try:
        index.create(overwrite=False)
    except redis.exceptions.ResponseError as exc:
        if "already exists" not in str(exc).lower():
            raise
    except Exception as exc:
        cause = exc.__cause__
        if isinstance(cause, redis.exceptions.RedisError):
            if "already exists" in str(cause).lower():
                return
            raise cause from exc
        raise


def _schema(name: str, prefix: str, dimension: int) -> dict[str, Any]:
    tag = {"separator": TAG_SEPARATOR, "case_sensitive": True}
    return {
        "index": {
            "name": name,
            "prefix": prefix.removesuffix(":"),
            "key_separator": ":",
            "storage_type": "hash",
        },
        "fields": [
            {"name": "scope", "type": "tag", "attrs": tag},
            {"name": "tenant", "type": "tag", "attrs": tag},
            {"name": "model", "type": "tag", "attrs": tag},
            {"name": "tags", "type": "tag", "attrs": tag},
            {"name": "documents", "type": "tag", "attrs": tag},
            {"name": "question", "type": "text"},
            {"name": "created", "type": "numeric"},
            {
                "name": "vector",
                "type": "vector",
                "attrs": {
                    "algorithm": "hnsw",
                    "dims": dimension,
                    "distance_metric": "cosine",
                    "datatype": "float32",
                },
            },
        ],
    }
