"""Invalidation in the middle of everything: no answer from before it is served after it."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from functools import partial
from typing import Any

import pytest

from aegis_llm import cache_control
from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig
from aegis_llm.names import names_of
from aegis_llm.stores import redis as redis_module
from aegis_llm.stores.channel import Channel
from aegis_llm.stores.local import LocalCopy
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build, forget_all
from tests.races.kit import Bench, Model, Ollama, asked, auntil, done, run, start, until
from tests.races.test_processes import needs_fork, script
from tests.redis_server import RedisServer

D1 = names_of(("d1",), ())


class Library:
    """One document whose text changes, and a model that answers with the text it was given.

    `elsewhere` is another process of the same cache, which invalidates.
    """

    def __init__(self, answering: Answering, elsewhere: Answering | None = None) -> None:
        self.answering = answering
        self.elsewhere = elsewhere or answering
        self.edition = 0
        self._lock = threading.Lock()

    def ask(self, question: str, *, tag: bool = False) -> tuple[int, int, str]:
        """Ask without the text in the prompt; return the edition before and the answer's."""
        before = self.edition
        named: dict[str, Any] = {"tags": ["d1"]} if tag else {"documents": ["d1"]}
        with cache_control(**named):
            lookup, native = self.answering.call(
                asked(question),
                lambda: Answer(text=str(self.edition), done_reason="stop"),
                list_of,
            )
        answer = native if native is not None else lookup.entry.answer  # type: ignore[union-attr]
        return before, int(answer.text), lookup.origin.outcome

    def change(self, *, tag: bool = False) -> None:
        """Change the text, and say so."""
        with self._lock:
            self.edition += 1
            given: dict[str, Any] = {"tag": "d1"} if tag else {"document": "d1"}
            self.elsewhere.service.invalidate(**given)


def list_of(answer: Answer) -> list[Answer]:
    return [answer]


@pytest.mark.parametrize("tag", [False, True], ids=["document", "tag"])
@pytest.mark.parametrize("local", [0, 1 << 20])
def test_sixteen_threads_never_see_what_was_invalidated_before_they_asked(
    local: int, tag: bool
) -> None:
    read_while_it_changes(Library(Bench(local_max_bytes=local).answering), tag=tag)


@pytest.mark.parametrize("semantic", [False, True], ids=["exact", "both tiers"])
def test_not_even_when_another_process_invalidates(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch, semantic: bool
) -> None:
    """Neither a local copy nor a flight is shared with it; they hear of it some time later."""
    monkeypatch.setattr(redis_module, "channel_of", lambda _, name, age: Channel(name, age))
    config = AegisConfig().with_options(
        redis_url=redis_url,
        namespace=namespace,
        local_max_bytes=0,
        single_flight=False,
        redis_timeout_ms=5000.0,
        redis_connect_timeout_ms=5000.0,
    )
    embedder = SameToIt() if semantic else None
    here, there = build(config, embedder), build(config, embedder)
    for service in (here, there):
        service.digests.register(Ollama())
        service.digests.look("s", "m:latest")
        until(lambda service=service: service.digests.known("s", "m:latest"))
    read_while_it_changes(Library(Answering(here), Answering(there)))
    here.store.close()
    there.store.close()


def read_while_it_changes(library: Library, *, tag: bool = False) -> None:
    """Let sixteen threads ask while a document changes."""
    known = 0
    stop: list[bool] = []
    wrong: list[Any] = []

    def reader(seed: int) -> int:
        turns, hits = random.Random(seed), 0
        while not stop:
            settled = known
            _, answer, outcome = library.ask(f"Question {turns.randrange(3)}?", tag=tag)
            hits += outcome not in ("miss", "bypass")
            if answer < settled:
                wrong.append((settled, answer, outcome))
        return hits

    readers = [start(partial(reader, seed)) for seed in range(16)]
    for _ in range(150):
        library.change(tag=tag)
        known = library.edition
        library.ask("Question 0?", tag=tag)
    stop.append(True)
    assert sum(done(readers)) > 0
    assert wrong == []


