"""Cut a cached text into the pieces that a stream would have brought. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"\s*\S{1,64}|\s+")
_LEAST = 24


def pieces(text: str) -> Iterator[str]:
    """Yield pieces of about 24 characters that end with a word; together they are the text."""
    held = ""
    for word in _WORD.finditer(text):
        held += word.group()
        if len(held) >= _LEAST:
            yield held
            held = ""
    if held:
        yield held
