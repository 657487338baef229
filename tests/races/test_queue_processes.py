"""Processes: the end of one with a full queue, and children forked while others wait."""

from __future__ import annotations

import os

import pytest

from tests.races.kit import script

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

FORKED = """
import os, signal, sys, warnings
from functools import partial
from tests.races.kit import done, run, start, until
from tests.races.queue_kit import REPLY, Counter, apasses, job, nothing_is_left, passes, waiting

warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, which is the point
sys.setswitchinterval(1e-5)
queue = Counter().queue(1)
hold = queue.enter(job())
hold.job.answered = True  # it is being written: nobody is held back for it
waits = [start(partial(passes, queue)) for _ in range(8)]
tasks = [start(lambda: run(partial(apasses, queue))) for _ in range(4)]
until(lambda: waiting(queue) == 12)
stop = []

def work():
    while not stop:
        queue.state()
        passes(queue, "other")

busy = [start(work) for _ in range(4)]
for turn in range(8):
    child = os.fork()
    if not child:
        signal.alarm(20)
        assert waiting(queue) == 0
        hold.end(REPLY)  # the parent's: it means nothing here
        mine = queue.enter(job())
        other = start(partial(passes, queue))
        until(lambda: waiting(queue) == 1)
        mine.end(REPLY)
        done([other])
        run(partial(apasses, queue))
        nothing_is_left(queue)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, turn
assert waiting(queue) >= 12
stop.append(True)
done(busy)
hold.end(REPLY)
done(waits + tasks)
nothing_is_left(queue)
print("both")
"""

FORKED_BESIDE_A_STREAM = """
import os, signal, warnings
from tests.races.kit import until
from tests.races.queue_kit import Counter, job, passes
from tests.races.test_read_ahead import Source, stream

warnings.simplefilter("ignore", DeprecationWarning)
queue, source = Counter().queue(1), Source(allowed=2)
chunks = stream(queue, source)
next(chunks)
child = os.fork()
if not child:
    signal.alarm(20)
    passes(queue)
    del chunks
    passes(queue)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
source.allowed = 5
passes(queue)
print(list(chunks))
"""

FULL = """
import asyncio
from tests.races.kit import start, until
from tests.races.queue_kit import Counter, job, waiting

queue = Counter().queue(1)
hold = queue.enter(job())

def loop():
    async def many():
        await asyncio.gather(*(queue.aenter(job()) for _ in range(8)))
    asyncio.run(many())

for call in (lambda: queue.enter(job()), loop):
    for _ in range(4):
        start(call)  # daemon threads
until(lambda: waiting(queue) == 36)
print("waiting")
"""

FULL_AND_SERVED = """
import threading
from concurrent.futures import ThreadPoolExecutor
from tests.races.kit import until
from tests.races.queue_kit import Counter, job, passes, waiting

queue = Counter().queue(1)
hold = queue.enter(job())
pool = ThreadPoolExecutor(4)
for _ in range(4):
    threading.Thread(target=passes, args=(queue,)).start()  # the end waits for these
    pool.submit(passes, queue)
until(lambda: waiting(queue) == 8)
threading._register_atexit(hold.end)  # before the pool's threads are waited for
print("waiting")
"""

UNREAD = """
import threading
from tests.races.queue_kit import Counter, passes
from tests.races.test_read_ahead import Source, stream

queue = Counter().queue(1)
chunks = stream(queue, Source())
print(next(chunks))

def late():
    threading.main_thread().join()  # no thread can be started any more
    passes(queue)
    print("late")

threading.Thread(target=late).start()
"""

STOPPED = """
import asyncio, atexit, threading
from tests.races.kit import until
from tests.races.queue_kit import Counter, job, passes, waiting

queue = Counter().queue(1)

async def begin():
    global hold
    hold = await queue.aenter(job())

loop = asyncio.new_event_loop()
loop.run_until_complete(begin())  # and never goes on
atexit.register(loop.close)  # after the last thread
threading.Thread(target=passes, args=(queue,)).start()
until(lambda: waiting(queue) == 1)
print("waiting")
"""

OPEN = """
from aegis_llm.testing import OllamaSimulator
from tests.races.asking_kit import BODY, MODEL, Asking
from tests.races.queue_kit import passes

with OllamaSimulator() as sim:
    asking = Asking(sim.base_url)
    blocking = asking.blocking.chat(**BODY, stream=True)
    print(next(blocking).message.content)
    passes(asking.queues[0], MODEL)
    another = asking.blocking.chat(**BODY, stream=True)
    print(next(another).message.content)
"""


@needs_fork
def test_a_child_forked_while_others_wait_has_a_queue_that_works() -> None:
    assert script(FORKED) == ["both"]


@needs_fork
def test_a_child_may_drop_the_stream_of_its_parent() -> None:
    assert script(FORKED_BESIDE_A_STREAM) == ["0", "[1, 2, 3, 4]"]


@pytest.mark.parametrize("text", [FULL, FULL_AND_SERVED, STOPPED])
def test_a_program_ends_with_a_full_queue(text: str) -> None:
    assert script(text) == ["waiting"]


def test_a_call_after_the_end_of_the_program_finds_the_slot_of_an_unread_stream() -> None:
    assert script(UNREAD) == ["0", "late"]


def test_a_program_that_ends_with_unread_streams_ends_in_silence() -> None:
    assert script(OPEN) == ["This", "This"]