def test_an_answer_under_way_is_served_and_not_kept(bench: Bench) -> None:
    model, later = Model(), Model(usual=Answer(text="New.", done_reason="stop"))
    later.gate.set()

    def ask(model: Model) -> tuple[str, str]:
        with cache_control(documents=["d1"]):
            return bench.call(model)

    leader = start(lambda: ask(model))
    until(lambda: model.calls == 1)
    waits = start(lambda: ask(model))
    until(lambda: bench.waiting == 1)
    assert bench.service.invalidate(document="d1") == 0
    assert ask(later) == ("miss", "New."), "nobody waits for an answer from before"
    model.gate.set()
    assert leader.result(20) == ("miss", "Rarely.")
    assert waits.result(20) == ("coalesced", "Rarely."), "it asked before, too"
    assert ask(later)[1] == "New."
    assert later.calls == 1


def test_another_document_costs_nothing(bench: Bench) -> None:
    model = Model()
    with cache_control(documents=["d1"]):
        leader = start(lambda: bench.call(model))
    until(lambda: model.calls == 1)
    bench.service.invalidate(document=["d2", "d3"], tag="d1")
    model.gate.set()
    leader.result(20)
    assert bench.call(model)[0].startswith("hit")


def test_everything_invalidated_while_answers_are_under_way(bench: Bench) -> None:
    model, later = Model(), Model(usual=Answer(text="New.", done_reason="stop"))
    later.gate.set()
    leader = start(lambda: bench.call(model))
    until(lambda: model.calls == 1)
    assert bench.service.invalidate(everything=True) == 0
    assert bench.call(later) == ("miss", "New.")
    model.gate.set()
    assert leader.result(20) == ("miss", "Rarely.")
    assert bench.call(later) == ("hit_local", "New.")


def test_on_a_loop_too() -> None:
    bench = Bench()

    async def scenario() -> None:
        model = Model()
        with cache_control(documents=["d1"]):
            leader = asyncio.ensure_future(bench.acall(model))
        await auntil(lambda: model.calls == 1)
        assert await bench.service.ainvalidate("d1") == 0
        model.gate.set()
        assert (await leader)[0] == "miss"
        assert (await bench.acall(model))[0] == "miss"
        assert model.calls == 2
        assert (await bench.acall(model))[0] == "hit_local"
        await bench.service.ainvalidate(everything=True)
        assert (await bench.acall(model))[0] == "miss"

    run(scenario)


class SameToIt:
    """Every question is the same to it."""

    embedding_id = "all-minilm"

    def embed(self, text: str) -> list[float]:
        return [0.6, 0.8]


def test_the_copy_kept_for_a_reworded_question_dies_with_its_document() -> None:
    bench, model = Bench(SameToIt()), Model()
    model.gate.set()
    ask, again = asked("How do I water a cactus?"), asked("How should I water a cactus?")
    with cache_control(documents=["d1"]):
        assert bench.call(model, ask)[0] == "miss"
    assert bench.call(model, again)[0] == "hit_semantic"
    assert bench.call(model, again)[0] == "hit_local"
    assert bench.service.invalidate("d1") == 1
    assert bench.call(model, again)[0] == "miss"


def test_services_of_one_process_hear_of_each_others_invalidations() -> None:
    config = AegisConfig().with_options(redis_url="memory://shared")
    first, second = build(config), build(config.with_options(ttl=60.0))
    request = Request("m", ({"role": "user", "content": "Why?"},), identity="x")
    with cache_control(documents=["d1"]):
        first.open(request).store(Answer(text="Old.", done_reason="stop"))
        assert second.open(request).origin.outcome == "hit_exact"
        assert second.open(request).origin.outcome == "hit_local"
    assert first.invalidate("d1") == 1
    assert second.open(request).origin.outcome == "miss"
    second.open(request).store(Answer(text="New.", done_reason="stop"))
    second.invalidate(everything=True)
    assert first.open(request).origin.outcome == "miss"
    forget_all()


def test_a_local_copy_takes_nothing_that_was_read_before_an_invalidation() -> None:
    local = LocalCopy(20_000, 60, lambda: 0.0)
    before = local.events
    assert local.put("a", b"x", 60, D1, before)
    local.invalidate(D1)
    assert local.get("a") is None
    assert not local.put("a", b"x", 60, D1, before)
    assert local.put("b", b"x", 60, names_of(("d2",), ()), before)
    assert local.put("c", b"x", 60)
    assert local.put("a", b"x", 60, D1, local.events)
    local.distrust()
    assert [local.get(key) for key in "abc"] == [None, None, b"x"]
    assert not local.put("b", b"x", 60, names_of(("d2",), ()), before)
    assert local.size_bytes == local._size("c", b"x")
    assert local._keys == {}


