"""Taking back an answer while the store fails: what is done, told, kept for later, and raised."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from aegis_llm import events, observe, reject, wiring
from aegis_llm.config import AegisConfig
from aegis_llm.errors import StoreTrouble
from aegis_llm.learning.ledger import Label
from aegis_llm.learning.pairs import Finding
from aegis_llm.rejecting import Rejected
from aegis_llm.scheduler import rejections
from aegis_llm.service import Service
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.stores.memory_notes import MemoryNotes
from aegis_llm.values import Answer, Request

QUESTION, OTHER = "How do I water a cactus?", "How old is Ada?"
REQUEST = Request("m", ({"role": "user", "content": QUESTION},), identity="test")
SCOPE = "5" * 64


class Notes(MemoryNotes):
    """Notes that fail, or hang, as they are told to."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store._entries.take)
        self.fails: dict[str, str] = {}
        self.hangs: set[str] = set()
        self.released = threading.Event()

    def _meet(self, name: str) -> None:
        if name in self.hangs:
            self.released.wait(20)
        if name in self.fails:
            raise StoreTrouble(self.fails[name])

    def write(self, pairs: Mapping[str, Finding], labels: Sequence[Label], now_ms: int) -> None:
        self._meet("write")
        super().write(pairs, labels, now_ms)

    def remove(self, entry_id: str) -> list[bytes]:
        self._meet("remove")
        return super().remove(entry_id)


class World:
    """One cache with an answer in it, and what it tells the others."""

    def __init__(self, way: str) -> None:
        store = MemoryStore()
        self.notes = store._notes = Notes(store)
        config = AegisConfig().with_options(redis_url="memory://")
        self.service: Service = wiring.build(config, None, store)
        self.told: list[Any] = []
        store.subscribe(self.heard)
        self._way = way
        with observe() as seen:
            self.service.open(REQUEST).store(Answer("Rarely.", done_reason="stop"))
            assert self.service.open(REQUEST).reported().hit
        self.entry_id = seen[0].entry_id or ""
        assert self.entry_id

    def heard(self, event: bytes) -> None:
        self.told.append(events.decode(event))

    def reject(self) -> bool:
        rejected = Rejected(self.entry_id, asked=OTHER)
        if self._way == "reject":
            return self.service.reject(rejected)
        return asyncio.run(self.service.areject(rejected))

    @property
    def refused(self) -> bool:
        return self.service.rules.learned.verdict(OTHER, QUESTION, SCOPE) == "different"


@pytest.fixture(params=["reject", "areject"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(request.param)
    yield made
    made.notes.released.set()


def keep_question(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Have the entry's question known, as it is with an embedder."""
    from aegis_llm import codec
    from tests.unit.planning import entry_for

    entry = entry_for(REQUEST, key=world.entry_id, question=QUESTION)
    take = MemoryNotes.remove

    def remove(self: MemoryNotes, entry_id: str) -> list[bytes]:
        return [codec.encode(entry) for _ in take(self, entry_id)]

    monkeypatch.setattr(MemoryNotes, "remove", remove)


def test_notes_that_cannot_be_written_are_written_later_and_nobody_hears_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_question(monkeypatch, world)
    world.notes.fails["write"] = "redis_no_permission"
    assert world.reject() is True
    assert events.Rejected(world.entry_id) in world.told
    assert world.refused
    assert world.notes.pairs(0) == {}
    world.notes.fails.clear()
    world.service.learner.notebook.flush()
    assert set(world.notes.pairs(0).values()) == {"rejected"}
    assert world.service.open(REQUEST).entry is None
    assert world.reject() is False


def test_a_removal_that_fails_is_raised_and_told_to_the_others_all_the_same(world: World) -> None:
    world.notes.fails["remove"] = "redis_no_permission"
    with pytest.raises(StoreTrouble, match="redis_no_permission"):
        world.reject()
    assert events.Rejected(world.entry_id) in world.told
    assert not len(world.service.local)


def test_notes_that_hang_cost_the_patience_and_the_answer_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rejections.PATIENCE_S == 5.0
    monkeypatch.setattr(rejections, "PATIENCE_S", 0.05)
    world.notes.hangs.add("write")
    assert world.reject() is True
    assert events.Rejected(world.entry_id) in world.told


def test_a_removal_that_hangs_is_trouble_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejections, "_LONGEST_S", 0.05)
    monkeypatch.setattr(rejections, "PATIENCE_S", 0.05)
    world.notes.hangs.add("remove")
    with pytest.raises(StoreTrouble, match="redis_timeout"):
        world.reject()
    assert not len(world.service.local)


def test_caches_that_hang_are_waited_for_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worlds = [World("reject") for _ in range(3)]
    for world in worlds:
        world.notes.hangs.add("write")
    begun: list[str] = []
    start, wait = rejections.Rejections.start, rejections.Removal.wait
    monkeypatch.setattr(rejections, "PATIENCE_S", 0.05)
    monkeypatch.setattr(
        rejections.Rejections, "start", lambda *a: (begun.append("start"), start(*a))[1]
    )
    monkeypatch.setattr(rejections.Removal, "wait", lambda *a: (begun.append("wait"), wait(*a))[1])
    assert reject(worlds[0].entry_id)
    waits = begun.index("wait")
    assert set(begun[:waits]) == {"start"}
    assert waits >= len(worlds)
    for world in worlds:
        world.notes.released.set()
