"""Learning in the background, on a clock and a traffic of its own; and what may go wrong there."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from aegis_llm import events
from aegis_llm.errors import StoreTrouble
from aegis_llm.learning.learned import Learned
from aegis_llm.learning.ledger import Counts, Label
from aegis_llm.learning.pairs import Finding
from aegis_llm.ollama_client import stream_chat
from aegis_llm.plan import Match
from aegis_llm.ports import Reply
from aegis_llm.scheduler.notebook import REFRESH_S, Notebook
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.scheduler.recent import RecentHits
from aegis_llm.scheduler.traffic import Traffic
from aegis_llm.stores.memory_notes import MemoryNotes
from tests.contracts.kit import until
from tests.unit.planning import ask, entry_for

SCOPE = "5" * 64


class Troubled(MemoryNotes):
    """Notes that cannot be read or written while there is trouble."""

    def __init__(self) -> None:
        super().__init__(lambda _: [])
        self.trouble = ""
        self.reads = 0

    def _check(self) -> None:
        if self.trouble:
            raise StoreTrouble(self.trouble)

    def write(self, pairs: Mapping[str, Finding], labels: Sequence[Label], now_ms: int) -> None:
        self._check()
        super().write(pairs, labels, now_ms)

    def pairs(self, since_ms: int) -> dict[str, Finding]:
        self.reads += 1
        self._check()
        return super().pairs(since_ms)


class Now:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def notebook(
    notes: MemoryNotes, now: Now | None = None, published: list[bytes] | None = None
) -> Notebook:
    told = [] if published is None else published
    pool = DaemonPool("aegis-learn", 2)
    return Notebook(Learned(), notes, pool, lambda: 1_000_000, told.append, now or Now())


def loaded(book: Notebook) -> Notebook:
    loading = book.start()
    if loading is not None:
        loading.exception(10)
    return book


def test_it_is_loaded_at_first_use_and_refreshed_while_it_is_used() -> None:
    notes, now = Troubled(), Now()
    book = notebook(notes, now)
    assert not book.loaded
    assert notes.reads == 0
    loaded(book)
    assert book.loaded
    assert book.start() is None
    assert notes.reads == 1
    other = loaded(notebook(notes))
    other.add_pair("a", "b", SCOPE, "refused")
    other.write()
    now.seconds += REFRESH_S
    assert book.start() is None  # nobody waits for a refresh
    until(lambda: book.learned.verdict("a", "b", SCOPE) == "different")


def test_trouble_that_ends_is_waited_for_and_trouble_that_stays_is_not() -> None:
    notes, now = Troubled(), Now()
    book = notebook(notes, now)
    notes.trouble = "redis_timeout"
    assert not loaded(book).loaded
    assert book.start() is None  # not asked again at once
    now.seconds += 5.0
    notes.trouble = ""
    assert loaded(book).loaded
    notes.trouble = "redis_no_permission"
    assert loaded(notebook(notes)).loaded


def test_what_could_not_be_written_is_written_later() -> None:
    notes = Troubled()
    book = loaded(notebook(notes))
    notes.trouble = "redis_down"
    book.add_pair("a", "b", SCOPE, "refused")
    book.add_label(Label("e", True, "check"))
    with pytest.raises(StoreTrouble):
        book.write()
    assert book.learned.verdict("b", "a", SCOPE) == "different"
    notes.trouble = ""
    book.write()
    assert len(notes.pairs(0)) == 1
    assert notes.labels()[0] == Counts(1, 0)
    book.write()
    assert notes.labels()[0] == Counts(1, 0)


def test_what_is_read_does_not_lose_what_is_not_written_yet() -> None:
    notes = Troubled()
    book = loaded(notebook(notes))
    notes.trouble = "redis_down"
    book.add_label(Label("e", False, "check"))
    with pytest.raises(StoreTrouble):
        book.write()
    notes.trouble = ""
    book.read()
    assert book.labels().wrong == 1
    book.write()
    book.read()
    assert book.labels().wrong == 1


def test_a_rejection_is_kept_for_writing_whatever_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aegis_llm.scheduler.notebook._MOST_PENDING", 3)
    notes, published = Troubled(), list[bytes]()
    book = loaded(notebook(notes, published=published))
    notes.trouble = "redis_down"
    for number in range(5):
        book.add_pair("q", str(number), SCOPE, "refused")
    book.add_pair("a", "b", SCOPE, "rejected")
    with pytest.raises(StoreTrouble):
        book.write()
    assert published == []
    notes.trouble = ""
    book.write()
    assert sorted(notes.pairs(0).values()) == ["refused"] * 3 + ["rejected"]
    (told,) = map(events.decode, published)
    assert isinstance(told, events.Refused)
    assert set(told.pairs) == set(notes.pairs(0))


def test_a_fork_forgets_the_load_of_the_parent() -> None:
    book = notebook(Troubled())
    book._loading = object()  # type: ignore[assignment]
    book.renew()
    assert loaded(book).loaded


def test_traffic_is_quiet_when_nothing_flies() -> None:
    traffic = Traffic()
    assert traffic.quiet
    one, other = traffic.begin(), traffic.begin()
    assert not traffic.quiet
    one.end()
    one.end()
    assert not traffic.quiet
    other.end()
    assert traffic.quiet
    with traffic.begin():
        assert not traffic.quiet
    assert traffic.quiet


def test_a_call_that_nobody_ends_is_over_when_nobody_holds_it() -> None:
    traffic = Traffic()
    call = traffic.begin()
    del call
    gc.collect()
    assert traffic.quiet


def test_a_child_has_none_of_the_calls_of_its_parent() -> None:
    traffic = Traffic()
    call = traffic.begin()
    traffic.renew()
    assert traffic.quiet
    call.end()


def test_the_background_waits_for_the_end_of_the_last_call() -> None:
    traffic = Traffic()
    call = traffic.begin()
    waiting = threading.Thread(target=traffic.wait_quiet, args=(0.0,), daemon=True)
    waiting.start()
    assert waiting.is_alive()
    call.end()
    waiting.join(10)
    assert not waiting.is_alive()


def match(entry_id: str, asked: str = "a", similarity: float = 0.9) -> Match:
    return Match("served", asked, "b", entry_for(ask(), key=entry_id), similarity, "key")


def test_hits_of_late_are_bounded_by_entries_and_by_pairs() -> None:
    recent = RecentHits(most=3)
    for number in range(5):
        recent.add(match(str(number)))
    assert [str(number) in recent for number in range(5)] == [False, False, True, True, True]
    for number in range(20):
        recent.add(match("4", f"asked {number}"))
    assert len(recent.of("4")) == 8
    recent.forget("4")
    assert recent.of("4") == []


class Chunk:
    def __init__(self, text: str, reason: str | None = None) -> None:
        self.message = type("Message", (), {"content": text})
        self.done_reason = reason
        self.done = reason is not None


class Client:
    """Stands for an Ollama client."""

    def __init__(self, *chunks: Chunk) -> None:
        self.chunks = chunks
        self.closed = False

    def chat(self, **body: Any) -> Any:
        try:
            yield from self.chunks
        finally:
            self.closed = True


@pytest.mark.parametrize(
    ("reason", "going", "expected"),
    [
        ("stop", lambda: True, Reply("YES", True)),
        ("length", lambda: True, Reply("YES", False)),
        ("stop", lambda: False, None),
        (None, lambda: True, Reply("YES", False)),
    ],
)
def test_the_background_gives_way_at_the_next_token(
    reason: str | None, going: Callable[[], bool], expected: Reply | None
) -> None:
    client: Any = Client(Chunk("YES"), Chunk("", reason))
    assert stream_chat(client, {"model": "m"}, going) == expected
    assert client.closed
