"""How many slots, and which type of cache, the size of a loaded model allows. Pure.

`/api/ps` tells all that a model takes: weights, caches and buffers. The buffers are not known to
the byte, so the answer is a range; it is narrow where the caches are large.
"""

from __future__ import annotations

from collections.abc import Iterable

from aegis_llm.bootstrap import kv
from aegis_llm.bootstrap.facts import Loaded, ModelFacts

_GIB = 1 << 30
_MOST_COMPUTE = {512: 0.75, 1024: 1.5, 2048: 3.0}
_PROJECTOR = 1.5
_WEIGHTS_OFF = 0.03
_MOST_SLOTS = 64


def slots_that_fit(model: ModelFacts, loaded: Loaded, kind: str) -> list[int]:
    """Return the numbers of slots with which the model may take what it takes; none: unknown."""
    if not _computable(model, loaded, kind):
        return []
    return [slots for slots in range(1, _MOST_SLOTS + 1) if _fits(model, loaded, slots, kind)]


def kinds_that_fit(
    model: ModelFacts, loaded: Loaded, slots: int, kinds: Iterable[str]
) -> list[str]:
    """Return the types of cache with which the model may take what it takes; none: unknown."""
    return [
        kind
        for kind in kinds
        if _computable(model, loaded, kind) and _fits(model, loaded, slots, kind)
    ]


def _computable(model: ModelFacts, loaded: Loaded, kind: str) -> bool:
    known = kv.is_known(model) and not model.embeds and not model.recurrent
    return known and kind in kv.BYTES and bool(model.size and loaded.context and loaded.size)


def _fits(model: ModelFacts, loaded: Loaded, slots: int, kind: str) -> bool:
    weights = model.size or 0
    cache = kv.kv_bytes(model, loaded.context, slots, kind)
    batch = kv.automatic_batch(loaded.context * slots)
    room = _MOST_COMPUTE[batch] + (_PROJECTOR if model.vision else 0.0)
    least = weights * (1 - _WEIGHTS_OFF) + cache
    return least <= loaded.size <= weights * (1 + _WEIGHTS_OFF) + cache + room * _GIB
