"""Two things that do the same have one fingerprint, two that do not have two."""

from __future__ import annotations

import enum
import functools
import json
import logging
import operator
import re
import subprocess
import sys
import threading
import types
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import msgspec
import pytest

from aegis_llm.fingerprint import NOT_SPECIAL, Teller, UnnameableError

SEPARATOR = ", "
LOCK = threading.Lock()


def fingerprint(value: Any) -> str:
    return Teller(lambda _, __: NOT_SPECIAL).fingerprint(value)


def made(text: str, name: str = "f", **given: Any) -> Any:
    """Return a function of a user's module from its source."""
    scope: dict[str, Any] = {"__name__": "__main__"} | given
    exec(text, scope)
    return scope[name]


def module(text: str, name: str = "helpers") -> types.ModuleType:
    """Return a module of a user."""
    made = types.ModuleType(name)
    exec(text, vars(made))
    return made


def pair(text: str, name: str = "f", **given: Any) -> tuple[Any, Any]:
    """Return what the source makes, once with 1 in it and once with 2."""
    return made(text.replace("@", "1"), name, **given), made(text.replace("@", "2"), name, **given)


def within(text: str) -> types.ModuleType:
    outer = module("", "a")
    vars(outer)["b"] = module(text, "a.b")
    return outer


def calls(helpers: types.ModuleType) -> Any:
    return made("def f(x): return helpers.g(x)", helpers=helpers)


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
    "a use of one part of a module": (
        calls(module("def g(x): return x\nother = 1")),
        calls(module("def g(x): return x\nother = 2")),
    ),
    "classes of every kind": tuple(
        made(
            "import abc, collections, dataclasses, enum, typing\n"
            "class A(abc.ABC):\n"
            " log: typing.ClassVar = LOG\n"
            " @abc.abstractmethod\n def f(self): ...\n"
            "@dataclasses.dataclass(frozen=True)\n"
            "class D(A):\n"
            " x: list = dataclasses.field(default_factory=list)\n def f(self): return self.x\n"
            "class E(enum.StrEnum):\n a = 'a'\n"
            "class N(typing.NamedTuple):\n a: int = 1\n"
            "class T(typing.TypedDict):\n a: list[int] | None\n"
            "class G(typing.Generic[typing.TypeVar('X')]):\n def f(self): return super()\n"
            "v = [D(), E.a, N(2), T, G(), collections.defaultdict(list)]",
            "v",
            LOG=logging.getLogger("x"),
        )
        for _ in range(2)
    ),
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
    "a float and its text": ([1.0], ["1.0"]),
    "a whole float": ([1.0], [1]),
    "a list and a tuple": ([1], (1,)),
    "a dict of a user": pair("class C(dict): pass\nv = C(a=@)", "v"),
    "a list of a user": pair("class C(list): pass\nv = C([@])", "v"),
    "a text of a user": pair("class C(str): pass\nv = C('@')", "v"),
    "a number of a user": pair("class C(float): pass\nv = C(@)", "v"),
    "a tuple of a user": pair("class C(tuple): pass\nv = C([@])", "v"),
    "a closure's own dict": pair(
        "class C(dict): pass\ndef g(c):\n return lambda x: c[x]\nf = g(C(a=@))"
    ),
    "an inherited slot": pair(
        "class B: __slots__ = ('k',)\nclass C(B): pass\nv = C()\nv.k = @", "v"
    ),
    "a framework's name": (
        made("def f(x): return 1", __name__="langchain_app"),
        made("def f(x): return 2", __name__="langchain_app"),
    ),
    "a framework's name again": (
        made("def f(x): return 1", __name__="ollama_utils.more"),
        made("def f(x): return 2", __name__="ollama_utils.more"),
    ),
    "no module": (
        made("def f(x): return 1", __name__=None),
        made("def f(x): return 2", __name__=None),
    ),
    "a library's name put on": (
        functools.wraps(json.dumps)(made("def f(x): return 1")),
        functools.wraps(json.dumps)(made("def f(x): return 2")),
    ),
    "a class's dict": pair("class C:\n t = {'a': @}", "C"),
    "a class's list": pair("class C:\n t = [@]", "C"),
    "a class's partial": pair(
        "class C:\n t = partial(round, ndigits=@)", "C", partial=functools.partial
    ),
    "a class's partial method": pair(
        "class C:\n def f(self, n): return n\n t = method(f, @)",
        "C",
        method=functools.partialmethod,
    ),
    "a class's cached property": pair(
        "class C:\n t = cached(lambda self: @)", "C", cached=functools.cached_property
    ),
    "a class's cached call": pair(
        "class C:\n __call__ = cached(lambda self: @)", "C", cached=functools.cache
    ),
    "a class's object": pair("class D:\n def __init__(s): s.a = @\nclass C:\n t = D()", "C"),
    "a class's class": pair("class M(type):\n n = @\nclass C(metaclass=M): pass", "C"),
    "a setter": pair(
        "class C:\n def g(self): return 0\n def d(self): return @\n p = property(g, None, d)\n"
        " del d, g",
        "C",
    ),
    "a module's function": (
        calls(module("def g(x): return 1")),
        calls(module("def g(x): return 2")),
    ),
    "a module's module": (
        made("def f(x): return a.b.g(x)", a=within("def g(x): return 1")),
        made("def f(x): return a.b.g(x)", a=within("def g(x): return 2")),
    ),
    "two functions of a module": (
        made("def f(x): return h.a(x) + h.b(x)", h=module("def a(x): 1\ndef b(x): return 1")),
        made("def f(x): return h.a(x) + h.b(x)", h=module("def a(x): 1\ndef b(x): return 2")),
    ),
    "an object used twice": (
        made("def f(x): return t.by + t.joined(x)", t=Joiner("-")),
        made("def f(x): return t.by + t.joined(x)", t=Joiner("+")),
    ),
    "the value of an enum": pair("class E(enum.Enum): A = @\nv = E.A", "v", enum=enum),
    "another of an enum": pair("class E(enum.Enum): A = 0; B = @\nv = E.A", "v", enum=enum),
    "an attribute of a function": pair("def f(x): return f.k\nf.k = @"),
    "a long pattern": (re.compile("a" * 300 + "b"), re.compile("a" * 300 + "c")),
    "what an error ends": (
        made("def f(x):\n try:\n  a = g()\n  b = g()\n except E: return 1", g=len, E=KeyError),
        made("def f(x):\n a = g()\n try:\n  b = g()\n except E: return 1", g=len, E=KeyError),
    ),
    "two classes of one name": tuple(
        [a, b, last] for a, b in [pair("class C:\n n = @", "C")] for last in (a, b)
    ),
    "the fields of a dict": pair("class C(T):\n a: L[@]", "C", T=TypedDict, L=Literal),
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


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (object(), "here: a builtins.object"),
        (made("def f(x): return lock", lock=LOCK), "f uses lock: a _thread.lock"),
        ({"a": [made("def f(x): return lock", lock=LOCK)]}, "a > f uses lock: a _thread.lock"),
        (Joiner(LOCK), "by: a _thread.lock"),  # type: ignore[arg-type]
        (iter([1]), "here: a builtins.list_iterator"),
        ("\ud800", "cannot be written down"),
        (made("def f(x): return g(h)", g=id, h=module("")), "f uses h: a builtins.module"),
        (made("def f(x): return h.none", h=module("")), "f uses h: a builtins.module"),
        (made("def f(x): return nowhere"), "f uses nowhere, of which nothing"),
        (made("def f(x): return eval(x)"), "f uses eval, of which nothing"),
        (made("def f(x):\n import helpers\n return helpers.g(x)"), "imports helpers inside"),
        (made("def f(x):\n from helpers import g\n return g(x)"), "imports helpers inside"),
        (made("class C:\n t = lock", "C", lock=LOCK), "C.t: a _thread.lock"),
        (made("class C(OrderedDict): pass\nv = C()", "v", OrderedDict=OrderedDict), "a __main__"),
        (made("class C(partial): pass\nv = C(f)", "v", partial=functools.partial, f=id), "a __m"),
        (made("class C(bytes): pass\nv = C()", "v"), "a __main__.C"),
    ],
    ids=[
        "object",
        "global",
        "nested",
        "attribute",
        "iterator",
        "text",
        "module",
        "absent",
        "unbound",
        "eval",
        "import",
        "from",
        "member",
        "ordered",
        "partial",
        "bytes",
    ],
)
def test_what_cannot_be_written_down_is_refused(given: Any, place: str) -> None:
    with pytest.raises(UnnameableError) as told:
        fingerprint(given)
    assert place in str(told.value)


def test_what_was_refused_is_refused_again() -> None:
    def tolerant(value: Any, teller: Teller) -> Any:
        if not isinstance(value, list):
            return NOT_SPECIAL
        return ["tried", *map(tried, value, [teller] * len(value))]

    def tried(value: Any, teller: Teller) -> Any:
        try:
            return teller.told(value)
        except UnnameableError:
            return "refused"

    function = made("def f(x): return lock", lock=LOCK)
    thing = made("class C:\n n = 1\n t = lock\nv = C()", "v", lock=LOCK)
    tried_all = Teller(tolerant).told([function, LOCK, thing, type(thing)])
    assert tried_all == ["tried", *["refused"] * 4]


@pytest.mark.parametrize("name", ["langchain_app", "llama_index.mine", "statistics_of_us"])
def test_an_import_inside_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function = made(f"def f(x):\n from {name} import g\n return g(x)")
    told = set()
    for text in ("def g(x): return 1", "def g(x): return 2"):
        monkeypatch.setitem(sys.modules, name, module(text, name))
        told.add(fingerprint(function))
    assert len(told) == 2
    assert fingerprint(made("def f(x):\n from json import dumps\n import re\n return re"))


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
