"""A semantic index of many entries, made up from a fixed seed: scopes of several sizes.

Vectors are unit vectors in clusters, twenty to a cluster; the members of a scope lie in all of
them. A question asked is near one stored question of its scope (cosine about 0.98).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aegis_llm import codec
from aegis_llm.keys import scope_hash
from aegis_llm.plan import SemanticRecord
from aegis_llm.stores.index_redisvl import SemanticIndex
from aegis_llm.stores.redis_commands import semantic_fields
from aegis_llm.values import Answer, Control, Entry, Request
from benchmarks.common.parts import ANSWER, DIGEST, MODEL, Bench, request

DIMENSION = 384
EMBEDDING_ID = "OllamaEmbeddings model=all-minilm:latest"  # so that the score decides
ASKED = 200  # questions for each size of scope
SMALL = 4
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """A question that has a near neighbour in its scope."""

    request: Request
    question: str
    scope: str
    vector: bytes
    exact: frozenset[bytes]  # keys of the four nearest entries, found by looking at all of them


@dataclass
class Corpus:
    """The index and, by size of scope, the questions to ask."""

    size: int
    index: SemanticIndex
    asked: dict[int, list[Asked]] = field(default_factory=dict)

    @property
    def vectors(self) -> dict[str, bytes]:
        """The stored vector of every question that is asked."""
        return {one.question: one.vector for asked in self.asked.values() for one in asked}


def sizes(total: int) -> list[int]:
    """Return the sizes of the scopes in an index of `total` entries: 4 to a half of it."""
    return sorted({SMALL, 100, 1000, 3000, 5000, total // 10, total // 2})


def load(bench: Bench, total: int, edition: tuple[bytes, ...]) -> Corpus:
    """Fill the index with `total` entries of an edition and return it with its questions."""
    random = np.random.default_rng(total)
    corpus = Corpus(total, SemanticIndex(bench.namespace, EMBEDDING_ID, DIMENSION))
    centres = _unit(random.standard_normal((max(1, total // 20), DIMENSION)))
    with bench.client() as client:
        corpus.index.create(client)
        first, scopes = 0, _scopes(total)
        while first < total:
            size = min(next(scopes), total - first)
            chosen = centres[random.integers(0, len(centres), size)]
            vectors = _near(random, chosen, 0.7)
            asked = corpus.asked.setdefault(size, [])
            system = f"Scope {first}: answer in one sentence."
            scope = _scope(request(system, _stored(first)), edition)
            with client.pipeline(transaction=False) as pipe:
                for place in range(size):
                    key = corpus.index.prefix + f"{first + place:064x}"
                    pipe.hset(key, items=_fields(first + place, scope, vectors[place]))
                    if place % 500 == 499:
                        pipe.execute()
                pipe.execute()
            wanted = min(size, ASKED - len(asked), 1 if size == SMALL else ASKED)
            for place in random.choice(size, max(wanted, 0), replace=False):
                vector = _near(random, vectors[place : place + 1], 0.2)[0]
                asked.append(
                    Asked(
                        request(system, _asked(first + int(place))),
                        _asked(first + int(place)),
                        scope,
                        vector.tobytes(),
                        frozenset(
                            (corpus.index.prefix + f"{first + int(near):064x}").encode()
                            for near in np.argsort(-(vectors @ vector))[:4]
                        ),
                    )
                )
            first += size
    return corpus


def _scopes(total: int) -> Iterator[int]:
    yield from sorted(sizes(total)[1:], reverse=True)
    while True:
        yield SMALL


def _scope(stored: Request, edition: tuple[bytes, ...]) -> str:
    question = str(stored.messages[1]["content"])
    return scope_hash(stored, DIGEST, Control(), 1, 0, len(question), edition)


def _fields(number: int, scope: str, vector: Vectors) -> list[object]:
    key = f"{number:064x}"
    now_ms = int(time.time() * 1000)
    entry = Entry(
        key=key,
        answers=(Answer(text=ANSWER, done_reason="stop", completion_tokens=200),),
        created_ms=now_ms,
        expires_ms=now_ms + 24 * 3600 * 1000,
        model=MODEL,
        digest=DIGEST,
        scope=scope,
        question=_stored(number),
    )
    record = SemanticRecord(key, scope, _stored(number), vector.tobytes(), "", MODEL, (), (), 1)
    return semantic_fields(record, f"aegis:v1:x:{key}", codec.encode(entry))


def _stored(number: int) -> str:
    return f"How can I reset the password of account {number}?"


def _asked(number: int) -> str:
    return f"How do I reset the password of account {number}?"


def _near(random: np.random.Generator, vectors: Vectors, distance: float) -> Vectors:
    noise = random.standard_normal(vectors.shape) * (distance / DIMENSION**0.5)
    return _unit(vectors + noise)


def _unit(vectors: NDArray[np.float64] | Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)
