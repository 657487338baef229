"""Does a question fit the embedder's window? A careful guess without a tokenizer. Pure."""

from __future__ import annotations

import re

_PIECES = re.compile(r"[a-z]+|[A-Z]+|[^\x00-\x7f]|\S", re.ASCII)


def fits_window(text: str, tokens: int) -> bool:
    """Return whether the text surely fits into `tokens` tokens.

    A run of letters is counted as one token for every two letters begun, any other visible
    character as one, one outside ASCII as two: more than common tokenizers make of real text.
    """
    if len(text) > tokens * 8:
        return False
    count = 2  # start and end marks
    for piece in _PIECES.finditer(text):
        start, end = piece.span()
        ascii_piece = text[start] < "\x80"
        count += (end - start + 1) // 2 if ascii_piece else 2
        if count > tokens:
            return False
    return True
