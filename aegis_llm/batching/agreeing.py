"""Runner options: what a model is loaded with, so that no caller makes the server load it anew.

Ollama loads a model again, for seconds, when a request has other runner options than it is loaded
with. Two callers with different ones make it do so back and forth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aegis_llm.values import RUNNER_OPTIONS

_USUAL_OUTPUT = 1024
_FULL = 0.95  # share of a context from which on an answer may have been cut by it


@dataclass(frozen=True, slots=True)
class Settled:
    """The options to send, and what was changed: name -> (asked for, given)."""

    options: dict[str, Any]
    changed: Mapping[str, tuple[Any, Any]]


class SharedOptions(dict[str, Any]):
    """Options with the runner options of others in place of `own`."""

    def __init__(self, options: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.own = own

    def filled(self, tokens: int) -> bool:
        """Return whether prompt and answer took up the context, which may have cut them."""
        context = self.get("num_ctx")
        own = self.own.get("num_ctx")
        if context is None or (own is not None and own <= context):
            return False
        return bool(tokens >= _FULL * context)


class Agreed:
    """The runner options that the callers of one model share."""

    def __init__(self) -> None:
        self._given: dict[str, Any] | None = None
        self._proven: dict[str, Any] | None = None

    def alike(self, options: Mapping[str, Any]) -> bool:
        """Return whether these are the runner options of the others: nothing is to be settled."""
        return _runner(options) == self._given

    def settle(
        self,
        options: Mapping[str, Any],
        size: int,
        *,
        insist: bool = False,
        rehearsed: bool = False,
    ) -> Settled:
        """Return the options of a request with the runner options that the model is loaded with.

        A caller that insists, or whose prompt of `size` bytes might not fit into the context of
        the others, keeps its own, which are those of all that come after. No token is less than a
        byte, so a prompt is never cut for it; an answer without limit does not fit, and one that
        says none is taken to have 1,024 tokens at most, which is looked at when it is there.
        """
        asked = _runner(options)
        given = self._given
        if given is None or asked == given or insist or not _fits(given, options, size):
            if not rehearsed and _usable(asked):
                self._given = asked
            return Settled(dict(options), {})
        kept = {name: value for name, value in options.items() if name not in RUNNER_OPTIONS}
        changed = {
            name: (asked.get(name), given.get(name))
            for name in RUNNER_OPTIONS
            if asked.get(name) != given.get(name)
        }
        return Settled(SharedOptions({**kept, **given}, options), changed)

    def outgrown(self, options: SharedOptions) -> None:
        """Note that an answer filled the context: its caller's own is the one from now on."""
        if _runner(options) == self._given:
            self._given = _runner(options.own)

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
    return {name: options[name] for name in RUNNER_OPTIONS if options.get(name) is not None}


def _usable(runner: Mapping[str, Any]) -> bool:
    """Return whether the server takes these at all; else its error is for their caller alone."""
    return all(isinstance(value, int | float) for value in runner.values())


def _fits(given: Mapping[str, Any], options: Mapping[str, Any], size: int) -> bool:
    """Return whether a prompt and its answer fit into the context that the others have.

    That of the server's default is not known.
    """
    context, asked = given.get("num_ctx"), options.get("num_ctx")
    if asked is not None and not isinstance(asked, int | float):
        return False
    if context is None:
        return asked is None
    if asked and asked <= context:
        return True
    most = options.get("num_predict")
    if most is None:
        most = _USUAL_OUTPUT
    unlimited = not isinstance(most, int) or most <= 0
    fits: bool = not unlimited and size + most <= context
    return fits
