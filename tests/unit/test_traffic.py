"""The stream of requests and its count of right and wrong hits."""

from __future__ import annotations

import sys
from collections import Counter
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.traffic.data import Questions, grouped
from benchmarks.traffic.picture import Line, Mark, draw
from benchmarks.traffic.replay import Policy, neighbours, replay
from benchmarks.traffic.stream import Request, Shape, stream

SHAPE = Shape(requests=2000, warm=600)


@pytest.fixture(scope="module")
def questions() -> Questions:
    pairs = [{"a": f"q{n}", "b": f"q{n} again", "same": True} for n in range(1200)]
    pairs += [{"a": f"q{n} again", "b": f"q{n} anew", "same": True} for n in range(0, 1200, 3)]
    pairs += [{"a": f"q{n}", "b": f"p{n}", "same": False} for n in range(1200)]
    return grouped(pairs, [{"text": f"single {n}"} for n in range(1000)])


def test_groups_are_joined_along_chains_and_split_by_no_order() -> None:
    pairs = [
        {"a": "a", "b": "b", "same": True},
        {"a": "c", "b": "b", "same": True},
        {"a": "a", "b": "d", "same": False},
        {"a": "a", "b": "c", "same": False},
    ]
    for rows in (pairs, pairs[::-1]):
        found = grouped(rows, [{"text": "e"}])
        assert sorted(map(len, found.groups)) == [1, 1, 3]
        assert found.same("b", "c")
        assert found.same("a", "a")
        assert not found.same("a", "d")
        assert not found.same("a", "e")
        assert not found.told_apart("a", "e")
        assert not found.same("a", "c"), "a label counts even inside one group"


def test_texts_that_differ_in_writing_only_are_one_group() -> None:
    texts = [
        "What\u2019s Redis?",
        "what's  redis",
        "What's Redis 7?",
        "Is C slow?",
        "Is C++ slow?",
    ]
    found = grouped([], [{"text": text} for text in texts])
    assert found.same(texts[0], texts[1])
    assert len(found.groups) == 4


def test_a_seed_decides_the_stream(questions: Questions) -> None:
    assert stream(questions, SHAPE, 1) == stream(questions, SHAPE, 1)
    assert stream(questions, SHAPE, 1) != stream(questions, SHAPE, 2)


def test_the_kinds_come_in_their_shares_and_are_what_they_say(questions: Questions) -> None:
    requests = stream(questions, SHAPE, 3)
    kinds = Counter(request.kind for request in requests)
    assert kinds["warm"] == SHAPE.warm
    assert kinds.total() == SHAPE.warm + SHAPE.requests
    assert 0.45 < kinds["repeat"] / SHAPE.requests < 0.55
    assert 0.25 < kinds["rewording"] / SHAPE.requests < 0.35
    new = kinds["new"] + kinds["look-alike"]
    assert 0.15 < kinds["look-alike"] / new < 0.35
    texts: set[str] = set()
    groups: set[int] = set()
    for text, kind in requests:
        group = questions.group_of[text]
        assert (text in texts) == (kind == "repeat")
        assert (group in groups) == (kind in ("repeat", "rewording"))
        if kind == "look-alike":
            assert not texts.isdisjoint(questions.look_alikes[text])
        texts.add(text)
        groups.add(group)


def test_some_questions_are_much_more_popular_than_others(questions: Questions) -> None:
    asked = Counter(r.text for r in stream(questions, SHAPE, 4) if r.kind == "repeat")
    top = sum(count for _, count in asked.most_common(len(asked) // 10))
    assert top > 0.25 * asked.total()


def test_hits_are_counted_by_the_labels() -> None:
    found = grouped(
        [
            {"a": "eggs", "b": "boiled eggs", "same": True},
            {"a": "eggs", "b": "fried eggs", "same": False},
        ],
        [{"text": "ham"}],
    )
    near = {
        "eggs": [(0.9, "boiled eggs"), (0.8, "fried eggs"), (0.7, "ham")],
        "boiled eggs": [(0.9, "eggs"), (0.6, "fried eggs")],
        "fried eggs": [(0.8, "eggs"), (0.6, "boiled eggs")],
        "ham": [(0.7, "eggs")],
    }
    requests = [
        Request("eggs", "warm"),
        Request("eggs", "repeat"),
        Request("boiled eggs", "rewording"),
        Request("fried eggs", "look-alike"),
        Request("ham", "new"),
        Request("ham", "repeat"),
    ]

    def played(least: float) -> tuple[int, int, int, int, int]:
        policy = Policy("cosine", lambda asked, cached, cosine: cosine >= least, routed=False)
        got = replay(requests, found, near, policy)
        assert (got.requests, got.rewordings) == (5, 1)
        return got.exact, got.right, got.wrong, got.told_apart, got.caught

    assert played(0.95) == (2, 0, 0, 0, 0)
    assert played(0.85) == (2, 1, 0, 0, 1)
    assert played(0.75) == (2, 1, 1, 1, 1)
    assert played(0.65) == (1, 1, 3, 1, 1), "a question served by meaning is not stored"


def test_neighbours_are_the_nearest_first_and_never_the_text_itself() -> None:
    vectors = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.96, 0.28]])
    near = neighbours(["a", "b", "c", "d"], vectors, 0.5)
    assert [text for _, text in near["a"]] == ["d", "b"]
    assert [text for _, text in near["c"]] == ["b"]
    assert near["a"][0][0] == pytest.approx(0.96)


def test_only_the_four_nearest_stored_questions_are_looked_at() -> None:
    found = grouped([], [{"text": text} for text in "abcdefg"])
    near = {"a": [(0.9 - place / 100, text) for place, text in enumerate("bcdefg")]}
    warm = [Request(text, "warm") for text in "cdefg"]
    seen: list[str] = []

    def decide(asked: str, cached: str, cosine: float) -> bool:
        seen.append(cached)
        return False

    replay([*warm, Request("a", "new")], found, near, Policy("none", decide, routed=False))
    assert seen == ["c", "d", "e", "f"]


def test_scores_may_come_from_another_module(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.traffic.__main__ import policies

    module = ModuleType("out_of_fold")
    module.decider = lambda matching: lambda a, b, cosine: (matching, a, b, cosine)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "out_of_fold", module)
    decide = {policy.name: policy.decide for policy in policies("out_of_fold")}
    assert decide["strict"]("a", "b", 0.9) == ("strict", "a", "b", 0.9)
    assert decide["balanced"]("a", "b", 0.9) == ("balanced", "a", "b", 0.9)
    assert policies(None)[-2].decide("What is Redis?", "what is Redis", 1.0).accept


def test_the_picture_is_well_formed_and_holds_every_point() -> None:
    curve = Line("cosine <alone>", [Mark(0.1, 10, "0.97"), Mark(3.7, 80, "0.80")])
    picture = draw("A & B", [curve, Line("strict", [Mark(0.2, 40)])])
    root = ElementTree.fromstring(picture)
    circles = [part for part in root.iter() if part.tag.endswith("circle")]
    assert len(circles) == 3 + 2
    for circle in circles:
        assert 0 <= float(circle.get("cx", "-1")) <= 720
        assert 0 <= float(circle.get("cy", "-1")) <= 440
