"""One call to embed texts: in-process copy, store, else computed with those of other callers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aegis_llm.errors import TextTooLongError
from aegis_llm.keys import UncacheableError, vector_key, vector_space
from aegis_llm.plan import Plan, Put
from aegis_llm.values import Control
from aegis_llm.vectors import codec
from aegis_llm.vectors.batch import pack_reply
from aegis_llm.vectors.effects import (
    Ask,
    Claim,
    Cut,
    Digest,
    GetVectors,
    KeepVectors,
    Outcome,
    PutVectors,
    Send,
    TooLong,
    VectorRules,
    Wait,
)


def embed_plan(texts: Sequence[str], control: Control, rules: VectorRules) -> Plan[list[bytes]]:
    """Return the vectors of texts, in order.

    Raises:
        TextTooLongError: One is too long; the vectors of the others are kept.
        Exception: Whatever the server's client raised.
    """
    if not texts:
        return []
    if not all(map(_sendable, texts)):  # the client says what is wrong, to this caller alone
        return pack_reply((yield Ask(tuple(texts))), len(texts))
    unique = list(dict.fromkeys(texts))
    keys = yield from _keys(unique, control, rules)
    found: dict[str, bytes] = {}
    trouble = False
    if keys and not control.refresh:
        found, trouble = yield from _found(keys, rules, shared=rules.shared)
    made: dict[str, Outcome] = {}
    if missing := [text for text in unique if text not in found]:
        made, puts = yield from _made(missing, keys, rules, look=not control.refresh)
        if found and _dimensions(made.values()) - _dimensions(found.values()):
            # What was kept is of another model.
            others, more = yield from _made(list(found), keys, rules, look=False)
            made, puts, found = made | others, puts + more, {}
        if puts and rules.shared and not trouble:
            yield PutVectors(puts)
    return _in_order(texts, {**found, **made}, rules.model)


def _keys(texts: list[str], control: Control, rules: VectorRules) -> Plan[dict[str, str]]:
    """Return the keys of texts; none where nothing may be looked up or kept."""
    digest = None if control.bypass else (yield Digest())
    if digest is None:
        return {}
    try:
        space = vector_space(digest, rules.options, rules.dimensions)
    except UncacheableError:
        return {}
    return {text: vector_key(rules.namespace, space, rules.model, text) for text in texts}


def _found(
    keys: Mapping[str, str], rules: VectorRules, *, shared: bool
) -> Plan[tuple[dict[str, bytes], bool]]:
    """Return the vectors that are kept, by their texts, and whether the store was in trouble."""
    values, trouble = yield GetVectors(tuple(keys.values()), shared)
    found = {}
    for text, key in keys.items():
        data = values.get(key)
        vector = codec.decode(key, data) if data is not None else None
        if vector is not None and codec.dimension(vector) <= (rules.dimensions or 1 << 32):
            found[text] = vector
    return (found if len(_dimensions(found.values())) < 2 else {}), trouble


def _made(
    texts: list[str], keys: Mapping[str, str], rules: VectorRules, *, look: bool
) -> Plan[tuple[dict[str, Outcome], tuple[Put, ...]]]:
    """Have texts computed, each by one caller at a time; return what this one has to store.

    Whoever computes does so before it waits for others, so that no two wait for each other.
    `look`: another caller may have computed them since they were looked up.
    """
    made: dict[str, Outcome] = {}
    puts: tuple[Put, ...] = ()
    claim = yield Claim(tuple(texts))
    try:
        mine = {text: keys[text] for text in claim.mine if text in keys}
        if mine and look:
            here, _ = yield from _found(mine, rules, shared=False)
            made.update(here)
            claim.settle(here)
        if left := tuple(text for text in claim.mine if text not in made):
            sent = dict(zip(left, (yield Send(left)), strict=True))
            puts = yield from _kept(sent, keys, rules)
            made.update(sent)
            claim.settle(sent)
    finally:
        claim.release()
    for text, waiting in claim.others.items():
        outcome = yield Wait(waiting)
        if outcome is not None:
            made[text] = outcome
    if left := tuple(text for text in texts if text not in made):
        sent = dict(zip(left, (yield Send(left)), strict=True))
        puts += yield from _kept(sent, keys, rules)
        made.update(sent)
    return made, puts


def _kept(
    sent: Mapping[str, Outcome], keys: Mapping[str, str], rules: VectorRules
) -> Plan[tuple[Put, ...]]:
    """Keep here what was computed of whole texts, and return it for the store."""
    puts = tuple(
        Put(keys[text], codec.encode(keys[text], vector), rules.ttl_ms())
        for text, vector in sent.items()
        if text in keys and isinstance(vector, bytes) and codec.sound(vector)
    )
    if puts:
        yield KeepVectors(puts)
    return puts


def _in_order(texts: Sequence[str], known: Mapping[str, Outcome], model: str) -> list[bytes]:
    vectors = []
    for index, text in enumerate(texts):
        outcome = known[text]
        if isinstance(outcome, TooLong):
            raise TextTooLongError(model, text, index, len(texts)) from outcome.error
        vectors.append(outcome.vector if isinstance(outcome, Cut) else outcome)
    return vectors


def _dimensions(outcomes: Iterable[Outcome]) -> set[int]:
    return {codec.dimension(o) for o in outcomes if isinstance(o, bytes)}


def _sendable(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
