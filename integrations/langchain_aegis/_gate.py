"""A gate that lets the calls of one batch go: few at first, all when it is known how many fit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

from langchain_core.runnables.config import ContextThreadPoolExecutor

MOST_THREADS = 256


class Gate:
    """Each call is made inside `with gate`; a call that ends lets two others go.

    Args:
        first: How many go at first.
        count: How many calls there are.
        is_known: Says whether all may go; asked at first, and whenever a call ends.
    """

    def __init__(self, first: int, count: int, is_known: Callable[[], bool]) -> None:
        self._count = count
        self._is_known = is_known
        self._closed = False
        self._open = is_known()
        self._places = threading.Semaphore(count if self._open else first)

    def __enter__(self) -> None:
        self._places.acquire()
        if self._closed:
            raise CancelledError

    def __exit__(self, *failure: object) -> None:
        self._places.release(2)
        if not self._open and self._is_known():
            self._open = True
            self._places.release(self._count)

    @contextmanager
    def executor(self) -> Iterator[ContextThreadPoolExecutor]:
        """Have the threads of the calls; when the block fails, those that wait make none."""
        with ContextThreadPoolExecutor(max_workers=min(self._count, MOST_THREADS)) as executor:
            try:
                yield executor
            except BaseException:
                self._closed = True
                self._places.release(self._count)
                raise
