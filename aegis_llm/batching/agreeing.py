"""Runner options: what a model is loaded with, so that no caller makes the server load it anew.

Ollama loads a model again, for seconds, when a request has other runner options than it is loaded
with. Two callers with different ones make it do so back and forth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RUNNER = (
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict",
)  # fmt: skip
"""The options that a model is loaded with."""

_BYTES_A_TOKEN = 3.0  # on the safe side: a prompt that is cut gives a wrong answer
_USUAL_OUTPUT = 1024
_SMALLEST_DEFAULT = 4096  # the context that a server gives where nobody says one


@dataclass(frozen=True, slots=True)
class Settled:
    """The options to send, and what was changed: name -> (asked for, given)."""

    options: dict[str, Any]
    changed: Mapping[str, tuple[Any, Any]]


class Agreed:
    """The runner options that the callers of one model share."""

    def __init__(self) -> None:
        self._given: dict[str, Any] | None = None
        self._proven: dict[str, Any] | None = None

    def settle(
        self,
        options: Mapping[str, Any],
        size: int,
        *,
        insist: bool = False,
        rehearsed: bool = False,
    ) -> Settled:
        """Return the options of a request with the runner options that the model is loaded with.

        A caller that insists, or whose prompt of `size` bytes does not fit into the context of
        the others, keeps its own, which are those of all that come after.
        """
        asked = _runner(options)
        given = self._given
        if given is None or asked == given or insist or not _fits(given, options, size):
            if not rehearsed and _usable(asked):
                self._given = asked
            return Settled(dict(options), {})
        kept = {name: value for name, value in options.items() if name not in RUNNER}
        changed = {
            name: (asked.get(name), given.get(name))
            for name in RUNNER
            if asked.get(name) != given.get(name)
        }
        return Settled({**kept, **given}, changed)

    def worked(self, options: Mapping[str, Any]) -> None:
        """Note that the server answered a request that was sent with these options."""
        sent = _runner(options)
        if sent == self._given:
            self._proven = sent

    def failed(self, options: Mapping[str, Any]) -> None:
        """Note that the server failed a request with these options; others get them no more.

        It may be for them: too little memory for that context. Those that worked hold again.
        """
        if _runner(options) == self._given:
            self._given = self._proven


def _runner(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the runner options among these."""
    return {name: options[name] for name in RUNNER if options.get(name) is not None}


def _usable(runner: Mapping[str, Any]) -> bool:
    """Return whether the server takes these at all; else its error is for their caller alone."""
    return all(isinstance(value, int | float) for value in runner.values())


def _fits(given: Mapping[str, Any], options: Mapping[str, Any], size: int) -> bool:
    """Return whether a prompt and its answer fit into the context that the others have."""
    context = given.get("num_ctx") or _SMALLEST_DEFAULT
    asked = options.get("num_ctx")
    if asked is not None and not isinstance(asked, int | float):
        return False
    if asked and asked <= context and "num_ctx" in given:
        return True
    most = options.get("num_predict")
    output = most if isinstance(most, int) and most > 0 else _USUAL_OUTPUT
    fits: bool = size / _BYTES_A_TOKEN + output <= context
    return fits
