"""Two things that do the same have one fingerprint, two that do not have two."""

from __future__ import annotations

import functools
import operator
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aegis_llm.fingerprint import NOT_SPECIAL, Teller, UnnameableError

SEPARATOR = ", "


def fingerprint(value: Any) -> str:
    return Teller(lambda _, __: NOT_SPECIAL).fingerprint(value)


def made(text: str, name: str = "f", **given: Any) -> Any:
    """Return a function of a user's module from its source."""
    scope: dict[str, Any] = {"__name__": "__main__", **given}
    exec(text, scope)
    return scope[name]


@dataclass
class Sizes:
    width: int
    height: int


class Joiner:
    def __init__(self, by: str) -> None:
        self.by = by

    def __call__(self, parts: list[str]) -> str:
        return self.by.join(parts)

    def joined(self, parts: list[str]) -> str:
        return self(parts)


def uses_a_global(parts: list[str]) -> str:
    return SEPARATOR.join(parts)


def recursive(n: int) -> int:
    return recursive(n - 1) if n else 0


SAME = {
    "functions": (made("def f(x): return x + 1"), made("def f(x):\n\n    return x + 1")),
    "closures": (
        made("def g(n):\n return lambda x: x + n", "g")(1),
        made("def g(n):\n return lambda x: x + n", "g")(1),
    ),
    "sets": ({"b", "a", "c"}, {"c", "b", "a"}),
    "partials": (functools.partial(int, base=2), functools.partial(int, base=2)),
    "getters": (operator.itemgetter("a"), operator.itemgetter("a")),
    "dataclasses": (Sizes(1, 2), Sizes(1, 2)),
    "objects": (Joiner("-"), Joiner("-")),
    "methods": (Joiner("-").joined, Joiner("-").joined),
}
OTHER = {
    "a constant": (made("def f(x): return x + 1"), made("def f(x): return x + 2")),
    "a name": (made("def f(x): return x.a"), made("def f(x): return x.b")),
    "an operator": (made("def f(x): return x + 1"), made("def f(x): return x - 1")),
    "an inner function": (
        made("def f(x): return [y + 1 for y in x]"),
        made("def f(x): return [y + 2 for y in x]"),
    ),
    "a lambda inside": (
        made("def f(x): return (lambda y: y + 1)(x)"),
        made("def f(x): return (lambda y: y + 2)(x)"),
    ),
    "a default": (made("def f(x=1): return x"), made("def f(x=2): return x")),
    "a default by name": (made("def f(*, x=1): return x"), made("def f(*, x=2): return x")),
    "a global": (made("def f(x): return x + y", y=1), made("def f(x): return x + y", y=2)),
    "a function it calls": (
        made("def g(x): return 1\ndef f(x): return g(x)"),
        made("def g(x): return 2\ndef f(x): return g(x)"),
    ),
    "a closure": (
        made("def g(n):\n return lambda x: x + n", "g")(1),
        made("def g(n):\n return lambda x: x + n", "g")(2),
    ),
    "a true": (True, 1),
    "a text": ("1", 1),
    "a float": (1.0, 1),
    "an order": ([1, 2], [2, 1]),
    "an order of names": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "a nesting": ([[1], 2], [[1, 2]]),
    "a pattern": (re.compile("a"), re.compile("a", re.I)),
    "a path": (Path("a"), Path("b")),
    "an object": (Joiner("-"), Joiner("+")),
    "a method's object": (Joiner("-").joined, Joiner("+").joined),
    "a class": (
        made("class C:\n def f(self): return 1", "C"),
        made("class C:\n def f(self): return 2", "C"),
    ),
    "a base": (
        made("class B:\n def f(self): return 1\nclass C(B): a = 1", "C"),
        made("class B:\n def f(self): return 2\nclass C(B): a = 1", "C"),
    ),
    "a property": (
        made("class C:\n @property\n def f(self): return 1", "C"),
        made("class C:\n @property\n def f(self): return 2", "C"),
    ),
    "a partial": (functools.partial(int, base=2), functools.partial(int, base=3)),
    "what is cached": (
        functools.cache(made("def f(x): return 1")),
        functools.cache(made("def f(x): return 2")),
    ),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_the_same(pair: tuple[Any, Any]) -> None:
    assert fingerprint(pair[0]) == fingerprint(pair[1])


@pytest.mark.parametrize("pair", OTHER.values(), ids=OTHER)
def test_another(pair: tuple[Any, Any]) -> None:
    assert fingerprint(pair[0]) != fingerprint(pair[1])


def test_what_refers_to_itself_comes_to_an_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert fingerprint(endless)
    assert fingerprint(recursive)
    assert fingerprint(Joiner)


LOCK = threading.Lock()


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (object(), "here: a builtins.object"),
        (made("def f(x): return lock", lock=LOCK), "f uses lock: a _thread.lock"),
        ({"a": [made("def f(x): return lock", lock=LOCK)]}, "a > f uses lock: a _thread.lock"),
        (Joiner(LOCK), "by: a _thread.lock"),  # type: ignore[arg-type]
        (iter([1]), "here: a builtins.list_iterator"),
        ("\ud800", "cannot be written down"),
    ],
    ids=["object", "global", "nested", "attribute", "iterator", "text"],
)
def test_what_cannot_be_written_down_is_refused(given: Any, place: str) -> None:
    with pytest.raises(UnnameableError) as told:
        fingerprint(given)
    assert place in str(told.value)


def test_a_library_is_told_by_its_name_and_version() -> None:
    function = made("def f(x): return d(x)", d=msgspec.json.decode)
    assert fingerprint(function) == fingerprint(function)
    assert fingerprint(msgspec.structs.replace) != fingerprint(msgspec.structs.asdict)


def test_another_process_comes_to_the_same() -> None:
    code = (
        "from tests.unit import test_fingerprint as t\n"
        "things = [one for pair in (*t.SAME.values(), *t.OTHER.values()) for one in pair]\n"
        "print(*map(t.fingerprint, things), t.fingerprint(t.uses_a_global))"
    )
    done = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(p for p in sys.path if p), "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
        ).stdout
        for seed in ("1", "2")
    ]
    assert done[0] == done[1]
