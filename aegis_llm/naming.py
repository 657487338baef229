"""Names for objects that only this process knows: no other object has the same, ever."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

_named: dict[int, tuple[Callable[[], Any], str]] = {}
_kept: deque[int] = deque()
_KEPT = 256
_lock = threading.RLock()  # garbage collection may forget while this thread holds it


def name_of(value: Any) -> str:
    """Return a name that only this very object has: what it does cannot be written down."""
    with _lock:
        held = _named.get(id(value))
        if held is not None and held[0]() is value:
            return held[1]
        name = str(uuid4())
        try:
            seen: Callable[[], Any] = weakref.ref(value, partial(_forget, id(value), name))
        except TypeError:  # kept alive, so that no other object gets its id
            seen = partial(_itself, value)
            _kept.append(id(value))
            while len(_kept) > _KEPT:
                _named.pop(_kept.popleft(), None)
        _named[id(value)] = (seen, name)
        return name


def _forget(number: int, name: str, _: Any) -> None:
    with _lock:
        if _named.get(number, (None, ""))[1] == name:
            del _named[number]


def _itself(value: Any) -> Any:
    return value
