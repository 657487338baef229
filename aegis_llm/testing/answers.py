"""Answers of the simulated model: extracted from the context, the same for the same request."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from aegis_llm.testing.reading import Reading
from aegis_llm.testing.words import STOP_WORDS, stem, terms, words

_GREETING = re.compile(r"(?i)^\W*(?:hello|hi|hey|good (?:morning|evening|day))\b[\w ,]{0,20}\W*$")
_SUM = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)\s*([-+*/x])\s*(-?\d+(?:\.\d+)?)(?![\w.])")
_LONGEST = 300


def answer(reading: Reading) -> str:
    """Return the answer to what was read."""
    if reading.tool_results:
        return from_tools(reading)
    if reading.rephrase:
        return reading.question
    if reading.context:
        return from_context(reading.question, reading.context)
    return without_context(reading)


def from_context(question: str, context: Sequence[str]) -> str:
    """Return the sentence of the context that fits the question best.

    Figures and names of the question that the context does not have are said to be missing, so
    that questions which differ only there get different answers.
    """
    best = best_sentence(question, context)
    if best is None:
        return f'The context does not say anything about "{shorten(question)}".'
    known = {stem(word) for line in context for word in words(line)}
    missing = [word for word in specifics(question) if stem(word) not in known]
    if not missing:
        return best
    return f"{best} (The context does not mention {', '.join(missing)}.)"


def best_sentence(question: str, context: Sequence[str]) -> str | None:
    """Return the sentence that shares the rarest words with the question; None: no word shared."""
    wanted = set(terms(question))
    lines = [set(terms(line)) for line in context]
    spread = Counter(term for line in lines for term in line)
    scores = [
        sum(math.log(1 + len(lines) / spread[term]) for term in wanted & line)
        / (3 + len(line)) ** 0.5
        for line in lines
    ]
    if not scores or max(scores) <= 0:
        return None
    return context[scores.index(max(scores))]


def specifics(text: str) -> list[str]:
    """Return the numbers and the capitalised names of `text`, without its first word."""
    found = words(text)
    return [
        word
        for place, word in enumerate(found)
        if word[0].isdigit()
        or (place > 0 and word[0].isupper() and word.lower() not in STOP_WORDS and len(word) > 1)
    ]


def from_tools(reading: Reading) -> str:
    """Return an answer that repeats what the tools said."""
    results = "; ".join(shorten(result) or "nothing" for result in reading.tool_results)
    return f'The answer to "{shorten(reading.question)}" is: {results}'


def without_context(reading: Reading) -> str:
    """Return a short answer that names the question."""
    question = reading.question
    if not question:
        return "How can I help you?"
    if _GREETING.match(question):
        again = f' We were at "{shorten(reading.earlier)}".' if reading.earlier else ""
        return f"Hello! How can I help you today?{again}"
    result = _compute(question)
    if result is not None:
        return result
    after = f', asked after "{shorten(reading.earlier)}"' if reading.earlier else ""
    return f'This is a simulated answer to "{shorten(question)}"{after}.'


def thought(reading: Reading) -> str:
    """Return what a thinking model thinks before it answers."""
    source = "look it up in the context" if reading.context else "answer from what I know"
    return f'The user asks "{shorten(reading.question)}". I should {source}.'


def shorten(text: str) -> str:
    """Return `text` on one line, cut at 300 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _compute(question: str) -> str | None:
    match = _SUM.search(question)
    if match is None:
        return None
    left, sign, right = float(match[1]), match[2], float(match[3])
    if sign == "/" and right == 0:
        return None
    value = {
        "+": left + right,
        "-": left - right,
        "*": left * right,
        "x": left * right,
        "/": left / right if right else 0.0,
    }[sign]
    return f"{match[1]} {sign} {match[3]} is {value:g}."
