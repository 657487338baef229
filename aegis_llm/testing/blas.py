"""Keep NumPy's BLAS on one thread while small matrices are multiplied.

On a busy machine the threads of OpenBLAS wait for each other at every product: a question then
takes 300 ms instead of 10.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

_MODULES = ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath")
_PREFIXES = ("scipy_openblas", "openblas")
_SUFFIXES = ("64_", "")
_lock = threading.Lock()
_users = 0
_before = 1


@cache
def _controls() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Find the calls that read and set the number of threads; None: another BLAS."""
    loaded = next((sys.modules[name] for name in _MODULES if name in sys.modules), np)
    try:
        library = ctypes.CDLL(loaded.__file__)
    except OSError:
        return None
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            try:
                get = getattr(library, f"{prefix}_get_num_threads{suffix}")
                put = getattr(library, f"{prefix}_set_num_threads{suffix}")
            except AttributeError:
                continue
            get.restype, put.restype = ctypes.c_int, None
            return get, put
    return None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold OpenBLAS at one thread inside the block; the last one out restores the number."""
    global _users, _before  # noqa: PLW0603  (the setting itself belongs to the process)
    controls = _controls()
    if controls is None:
        yield
        return
    get, put = controls
    with _lock:
        if _users == 0:
            _before = get()
            put(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                put(_before)
