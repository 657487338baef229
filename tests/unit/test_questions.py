"""The question of a request: found exactly, or not at all."""

from __future__ import annotations

from aegis_llm.questions import NoQuestion, Split, find_question


def ask(content: str) -> Split | NoQuestion:
    return find_question([{"role": "user", "content": content}])


def test_a_plain_question_is_the_whole_message() -> None:
    assert ask(" What is Redis?\n") == Split(0, 1, 15, "What is Redis?")
