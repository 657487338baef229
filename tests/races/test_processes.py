"""Processes: the end of one with work under way, and children forked in the middle."""

from __future__ import annotations

import os

import pytest

from tests.races.kit import script

FORKED = """
import os, random, signal, sys, warnings
from functools import partial
from tests.races.kit import Bench, Model, asked, start, until

warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, which is the point
sys.setswitchinterval(1e-5)
bench = Bench(local_max_bytes=20_000)
held = Model()
leader = start(lambda: bench.call(held))
until(lambda: held.calls == 1)
stop = []

def work(seed):
    turns = random.Random(seed)
    while not stop:
        model = Model()
        model.gate.set()
        bench.call(model, asked(f"Question {turns.randrange(50)}?"))

threads = [start(partial(work, seed)) for seed in range(4)]
for turn in range(25):
    child = os.fork()
    if not child:
        signal.alarm(20)
        model = Model()
        model.gate.set()
        service = bench.service
        service.digests._servers["s"].next_fetch = 0.0  # the digests are fetched anew
        told = bench.call(model)  # a question that leads a flight in the parent
        again = bench.call(model)
        for number in range(50):
            bench.call(model, asked(f"Question {number}?"))
        until(lambda: service.digests._servers["s"].next_fetch > 0)
        good = told == ("miss", "Rarely.") and again == ("hit_local", "Rarely.")
        os._exit(0 if good else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, turn
stop.append(True)
held.gate.set()
print(leader.result(20), [thread.result(20) for thread in threads])
"""

FORKED_IN_A_LEADER = """
import os, signal, warnings
from aegis_llm.values import Answer
from tests.races.kit import Bench, Model, asked

warnings.simplefilter("ignore", DeprecationWarning)
bench = Bench()

def generate():
    child = os.fork()
    if not child:
        signal.alarm(20)
        return Answer(text="The child's.", done_reason="stop")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return Answer(text="The parent's.", done_reason="stop")

parent = os.getpid()
lookup, native = bench.answering.call(asked(), generate, lambda a: [a])
assert len(bench.service.flights) == 0
assert bench.call(Model()) == ("hit_local", native.text)
if os.getpid() != parent:
    os._exit(0)
print(native.text)
"""

FORKED_IN_A_FETCH = """
import os, signal, threading, warnings
from tests.races.kit import Bench, Ollama, until

warnings.simplefilter("ignore", DeprecationWarning)

class Held(Ollama):
    def fetch(self):
        fetching.set()
        until(gate.is_set)
        return super().fetch()

class Newer(Ollama):
    def fetch(self):
        return {"m:latest": "sha256:new"}

fetching, gate = threading.Event(), threading.Event()
digests = Bench().service.digests
digests.register(Held())
digests._servers["s"].next_fetch = 0.0
digests.look("s", "m:latest")
until(fetching.is_set)
child = os.fork()
if not child:
    signal.alarm(20)
    digests.register(Newer())
    digests.look("s", "m:latest")
    until(lambda: digests.known("s", "m:latest") == "sha256:new")
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
gate.set()
"""

HUNG = """
import logging, threading
from tests.races.kit import Bench, Model

class Hung:
    embedding_id = "hung"
    def embed(self, text):
        threading.Event().wait()

logging.disable()
model = Model()
model.gate.set()
bench = Bench(Hung(), embed_timeout_ms=20)
print(bench.call(model))
"""

OPEN = """
import asyncio
from tests.races.kit import CHUNKS, Bench, Model

bench, model = Bench(), Model(usual=CHUNKS)
blocking = bench.chunks(Model(usual=CHUNKS))
print(next(blocking))

async def main():
    global awaited
    awaited = bench.achunks(model)
    print(await anext(awaited))

asyncio.run(main())
print(model.closed)
"""


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_a_child_forked_while_threads_are_busy_has_a_cache_that_works() -> None:
    assert script(FORKED) == ["('miss', 'Rarely.') [None, None, None, None]"]


@needs_fork
def test_a_leader_may_fork() -> None:
    assert script(FORKED_IN_A_LEADER) == ["The parent's."]


@needs_fork
def test_a_child_forked_while_digests_are_fetched_fetches_them_itself() -> None:
    assert script(FORKED_IN_A_FETCH) == ["0"]


def test_an_embedder_that_hangs_does_not_hold_up_the_end() -> None:
    assert script(HUNG) == ["('miss', 'Rarely.')"]


def test_a_program_that_ends_with_open_streams_ends_in_silence() -> None:
    assert script(OPEN) == ["a", "a", "1"]