def test_a_local_copy_that_forgot_a_name_takes_nothing_from_before() -> None:
    local = LocalCopy(20_000, 60, lambda: 0.0)
    before = local.events
    for number in range(10_001):
        local.invalidate((f"d{number}",))
    assert not local.put("a", b"x", 60, ("d0",), before)
    assert local.put("a", b"x", 60, ("other",), 1)
    assert len(local._invalidated) == 10_000


TWO = """
import os, sys
from aegis_llm import cache_control
from aegis_llm.config import AegisConfig
from aegis_llm.answering import Answering
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build
from tests.races.kit import until

class SameToIt:
    embedding_id = "all-minilm"
    def embed(self, text):
        return [0.6, 0.8]

service = build(AegisConfig().with_options(
    redis_url=os.environ["URL"], namespace="two", redis_timeout_ms=5000.0,
    redis_connect_timeout_ms=5000.0), SameToIt())
answering = Answering(service)

def ask(question, text="Old."):
    request = Request("m", ({"role": "user", "content": question},), identity="x")
    with cache_control(documents=["d1"]):
        lookup, native = answering.call(
            request, lambda: Answer(text=text, done_reason="stop"), lambda a: [a])
    return lookup.origin.outcome, (native or lookup.entry.answer).text

ASK, AGAIN = "How do I water a cactus?", "How should I water a cactus?"
"""

CHILD = (
    TWO
    + """
print(ask(ASK), ask(ASK), ask(AGAIN), ask(AGAIN), flush=True)
until(lambda: service.store._channel.listening)
heard, version = service.local.events, service.store.numbers[0]
print("ready", flush=True)
sys.stdin.readline()
until(lambda: service.local.events > heard and service.store.numbers[1] == 1)
print(ask(ASK, "New."), ask(AGAIN), flush=True)
print("ready", flush=True)
sys.stdin.readline()
until(lambda: service.store.numbers[0] > version)
print(ask(ASK, "Newer."), flush=True)
"""
)

PARENT = (
    TWO
    + """
import subprocess
assert ask(ASK) == ("miss", "Old.")
child = subprocess.Popen(
    [sys.executable, "-W", "error", "-c", os.environ["CHILD"]],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
def told():
    for line in child.stdout:
        if line == "ready\\n":
            return
        print(line, end="")
told()
print(service.invalidate(document="d1"))
child.stdin.write("go\\n"); child.stdin.flush()
told()
print(service.invalidate(everything=True))
child.stdin.write("go\\n"); child.stdin.flush()
print(child.stdout.read(), end="")
child.stdin.close(); child.stdout.close()
assert child.wait(60) == 0
"""
)


def test_the_local_copies_of_a_second_process_die(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer() as server:
        monkeypatch.setenv("URL", server.url)
        monkeypatch.setenv("CHILD", CHILD)
        assert script(PARENT) == [
            "('hit_exact', 'Old.') ('hit_local', 'Old.') ('hit_semantic', 'Old.') "
            "('hit_local', 'Old.')",
            "1",
            "('miss', 'New.') ('hit_semantic', 'New.')",
            "0",
            "('miss', 'Newer.')",
        ]


FORKED = (
    TWO
    + """
import signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)
assert ask(ASK) == ("miss", "Old.")
until(lambda: service.store._channel.listening)
there, ready = os.pipe()
child = os.fork()
if not child:
    signal.alarm(30)
    assert ask(ASK) == ("hit_local", "Old.")
    assert ask("Is anybody there?")[0] == "miss"
    until(lambda: service.store._channel.listening)
    os.write(ready, b"x")
    until(lambda: service.store.numbers[1] == 1)
    os._exit(0 if ask(ASK, "New.")[0] in ("miss", "hit_exact") else 3)
os.read(there, 1)
print(service.invalidate(document="d1"))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
)


@needs_fork
def test_a_forked_child_listens_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer() as server:
        monkeypatch.setenv("URL", server.url)
        assert os.environ["URL"] == server.url
        assert script(FORKED) == ["2", "0"]
