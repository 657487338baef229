"""How many tokens LlamaIndex may pack into a prompt when `context_window` is not set.

No `num_ctx` is sent then, so a prompt has the room that Ollama gives by default: the `num_ctx` of
the model's Modelfile, else a default of the server that no interface tells, 4096 on a small
machine. Packing more would make Ollama cut the prompt. So the answer is the Modelfile's value,
else LlamaIndex's own default (3900), and never more than the model was trained for.

`/api/show` is asked at most once for a model in the life of a process, and only by who reads
`metadata.context_window` (query and chat engines do); where an event loop runs it is asked in the
background, and the default holds until the answer is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW

from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.pool import DaemonPool

_WAIT_S = 1.0
_RETRY_S = 60.0
_NUM_CTX = re.compile(r"^\s*num_ctx\s+(\d+)\s*$", re.MULTILINE)


class Windows:
    """The windows of models by (server, model), for a whole process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = DaemonPool("aegis-show", 1)
        self._known: dict[tuple[str, str], int] = {}
        self._asking: dict[tuple[str, str], Future[Any]] = {}
        self._again: dict[tuple[str, str], float] = {}
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew and ask again what the parent was asking, for a forked child."""
        self._lock = threading.Lock()
        self._asking = {}

    def known(self, key: tuple[str, str]) -> int:
        """Return the window as far as it is known, without asking."""
        return self._known.get(key, DEFAULT_CONTEXT_WINDOW)

    def get(self, key: tuple[str, str], show: Callable[[], Any]) -> int:
        """Return the window; ask for it once, and wait a second at most, never in a loop."""
        if key not in self._known:
            asking = self._ask(key, show)
            if asking is not None and not _in_a_loop():
                with contextlib.suppress(FutureTimeoutError):
                    asking.result(_WAIT_S)
        return self.known(key)

    def forget(self) -> None:
        """Forget everything, as a new process would; for tests."""
        with self._lock:
            self._known.clear()
            self._asking.clear()
            self._again.clear()

    def _ask(self, key: tuple[str, str], show: Callable[[], Any]) -> Future[Any] | None:
        with self._lock:
            if key not in self._asking and time.monotonic() >= self._again.get(key, 0.0):
                self._asking[key] = self._pool.submit(self._fetch, key, show)
            return self._asking.get(key)

    def _fetch(self, key: tuple[str, str], show: Callable[[], Any]) -> None:
        try:
            window = usable_window(show())
        except Exception:  # noqa: BLE001 - Ollama cannot be asked now
            with self._lock:
                self._again[key] = time.monotonic() + _RETRY_S
                self._asking.pop(key, None)
        else:
            self._known[key] = window


windows = Windows()


def usable_window(shown: Any) -> int:
    """Return the window that a `/api/show` answer tells."""
    trained = next(
        (int(v) for k, v in (shown.modelinfo or {}).items() if k.endswith("context_length")), None
    )
    told = _NUM_CTX.search(shown.parameters or "")
    window = int(told[1]) if told else DEFAULT_CONTEXT_WINDOW
    return min(window, trained) if trained else window


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
