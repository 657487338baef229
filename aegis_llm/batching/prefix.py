"""What two prompts have in common from the start, told by hashes of their growing prefixes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

CHARS_A_TOKEN = 4.0
_STEP = 256
_FINE = 4  # marks at every step; then each a quarter farther
_LONGEST = 1 << 22


def _places() -> tuple[int, ...]:
    places = [_STEP * n for n in range(1, _FINE + 1)]
    while places[-1] < _LONGEST:
        places.append(places[-1] * 5 // 4)
    return tuple(places)


PLACES = _places()
"""Characters of a prompt after which it has a mark."""


class Prefix(NamedTuple):
    """A prompt as the scheduler sees it: `marks[i]` stands for its first `PLACES[i]` characters.

    `size` is the number of characters. Marks mean nothing in another process.
    """

    marks: tuple[int, ...]
    size: int

    @property
    def tokens(self) -> float:
        """About how many tokens the prompt has."""
        return self.size / CHARS_A_TOKEN


NOTHING = Prefix((), 0)


def prefix_of(texts: Iterable[str]) -> Prefix:
    """Return the prefix of a prompt, given in the order in which the model reads it."""
    whole = "\x00".join(texts)
    size = len(whole)
    count = bisect_right(PLACES, size)
    mark, marks = 0, []
    for start, end in pairwise((0, *PLACES[:count])):
        mark = hash((mark, whole[start:end]))
        marks.append(mark)
    return Prefix(tuple(marks), size)


def prefix_of_body(body: Mapping[str, Any]) -> Prefix:
    """Return the prefix of the prompt that a `/api/chat` body makes.

    Ollama puts the system messages and the tools in front, whatever their place in the body.
    """
    front: list[str] = [str(body.get("tools") or "")]
    rest: list[str] = []
    for message in body.get("messages") or ():
        role, content = str(message.get("role")), message.get("content")
        texts = front if role == "system" else rest
        texts.append(role)
        if content:
            texts.append(content if isinstance(content, str) else str(content))
        if calls := message.get("tool_calls"):
            texts.append(str(calls))
        # An image is told by its beginning: it is long, and read as a fixed number of tokens.
        texts.extend(str(image)[:_STEP] for image in message.get("images") or ())
    return prefix_of((*front, *rest))


def common(left: Prefix, right: Prefix) -> int:
    """Return how many marks the two share: the longest common prefix, in steps."""
    ours, theirs = left.marks, right.marks
    low, high = 0, min(len(ours), len(theirs))
    if not high or ours[0] != theirs[0]:
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        if ours[middle - 1] == theirs[middle - 1]:
            low = middle
        else:
            high = middle - 1
    return low


def chars(marks: int) -> int:
    """Return how many characters that many marks stand for."""
    return PLACES[marks - 1] if marks else 0
