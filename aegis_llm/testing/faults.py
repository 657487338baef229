"""Faults that a test scripts into the simulated server."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["status", "midstream_error", "no_done", "reset", "hang", "empty"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One planned misbehaviour.

    Attributes:
        kind: What happens.
        path: The route it waits for; None: any route that does work (chat, generate, embed).
            Those that only tell something (tags, ps, version, show) know `status` and `reset`.
        after: Lines of the stream that go out before it happens.
        status: HTTP status, for `status`.
        body: JSON object, or text, of the answer, for `status`.
        text: Error text, for `midstream_error`.
    """

    kind: Kind
    path: str | None = None
    after: int = 1
    status: int = 500
    body: Mapping[str, Any] | str = ""
    text: str = ""


class Faults:
    """The faults that the next requests meet, first planned first met. Safe between threads."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self._lock = threading.Lock()
        self._released = threading.Event()

    def status(
        self,
        status: int,
        body: Mapping[str, Any] | str = "",
        *,
        n: int = 1,
        path: str | None = None,
    ) -> None:
        """Answer the next `n` requests with an HTTP status and a JSON object or plain text."""
        self._plan(Fault(kind="status", status=status, body=body, path=path), n)

    def midstream_error(
        self, text: str, *, after: int = 1, n: int = 1, path: str | None = None
    ) -> None:
        """End the stream with `{"error": text}` after `after` lines (not streaming: 500)."""
        self._plan(Fault(kind="midstream_error", text=text, after=after, path=path), n)

    def no_done(self, *, after: int = 1, n: int = 1, path: str | None = None) -> None:
        """Let the stream end after `after` lines without a `done` line."""
        self._plan(Fault(kind="no_done", after=after, path=path), n)

    def reset(self, *, after: int = 1, n: int = 1, path: str | None = None) -> None:
        """Reset the connection after `after` lines (not streaming: instead of the answer)."""
        self._plan(Fault(kind="reset", after=after, path=path), n)

    def hang(self, *, after: int = 0, n: int = 1, path: str | None = None) -> None:
        """Stop after `after` lines until `release()`, then go on as if nothing had happened."""
        self._released.clear()
        self._plan(Fault(kind="hang", after=after, path=path), n)

    def empty(self, *, n: int = 1, path: str | None = None) -> None:
        """Answer with no text at all; every other field stays."""
        self._plan(Fault(kind="empty", path=path), n)

    def release(self) -> None:
        """Let every request go on that hangs."""
        self._released.set()

    def clear(self) -> None:
        """Forget the faults not met yet and release what hangs."""
        with self._lock:
            self._planned.clear()
        self.release()

    @property
    def pending(self) -> int:
        """Number of faults not met yet."""
        return len(self._planned)

    @property
    def released(self) -> threading.Event:
        """Set while nothing has to hang."""
        return self._released

    def take(self, path: str, *, works: bool = True) -> Fault | None:
        """Remove and return the first fault planned for a request to `path`."""
        with self._lock:
            for place, fault in enumerate(self._planned):
                if fault.path == path or (works and fault.path is None):
                    return self._planned.pop(place)
        return None

    def _plan(self, fault: Fault, n: int) -> None:
        with self._lock:
            self._planned += [fault] * n
