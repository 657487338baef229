"""What was retrieved in the runs around a call, and that nothing of a run outlives it."""

from __future__ import annotations

import math
import threading
from itertools import count

from aegis_llm import trail as module
from aegis_llm.trail import Trail


def test_what_a_run_found_is_its_parents_after_its_end() -> None:
    trail: Trail[str] = Trail(count().__next__)
    for key, parent in (("root", None), ("sequence", "root"), ("retriever", "sequence")):
        trail.begin(key, parent)
    trail.found("retriever", ["a", "b"])
    assert trail.of("sequence") == []
    trail.end("retriever")
    assert trail.of("sequence") == ["a", "b"]
    assert trail.of("root") == []
    trail.end("sequence")
    assert trail.of("root") == ["a", "b"]
    trail.begin("model", "root")
    assert trail.of("model") == ["a", "b"]
    for key in ("model", "root"):
        trail.end(key)
    assert len(trail) == 0
    assert trail.of("root") == trail.of("never begun") == trail.of(None) == []


def test_what_a_retriever_found_on_the_way_gives_way_to_its_result() -> None:
    trail: Trail[str] = Trail(count().__next__)
    trail.begin("outer", None)
    trail.begin("retriever", "outer")
    trail.begin("inner", "retriever")
    trail.found("inner", ["a", "b", "c"])
    trail.end("inner")
    trail.found("retriever", ["b"])
    trail.end("retriever")
    assert trail.of("outer") == ["b"]


def test_two_runs_know_nothing_of_each_other() -> None:
    trail: Trail[str] = Trail(count().__next__)
    for name in "xy":
        trail.begin(name, None)
        trail.begin(name + "r", name)
        trail.found(name + "r", [name])
    for name in "xy":
        trail.end(name + "r")
    assert trail.of("x") == ["x"]
    assert trail.of("y") == ["y"]


def test_a_child_that_ends_after_its_parent_does_no_harm() -> None:
    trail: Trail[str] = Trail(count().__next__)
    trail.begin("parent", None)
    trail.begin("child", "parent")
    trail.end("parent")
    trail.found("child", ["a"])
    trail.end("child")
    trail.end("child")
    trail.found("child", ["a"])
    assert len(trail) == 0


def test_runs_whose_end_is_never_told_are_forgotten() -> None:
    trail: Trail[int] = Trail(count().__next__, most=10)
    threads = [
        threading.Thread(
            target=lambda n=n: [trail.begin((n, i), (n, i - 1)) for i in range(1000)]  # type: ignore[misc]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trail) <= 14  # a thread that met another one left it to that
    for n in range(20):
        trail.begin(n, None)
    assert trail.of(19) == []
    assert len(trail) <= 14


def test_a_run_that_never_ends_keeps_a_bounded_number() -> None:
    trail: Trail[int] = Trail(count().__next__)
    trail.begin("root", None)
    for n in range(module._FOUND_KEPT + 500):
        trail.begin(n, "root")
        trail.found(n, [n])
        trail.end(n)
    found = trail.of("root")
    assert len(found) == module._FOUND_KEPT
    assert found[-1] == module._FOUND_KEPT + 499


def test_since_is_when_the_first_run_began_that_found_something() -> None:
    trail: Trail[str] = Trail(count().__next__)
    trail.begin("root", None)
    for key, found in (("nothing", []), ("first", ["a"]), ("second", ["b"])):
        trail.begin(key, "root")  # at 1, 2 and 3
        trail.found(key, found)
    for key in ("second", "first", "nothing"):
        trail.end(key)
    trail.begin("model", "root")
    assert trail.since("root") == trail.since("model") == 2
    trail.begin("alone", None)
    assert trail.since("alone") == trail.since("never begun") == trail.since(None) == math.inf


def test_a_retriever_counts_from_its_own_beginning() -> None:
    trail: Trail[str] = Trail(count().__next__)
    for key, parent in (("root", None), ("retriever", "root"), ("inner", "retriever")):
        trail.begin(key, parent)
    for key in ("inner", "retriever"):
        trail.found(key, ["a"])
        trail.end(key)
    assert trail.since("root") == 1
