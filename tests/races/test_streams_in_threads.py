"""Identical streamed requests of threads: one upstream, pulled by whoever needs the next chunk."""

from __future__ import annotations

import gc
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from aegis_llm.scheduler.streams import ENDED, LEFT, SharedStream
from tests.races.kit import (
    CHUNKS,
    END,
    TEXT,
    Bench,
    Model,
    ModelError,
    answers_of_chunks,
    asked,
    done,
    start,
    until,
)

MANY = 64


@pytest.fixture
def model() -> Model:
    """A model that streams."""
    return Model(usual=CHUNKS)


def test_many_threads_make_one_call(bench: Bench, model: Model) -> None:
    threads = [start(lambda: bench.read(model)) for _ in range(MANY)]
    until(lambda: bench.readers == MANY)
    model.gate.set()
    assert done(threads) == [TEXT] * MANY
    assert (model.calls, model.pulls, model.closed) == (1, len(CHUNKS), 1)
    assert bench.call(model) == ("hit_local", TEXT)


def test_readers_go_at_their_own_pace_and_a_pause_stops_nobody(bench: Bench, model: Model) -> None:
    model.gate.set()
    paused = bench.chunks(model)
    assert next(paused) == "a"
    assert done([start(lambda: bench.read(model))]) == [TEXT]
    assert model.pulls == len(CHUNKS)
    assert "".join(paused) == "bcd."
    assert model.calls == 1


def test_two_readers_by_turns_never_pull_a_chunk_twice(bench: Bench, model: Model) -> None:
    model.gate.set()
    first, second = bench.chunks(model), SharedBy(bench, model)
    assert next(first) == "a"
    assert [second.next() for _ in range(3)] == ["a", "b", "c"]
    assert [next(first) for _ in range(4)] == ["b", "c", "d", "."]
    assert [second.next() for _ in range(2)] == ["d", "."]
    assert next(first, None) is None
    assert second.next() is None
    assert (model.calls, model.pulls) == (1, len(CHUNKS))


class SharedBy:
    """A reader in a thread of its own context: not of the leader's code."""

    def __init__(self, bench: Bench, model: Model) -> None:
        self.chunks = bench.chunks(model)

    def next(self) -> str | None:
        """Return the next chunk."""
        return done([start(lambda: next(self.chunks, None))])[0]

    def close(self) -> None:
        """Leave."""
        done([start(self.chunks.close)])  # type: ignore[attr-defined]


@pytest.mark.parametrize("leaver", ["leader", "follower"])
def test_one_who_leaves_early_stops_nobody(bench: Bench, model: Model, leaver: str) -> None:
    readers = [SharedBy(bench, model), SharedBy(bench, model)]
    assert [reader.next() for reader in readers] == ["a", "a"]
    (readers.pop(0) if leaver == "leader" else readers.pop(1)).close()
    assert model.closed == 0
    model.gate.set()
    assert [readers[0].next() for _ in range(4)] == ["b", "c", "d", "."]
    assert readers[0].next() is None
    assert (model.calls, model.closed) == (1, 1)
    assert bench.call(model)[0] == "hit_local"


def test_the_last_who_leaves_stops_the_model_once(bench: Bench, model: Model) -> None:
    readers = [SharedBy(bench, model) for _ in range(3)]
    assert [reader.next() for reader in readers] == ["a"] * 3
    for nth, reader in enumerate(readers):
        assert model.closed == 0, nth
        reader.close()
    assert (model.calls, model.pulls, model.closed) == (1, 1, 1)
    assert bench.flights == []
    model.gate.set()
    assert bench.read(model) == TEXT
    assert model.calls == 2


def test_a_generator_that_is_dropped_leaves(bench: Bench, model: Model) -> None:
    chunks = bench.chunks(model)
    assert next(chunks) == "a"
    cycle: list[Any] = [chunks]
    cycle.append(cycle)
    del chunks, cycle
    gc.collect()
    assert model.closed == 1


def test_a_generator_dropped_while_its_thread_holds_every_lock(bench: Bench) -> None:
    """Garbage is collected wherever memory is asked for, under a lock of ours too."""
    model = Model(usual=(END, "never"))

    def lose() -> None:
        chunks = bench.chunks(model)
        assert next(chunks) == END
        with bench.service.flights._lock, bench.service.local._lock:
            del chunks

    done([start(lose)])
    assert model.closed == 1
    assert bench.call(model) == ("hit_local", END)


@pytest.mark.parametrize("place", [1, 4])
def test_an_error_in_the_middle_reaches_every_reader(bench: Bench, place: int) -> None:
    broken = Model(usual=(*CHUNKS[:place], ModelError("broken")))
    threads = [start(lambda: _read_to_the_error(bench, broken)) for _ in range(8)]
    until(lambda: bench.readers == 8)
    broken.gate.set()
    assert done(threads) == ["".join(CHUNKS[:place])] * 8
    assert (broken.calls, broken.closed) == (1, 1)
    whole = Model()
    whole.gate.set()
    assert bench.call(whole)[0] == "miss"


def _read_to_the_error(bench: Bench, model: Model) -> str:
    text = ""
    try:
        for chunk in bench.chunks(model):
            text += chunk
    except ModelError:
        return text
    pytest.fail("no error")


