"""The retrieved chunks in a request: which they are, where they stand, what is common. Pure.

A chunk is cut out of the scope of a question only where its text stands once, by itself, and
apart from the question; else the scope keeps the text as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from aegis_llm.questions import Split
from aegis_llm.values import Document, Request

_LONGEST_LABEL = 500


class Cut(NamedTuple):
    """One chunk: `content[start:end]` of message `index`."""

    message: int
    start: int
    end: int
    hash: str


class Context(msgspec.Struct, frozen=True):
    """A request without its chunks: the messages, the place of the question in them, and `cut`.

    `cut` are the parts that stand for the chunks in the scope.
    """

    request: Request
    start: int
    end: int
    cut: tuple[bytes, ...]


def chunks_of(documents: Iterable[Document]) -> tuple[str, ...]:
    """Return the hashes of the retrieved texts, each once, in no order of theirs."""
    return tuple(sorted({found for document in documents if (found := _hash(document))}))


def common_share(one: Sequence[str], other: Sequence[str]) -> float:
    """Return how many chunks two sets have in common, as a share of the larger set."""
    most = max(len(one), len(other))
    return len(set(one) & set(other)) / most if most else 1.0


def without_chunks(request: Request, split: Split, policy: str) -> Context | None:
    """Return the request without its chunks; None when they cannot be told for sure.

    With the policy "same", the set of chunks is in the scope, and their order only where labels
    or their places tell one from the other (an answer may cite "[1]"). With another policy they
    are not, and neither is what merely separates them.
    """
    cuts = _cuts(request, split)
    if not cuts:
        return None
    same = policy == "same"
    if same:
        free = _interchangeable(request.messages, cuts, split)
        hashes = [cut.hash for cut in cuts]
        told = [b"any order" if free else b"in order"]
        told += [found.encode() for found in (sorted(hashes) if free else hashes)]
    else:
        told = [b"ignore" if policy == "ignore" else b"overlap"]
        cuts = _joined(request.messages, cuts)
    places: list[bytes] = []
    messages: list[Mapping[str, Any]] = list(request.messages)
    start, end = split.start, split.end
    for index in sorted({cut.message for cut in cuts}):
        here = [cut for cut in cuts if cut.message == index]
        kept, at, gone = [], 0, 0
        content = str(messages[index]["content"])
        for cut in here:
            after = index == split.index and cut.start >= split.end
            asked = split.end - split.start if after else 0
            kept.append(content[at : cut.start])
            places.append(b"%d %d %d" % (index, after, cut.start - gone - asked))
            gone += cut.end - cut.start
            at = cut.end
            if index == split.index and not after:
                start, end = split.start - gone, split.end - gone
        messages[index] = {**messages[index], "content": "".join([*kept, content[at:]])}
    reduced = msgspec.structs.replace(request, messages=tuple(messages))
    return Context(reduced, start, end, (*told, *places))


def _hash(document: Document) -> str:
    text = document.text.strip()
    if text:
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return hashlib.sha256(document.hash.encode()).hexdigest()[:32] if document.hash else ""


def _cuts(request: Request, split: Split) -> list[Cut]:
    """Return where the chunks stand, in order; nothing unless all of them do, once and apart."""
    texts = {document.text.strip(): document for document in request.documents}
    cuts = []
    for text, document in texts.items():
        found = _only(request.messages, text)
        if found is None:
            return []
        cuts.append(Cut(found[0], found[1], found[1] + len(text), _hash(document)))
    cuts.sort()
    asked = Cut(split.index, split.start, split.end, "")
    around = sorted([*cuts, asked])
    apart = all(a.message < b.message or a.end <= b.start for a, b in pairwise(around))
    return cuts if apart else []


def _only(messages: Sequence[Mapping[str, Any]], text: str) -> tuple[int, int] | None:
    """Return the one place of a text: message and offset."""
    place = None
    for index, message in enumerate(messages) if text else ():
        content = message.get("content")
        if not isinstance(content, str):
            continue
        at = content.find(text)
        if at < 0:
            continue
        if place is not None or content.find(text, at + 1) >= 0:
            return None
        place = index, at
    return place


def _interchangeable(
    messages: Sequence[Mapping[str, Any]], cuts: Sequence[Cut], split: Split
) -> bool:
    """Return whether nothing but its text tells one chunk from another: no number, no label."""
    first, last = cuts[0], cuts[-1]
    if first.message != last.message:
        return False
    content = str(messages[first.message]["content"])
    if first.message == split.index and first.end <= split.start <= last.start:
        return len(cuts) == 1
    gaps = {content[a.end : b.start] for a, b in pairwise(cuts)}
    if not gaps:
        return True
    gap = gaps.pop()
    if gaps or len(gap) > _LONGEST_LABEL:
        return False
    if not _says_something(gap):
        return True
    head, tail = content[: first.start], content[last.end :]
    return any(tail.startswith(gap[:at]) and head.endswith(gap[at:]) for at in range(len(gap) + 1))


def _joined(messages: Sequence[Mapping[str, Any]], cuts: Sequence[Cut]) -> list[Cut]:
    """Make one of neighbours that only separators part."""
    joined: list[Cut] = []
    for cut in cuts:
        before = joined[-1] if joined else None
        if before is not None and before.message == cut.message:
            gap = str(messages[cut.message]["content"])[before.end : cut.start]
            if not _says_something(gap):
                joined[-1] = before._replace(end=cut.end)
                continue
        joined.append(cut)
    return joined


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, text))
