"""Prompts of given sizes; every one is another, so that no answer is cached by anybody."""

from __future__ import annotations

import random
from itertools import count

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

_numbers = count()
_WORDS = (
    "valve", "pump", "gasket", "boiler", "filter", "sensor", "relay", "turbine", "nozzle", "panel",
    "opens", "closes", "drains", "cools", "heats", "holds", "feeds", "blocks", "seals", "turns",
    "red", "blue", "upper", "lower", "north", "spare", "main", "second", "third", "old",
)  # fmt: skip


def text(words: int, seed: int) -> str:
    """Return sentences of about that many words."""
    source = random.Random(seed)
    sentences = []
    while words > 0:
        size = min(words, 12)
        sentences.append(" ".join(source.choice(_WORDS) for _ in range(size)) + ".")
        words -= size
    return " ".join(sentences)


def short() -> str:
    """Return a question of about 25 tokens that has no beginning in common with another one."""
    number = next(_numbers)
    return f"{number} {text(18, number)} What is that?"


def over_contexts(contexts: int, each: int, tokens: int, seed: int = 7) -> list[list[BaseMessage]]:
    """Return shuffled RAG prompts: `each` questions on each of `contexts` texts of that size."""
    first = next(_numbers) * 1000
    prompts: list[list[BaseMessage]] = []
    for context in range(contexts):
        # A word and its space, or a full stop, is a token or a little more.
        document = text(int(tokens * 0.9), first + context)
        for question in range(each):
            asked = f"Question {question}: {text(12, first + context * 100 + question)}?"
            prompts.append([SystemMessage(f"Context {document}"), HumanMessage(asked)])
    random.Random(seed).shuffle(prompts)
    return prompts
