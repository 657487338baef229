"""Semantic hits with the vector at hand, beside the same FT.SEARCH sent raw."""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from aegis_llm import codec
from aegis_llm import plan as p
from aegis_llm.drivers import run
from aegis_llm.service import Service
from aegis_llm.stores.index_redisvl import SemanticIndex
from aegis_llm.stores.redis_commands import DISTANCE, Command
from aegis_llm.values import Control
from aegis_llm.wiring import build
from benchmarks.common.measuring import Effort, Target, interleave
from benchmarks.common.parts import Bench, KnownModels, request
from benchmarks.performance import policies
from benchmarks.performance.corpus import DIMENSION, EMBEDDING_ID, SMALL, Asked, Corpus, load
from benchmarks.performance.result import Result, at_most, details

TOTALS = (10_000, 100_000)
NEIGHBOURS = 4


class Named:
    """Stands for the embedder, whose vectors are at hand."""

    embedding_id = EMBEDDING_ID

    def embed(self, text: str) -> list[float]:
        """Never called: the plan is given the vector."""
        raise AssertionError(text)


def measure(bench: Bench, effort: Effort) -> Result:
    """Time semantic hits and hybrid policies in a small and a big index."""
    result = Result()
    for total in TOTALS if effort.repetitions > 2 else TOTALS[:1]:
        started = time.perf_counter()
        service = build(bench.config(redis_timeout_ms=10_000), Named())
        service.digests.register(KnownModels())
        corpus = load(bench, total, _edition(service))
        print(f"{total} entries: {time.perf_counter() - started:.0f} s", file=sys.stderr)
        result.add(_hits(bench, service, corpus, effort))
        result.add(policies.measure(bench, corpus, effort))
        bench.clear()
    return result


def _edition(service: Service) -> tuple[bytes, ...]:
    """Return what part of every scope the namespace is; the first contact tells it."""

    def perform(effect: Any) -> Any:
        return bytes(4 * DIMENSION) if type(effect) is p.Embed else service.perform(effect)

    ticket = run(p.open_plan(request(), Control(), service.rules), perform).ticket
    assert ticket is not None
    return ticket.edition


def _hits(bench: Bench, service: Service, corpus: Corpus, effort: Effort) -> Result:
    client = bench.client(protocol=2)
    vectors = corpus.vectors

    def perform(effect: Any) -> Any:
        kind = type(effect)
        if kind is p.GetExact:
            return None
        return vectors[effect.question] if kind is p.Embed else service.perform(effect)

    def perform_whole(effect: Any) -> Any:
        return vectors[effect.question] if type(effect) is p.Embed else service.perform(effect)

    outcomes: Counter[str] = Counter()

    def opened(one: Asked, effects: Callable[[Any], Any]) -> None:
        origin = run(p.open_plan(one.request, Control(), service.rules), effects).origin
        outcomes[origin.reason or origin.outcome] += 1

    def nearest(one: Asked) -> object:
        pairs = service.store.nearest(one.scope, one.vector, NEIGHBOURS)
        return [codec.decode(data) for data, _ in pairs]

    def nearest_of_all(one: Asked) -> object:
        return client.execute_command(*_unfiltered(corpus.index, one.vector))

    result = Result()
    for size, label in _shown(corpus.size):
        asked = corpus.asked[size]
        search = f"floor: raw FT.SEARCH, {label}"
        both = f"floor: GET, then raw FT.SEARCH, {label}"
        hit = f"semantic hit, {label}"
        found = f"store.nearest and decoding, {label}"
        whole = f"semantic hit after an exact miss, {label}"
        commands = {
            one.question: corpus.index.search(one.scope, one.vector, NEIGHBOURS, size)
            for one in asked
        }

        def raw(one: Asked, commands: dict[str, Command] = commands) -> object:
            return client.execute_command(*commands[one.question])

        def raw_both(one: Asked, raw: Callable[[Asked], object] = raw) -> object:
            client.get("absent")
            return raw(one)

        outcomes.clear()
        timings = interleave(
            [
                Target(search, _each(asked, raw)),
                Target(found, _each(asked, nearest)),
                Target(hit, _each(asked, lambda one: opened(one, perform))),
                Target(both, _each(asked, raw_both)),
                Target(whole, _each(asked, lambda one: opened(one, perform_whole))),
                Target("raw KNN-1 over the whole index", _each(asked, nearest_of_all)),
            ],
            effort,
        )
        hits = outcomes["hit_semantic"] / outcomes.total()
        assert hits > 0.9, outcomes  # else the rows would tell what misses cost
        what = f"semantic hit without the embedding / raw FT.SEARCH, {corpus.size:,} entries"
        result.lines.append(at_most(f"{what}, {label}", timings[hit], timings[search], 1.4))
        result.lines.append(
            at_most("of that: store.nearest and decoding", timings[found], timings[search], None)
        )
        note = (
            "A semantic hit is the way from the request to the entry: key, scope, question, "
            "search, decoding, matching; the vector is at hand and the local copy is off. "
            f"n = {effort.calls} for each, {len(asked)} questions. Outcomes: "
            + ", ".join(
                f"{name} {count / outcomes.total():.1%}" for name, count in outcomes.most_common()
            )
            + "."
        )
        title = f"Semantic hits, {corpus.size:,} entries, {label}"
        result.tables.append(details(title, timings, search, note))
    return result


def _shown(total: int) -> list[tuple[int, str]]:
    return [
        (SMALL, "scope of 4"),
        (total // 10, "scope of 10 %"),
        (total // 2, "scope of 50 %"),
    ]


def _each(asked: list[Asked], call: Callable[[Asked], object]) -> Callable[[], object]:
    questions: Iterator[Asked] = itertools.cycle(asked)
    return lambda: call(next(questions))


def _unfiltered(index: SemanticIndex, vector: bytes) -> Command:
    query = f"*=>[KNN 1 @vector $vector AS {DISTANCE}]"
    return (
        "FT.SEARCH", index.name, query, "RETURN", 2, DISTANCE, "value", "SORTBY", DISTANCE, "ASC",
        "LIMIT", 0, 1, "PARAMS", 2, "vector", vector, "DIALECT", 2,
    )  # fmt: skip
