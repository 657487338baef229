"""One batch: the texts of several callers in one request, and whose fault it is if it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aegis_llm.errors import EmbeddingError
from aegis_llm.plan import Plan
from aegis_llm.vectors import codec
from aegis_llm.vectors.effects import Ask, Cut, Outcome, Texts, TooLong

_MOST = 256  # texts a request: an answer of a few megabytes
_MAYBE_A_TEXT = frozenset({400, 500})  # 500: a text whose vector holds NaN, among others


def batch_plan(callers: Sequence[Texts], *, cut: bool = False) -> Plan[list[Any]]:
    """Return for each caller the outcomes of its texts, in order, or an error.

    Each text is sent once. A text that is too long is found by halves, and is the only one without
    a vector; with `cut` it gets that of its beginning. Any other refusal that may be due to one
    text makes each caller ask for itself, as if there were no batch; what is the fault of no text
    is told to all.
    """
    texts = list(dict.fromkeys(text for caller in callers for text in caller))
    try:
        known = yield from _vectors(texts, cut=cut)
    except Exception as exc:  # noqa: BLE001 - it is raised to each of them
        if len(callers) == 1 or getattr(exc, "status_code", None) not in _MAYBE_A_TEXT:
            return [exc] * len(callers)
    else:
        return [[known[text] for text in caller] for caller in callers]
    results: list[Any] = []
    for caller in callers:
        try:
            known = yield from _vectors(list(dict.fromkeys(caller)), cut=cut)
        except Exception as exc:  # noqa: BLE001 - it is raised where it belongs
            results.append(exc)
        else:
            results.append([known[text] for text in caller])
    return results


def _vectors(texts: list[str], *, cut: bool) -> Plan[dict[str, Outcome]]:
    known: dict[str, Outcome] = {}
    for start in range(0, len(texts), _MOST):
        some, _ = yield from _tried(texts[start : start + _MOST], cut=cut)
        known |= some
    return known


def _tried(texts: list[str], *, cut: bool) -> Plan[tuple[dict[str, Outcome], bool]]:
    """Return the outcomes of texts, and whether one of them is too long."""
    try:
        return (yield from _asked(texts)), False
    except Exception as exc:
        if not _too_long(exc):
            raise
        error = exc
    return (yield from _halved(texts, error, cut=cut)), True


def _halved(texts: list[str], error: Exception, *, cut: bool) -> Plan[dict[str, Outcome]]:
    """Return the outcomes of texts of which one at least is too long, as `error` says."""
    if len(texts) == 1:
        if not cut:
            return {texts[0]: TooLong(error)}
        made = pack_reply((yield Ask((texts[0],), truncate=True)), 1)
        return {texts[0]: Cut(made[0])}
    texts = sorted(texts, key=len)  # so that one half is likely to be without fault
    short, long = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    known, found = yield from _tried(short, cut=cut)
    if found:
        others, _ = yield from _tried(long, cut=cut)
    else:
        others = yield from _halved(long, error, cut=cut)  # it is in there: no need to ask
    return known | others


def _asked(texts: list[str]) -> Plan[dict[str, Outcome]]:
    vectors = pack_reply((yield Ask(tuple(texts))), len(texts))
    return dict(zip(texts, vectors, strict=True))


def pack_reply(reply: Any, count: int) -> list[bytes]:
    """Return the vectors of a reply.

    Raises:
        EmbeddingError: They are not `count` vectors of one dimension.
    """
    try:
        vectors = [codec.pack(numbers) for numbers in reply]
    except (TypeError, ValueError) as exc:
        msg = "the server's reply holds something that is no vector"
        raise EmbeddingError(msg) from exc
    if len(vectors) != count or len(set(map(len, vectors))) != 1 or not vectors[0]:
        sizes = sorted({codec.dimension(vector) for vector in vectors})
        msg = f"the server returned {len(vectors)} vectors for {count} texts, of dimension {sizes}"
        raise EmbeddingError(msg)
    return vectors


def _too_long(error: Exception) -> bool:
    return getattr(error, "status_code", None) == 400 and "context length" in str(error)
