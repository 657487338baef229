"""Many threads, many questions, and a local copy too small for them."""

from __future__ import annotations

import random
from functools import partial

from aegis_llm.plan import Put
from aegis_llm.stores.local import LocalCopy
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.values import Answer
from tests.races.kit import Bench, Model, asked, done, start


def test_many_threads_with_different_questions_get_each_its_own_answer() -> None:
    bench = Bench(local_max_bytes=4_000)

    def work(seed: int) -> bool:
        turns = random.Random(seed)
        right = True
        for _ in range(30):
            number = turns.randrange(40)
            model = Model(usual=Answer(text=f"Answer {number}.", done_reason="stop"))
            model.gate.set()
            right &= bench.call(model, asked(f"Question {number}?"))[1] == f"Answer {number}."
        return right

    assert all(done([start(partial(work, seed)) for seed in range(64)]))
    assert bench.flights == []
    local = bench.service.local
    assert 0 < local.size_bytes <= 4_000
    assert local.size_bytes == sum(local._size(k, v[0]) for k, v in local._items.items())


def test_a_local_copy_counts_its_bytes_right_whatever_threads_do() -> None:
    local = LocalCopy(20_000, 60, lambda: 0.0)

    def work(seed: int) -> None:
        turns = random.Random(seed)
        for turn in range(400):
            key = f"key-{turns.randrange(60)}"
            what = turns.randrange(10)
            if what < 5:
                data = local.get(key)
                assert data is None or data.startswith(key.encode())
            elif what < 8:
                local.put(key, key.encode() * turns.randrange(1, 200), 60)
            elif what < 9:
                local.delete(key)
            elif turn % 50 == 0:
                local.clear()

    done([start(partial(work, seed)) for seed in range(16)])
    assert local.size_bytes == sum(local._size(k, v[0]) for k, v in local._items.items())
    assert local.size_bytes <= 20_000


def test_a_store_in_memory_stays_in_its_bounds_whatever_threads_do() -> None:
    store = MemoryStore(30_000)

    def work(seed: int) -> None:
        turns = random.Random(seed)
        for _ in range(300):
            key = f"key-{turns.randrange(60)}"
            if turns.randrange(3):
                data = store.get(key)
                assert data is None or data.startswith(key.encode())
            else:
                store.put(Put(key, key.encode() * turns.randrange(1, 200), 60_000))

    done([start(partial(work, seed)) for seed in range(16)])
    kept = [data for n in range(60) if (data := store.get(f"key-{n}")) is not None]
    assert len(kept) == len(store)
    assert 0 < sum(map(len, kept)) <= 30_000
    for number in range(9):  # as many as there is room for, when the bytes were counted right
        store.put(Put(f"new-{number}", b"x" * 2_700, 60_000))
    assert all(store.get(f"new-{number}") for number in range(9))
    assert 9 <= len(store) < 15
