"""The pure parts that are too small for a file of their own: replay, window, breaker."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.breaker import Breaker
from aegis_llm.replay import pieces
from aegis_llm.window import fits_window


@settings(deadline=None)
@given(st.text())
def test_the_pieces_are_the_text(text: str) -> None:
    cut = list(pieces(text))
    assert "".join(cut) == text
    assert all(cut)


@settings(deadline=None)
@given(st.text("ab \n", max_size=400))
def test_the_pieces_are_small_and_end_with_a_word(text: str) -> None:
    cut = list(pieces(text))
    for piece, following in itertools.pairwise(cut):
        assert len(piece) >= 24
        assert piece[-1].isspace() or following[0].isspace() or len(piece.split()[-1]) >= 64


def test_a_long_text_comes_in_many_pieces() -> None:
    assert len(list(pieces("word " * 100))) == 21
    assert max(map(len, pieces("x" * 1000))) <= 64 + 24
    assert list(pieces("")) == []
    assert list(pieces("short")) == ["short"]


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("How are you?", 9),
        ("HTTPServer", 8),
        ("1234", 6),
        ("naïve", 6),
        ("中文", 6),
        ("a\x00b", 5),
        ("\U0001f600", 4),
    ],
)
def test_the_tokens_that_a_text_needs_at_most(text: str, least: int) -> None:
    assert fits_window(text, least)
    assert not fits_window(text, least - 1)


@settings(deadline=None)
@given(st.text(), st.text(), st.integers(1, 64))
def test_a_longer_text_never_fits_better(text: str, more: str, tokens: int) -> None:
    if not fits_window(text, tokens):
        assert not fits_window(text + more, tokens)
    if fits_window(text, tokens):
        assert fits_window(text, tokens + 1)


def test_a_huge_text_is_not_looked_through() -> None:
    assert not fits_window(" " * 10_000_000, 256)


class TestBreaker:
    def test_it_opens_after_failures_in_a_row(self) -> None:
        breaker = Breaker(threshold=3)
        assert [breaker.failure(0.0) for _ in range(4)] == [False, False, True, False]
        assert breaker.is_open
        assert not breaker.allow()

    def test_a_success_starts_the_count_again(self) -> None:
        breaker = Breaker(threshold=2)
        for _ in range(5):
            assert not breaker.failure(0.0)
            assert not breaker.success()
        assert breaker.allow()

    def test_one_caller_at_a_time_is_told_to_probe(self) -> None:
        breaker = Breaker(threshold=1, pause=0.5)
        assert not breaker.probe_due(100.0)
        breaker.failure(10.0)
        assert not breaker.probe_due(10.49)
        assert breaker.probe_due(10.5)
        assert not breaker.probe_due(10.9)
        assert breaker.probe_due(11.0)

    def test_the_pause_doubles_up_to_a_limit_and_starts_again_after_success(self) -> None:
        breaker = Breaker(threshold=1, pause=1.0, longest=3.0)
        breaker.failure(0.0)
        for now, pause in ((10.0, 2.0), (20.0, 3.0), (30.0, 3.0)):
            breaker.probe_failed(now)
            assert not breaker.probe_due(now + pause - 0.01)
            assert breaker.probe_due(now + pause)
        assert breaker.success()
        assert breaker.allow()
        assert not breaker.is_open
        breaker.failure(40.0)
        assert breaker.probe_due(41.0)

    def test_it_needs_as_many_failures_to_open_again(self) -> None:
        breaker = Breaker(threshold=3)
        for _ in range(3):
            breaker.failure(0.0)
        breaker.success()
        assert [breaker.failure(1.0) for _ in range(3)] == [False, False, True]

    def test_a_straggler_does_not_move_the_next_probe(self) -> None:
        breaker = Breaker(threshold=1, pause=1.0)
        breaker.failure(0.0)
        breaker.failure(0.9)
        assert breaker.probe_due(1.0)