def test_after_an_error_before_the_first_chunk_followers_make_their_own_call(
    bench: Bench,
) -> None:
    class Slow(Model):
        """Waits before the first chunk too."""

        def stream(self) -> Iterator[str]:
            """Stream."""
            until(self.gate.is_set)
            yield from super().stream()

    model = Slow({1: (ModelError("at once"),)}, usual=CHUNKS)
    threads = [start(lambda: bench.read(model)) for _ in range(8)]
    until(lambda: bench.readers == 8)
    model.gate.set()
    errors = [thread.exception(30) for thread in threads]
    assert [type(error) for error in errors if error is not None] == [ModelError]
    assert [thread.result() for thread in threads if not thread.exception()] == [TEXT] * 7
    assert model.calls == 8


def test_an_upstream_that_cannot_begin_releases_the_others(bench: Bench, model: Model) -> None:
    lookup = bench.service.open(asked(), stream="test")
    follower = start(lambda: bench.read(model))
    until(lambda: bench.waiting == 1)
    model.gate.set()

    def refused() -> Iterator[str]:
        raise ModelError("refused")

    with pytest.raises(ModelError):
        next(bench.answering.stream(lookup, refused, answers_of_chunks))
    assert done([follower]) == [TEXT]


def test_who_comes_after_the_end_gets_the_whole_stream(bench: Bench, model: Model) -> None:
    """A follower was given the stream, and the others ended before it began to read."""
    model.gate.set()
    leader = bench.chunks(model)
    assert next(leader) == "a"
    late = done([start(lambda: bench.service.open(asked(), stream="test"))])[0]
    assert "".join(leader) == "bcd."
    chunks = bench.answering.stream(late, model.stream, answers_of_chunks)
    assert "".join(chunks) == TEXT
    assert late.origin.outcome == "coalesced"
    assert model.calls == 1


def test_who_comes_after_the_last_has_left_calls_for_itself(bench: Bench, model: Model) -> None:
    leader = bench.chunks(model)
    assert next(leader) == "a"
    late = done([start(lambda: bench.service.open(asked(), stream="test"))])[0]
    leader.close()  # type: ignore[attr-defined]
    model.gate.set()
    chunks = bench.answering.stream(late, model.stream, answers_of_chunks)
    assert "".join(chunks) == TEXT
    assert (late.origin.outcome, late.origin.reason) == ("miss", "leader_left")
    assert model.calls == 2


def test_the_leaders_own_loop_may_read_the_same_stream(bench: Bench, model: Model) -> None:
    model.gate.set()
    outer, texts = "", []
    for chunk in bench.chunks(model):
        outer += chunk
        texts.append(bench.read(model))
    assert outer == TEXT
    assert texts == [TEXT] * len(CHUNKS)
    assert model.calls == 1


def test_ctrl_c_in_the_middle_ends_every_reader() -> None:
    stopped = threading.Event()

    def upstream() -> Generator[int, None, None]:
        yield 1
        until(stopped.is_set)
        raise KeyboardInterrupt

    ends: list[object] = []
    shared = SharedStream(upstream(), lambda items, end: ends.append((list(items), end)))
    readers = [shared.attach() for _ in range(4)]
    threads = [start(lambda reader=reader: list(reader)) for reader in readers]  # type: ignore[misc,arg-type]
    stopped.set()
    errors = [thread.exception(30) for thread in threads]
    assert [type(error) for error in errors] == [KeyboardInterrupt] * 4
    assert len(ends) == 1
    assert shared.attach() is None


def test_ctrl_c_while_the_stream_is_stored_leaves_nobody_waiting() -> None:
    asked_twice = threading.Event()

    def finish(_: list[int], __: object) -> None:
        until(asked_twice.is_set)
        raise KeyboardInterrupt

    shared = SharedStream(iter([1]), finish)
    first, second = shared.attach(), shared.attach()
    assert first is not None
    assert second is not None
    assert (next(first), next(second)) == (1, 1)
    puller = start(lambda: next(first, None))
    until(lambda: shared._pulling)
    other = start(lambda: next(second, None))
    asked_twice.set()
    with pytest.raises(KeyboardInterrupt):
        done([puller])
    assert done([other]) == [None]


def test_an_upstream_that_fails_to_close_ends_the_flight_all_the_same() -> None:
    class Upstream:
        """An iterator that fails to close."""

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            return 1

        def close(self) -> None:
            """Fail."""
            raise ModelError

    ends: list[object] = []
    shared = SharedStream(Upstream(), lambda items, end: ends.append((list(items), end)))
    reader = shared.attach()
    assert reader is not None
    assert next(reader) == 1
    with pytest.raises(ModelError):
        reader.close()
    assert ends == [([1], LEFT)]


def test_readers_that_come_and_go_all_the_time_see_the_same_items() -> None:
    """Real threads, no gates: every reader sees a prefix, and the end is told once."""
    ends: list[object] = []
    items = list(range(500))
    shared = SharedStream(iter(items), lambda seen, end: ends.append((list(seen), end)))
    keeper = shared.attach()
    assert keeper is not None

    def work(upto: int) -> bool:
        reader = shared.attach()
        assert reader is not None
        seen = [next(reader) for _ in range(upto)]
        reader.close()
        return seen == items[:upto]

    threads = [start(lambda n=n: work(n * 31 % 500)) for n in range(32)]  # type: ignore[misc]
    assert list(keeper) == items
    assert all(done(threads))
    assert ends == [(items, ENDED)]
