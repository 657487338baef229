"""Handlers that hear of every run at once, in the place where it happens."""

from __future__ import annotations

import sys
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler


class Listener(BaseCallbackHandler):
    """A handler that is called in place, sync or async, and hears no single tokens."""

    @property
    def run_inline(self) -> bool:  # type: ignore[override]
        """Whether to be called in place: always.

        `AsyncCallbackManager.on_llm_start` of langchain-core forgets all other handlers when one
        of them runs inline. To it alone the answer is no, so that nobody misses anything.
        """
        frame: Any = sys._getframe(1)
        if frame.f_code.co_name == "<listcomp>":  # Python 3.11
            frame = frame.f_back
        return bool(frame.f_code.co_name != "on_llm_start")

    @property
    def ignore_custom_event(self) -> bool:
        """Whether to leave out the events of users: yes."""
        return True

    @property
    def ignore_retry(self) -> bool:
        """Whether to leave out retries: yes."""
        return True


def others_listen(run_manager: Any) -> bool:
    """Return whether a handler that is not ours hears of this run."""
    return run_manager is not None and any(
        not isinstance(handler, Listener) for handler in run_manager.handlers
    )
