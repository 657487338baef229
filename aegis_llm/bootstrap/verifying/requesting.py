"""Sends short requests that show what a server does; see `measure` for what exactly."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from typing import Any

import httpx
import msgspec
import ollama

from aegis_llm.bootstrap.facts import Facts, Loaded
from aegis_llm.bootstrap.probing.server import login_of
from aegis_llm.bootstrap.verifying.asking import SilentError, loaded_at
from aegis_llm.bootstrap.verifying.overlap import (
    Next,
    Span,
    at_once,
    busy_share,
    first_round,
    is_sure,
    next_round,
    slots_of,
)
from aegis_llm.bootstrap.verifying.verdict import Measured, Round
from aegis_llm.config import safe_url
from aegis_llm.config.go_values import FOREVER
from aegis_llm.keys import normal_model

_TIMEOUT_S = 120.0
_CENTURY_S = 3.2e9
_SETTLED_S = 2.0
_LOOK_S = 0.05
_MOMENT_S = 0.001
_OFF_S = 0.3  # Ollama takes a moment from the end of an answer to seeing that it is idle
_PROMPT = "Count from 1 to 1000, one number a line, and nothing else. Begin with {}."

Tell = Callable[[str], None]


def chosen_model(facts: Facts, wanted: str | None = None) -> str | None:
    """Return the model to send requests to: one that is loaded, else the smallest; None: none.

    A model is loaded for it only where none is, so that nobody else's is unloaded.
    """
    if wanted is not None:
        return wanted
    embeds = {normal_model(one.name) for one in facts.models if one.embeds}
    for loaded in facts.loaded:
        if normal_model(loaded.name) not in embeds:
            return loaded.name
    if facts.loaded:
        return None
    able = [one for one in facts.models if not one.embeds]
    return min(able, key=lambda one: one.size or 0).name if able else None


def announced(model: str, most: int, facts: Facts) -> str:
    """Return what `measure` is about to do, for those who may want to stop it."""
    names = [normal_model(one.name) for one in facts.loaded]
    load = "" if normal_model(model) in names else ", which is loaded for it"
    return (
        f"Sends short requests to {model}{load}: three single ones, then up to {most} at a time "
        "in 2 to 6 rounds, of 48 to 384 tokens each. They take the slots from others meanwhile. "
        "A model that others loaded with options of their own is loaded anew without them."
    )


def measure(
    url: str,
    model: str,
    *,
    expected: int,
    most: int,
    reload: bool = False,
    tell: Tell | None = None,
) -> Measured:
    """Ask a model short things and return what that shows; it raises nothing.

    Three single requests tell the load times, the context and how long the model stays. Then
    rounds of overlapping ones tell how many are answered at once.

    Args:
        url: The server.
        model: Its name.
        expected: Slots that are expected.
        most: Requests to send at the same time, at most.
        reload: Whether to unload the model first, so that its load is timed.
        tell: Called with each thing that was done.
    """
    try:
        bare, headers = login_of(url)
        client = ollama.Client(host=bare, headers=headers, timeout=_TIMEOUT_S)
    except (ValueError, httpx.InvalidURL):
        return Measured(model=model, error=f"the address {safe_url(url)} is not usable")
    measuring = _Measuring(client, url, model, tell or (lambda _: None))
    try:
        measuring.single(reload=reload)
        measuring.many(expected, most)
    except SilentError as exc:
        measuring.error = str(exc)
    except (ConnectionError, httpx.HTTPError) as exc:
        measuring.error = f"no answer from {safe_url(url)}: {str(exc) or type(exc).__name__}"
    except ollama.ResponseError as exc:
        measuring.error = f"{safe_url(url)} says: {exc.error[:200]}"
    except (ValueError, TypeError, RecursionError):
        measuring.error = f"what {safe_url(url)} answers is not Ollama's"
    finally:
        client.close()  # type: ignore[no-untyped-call]  # ollama's, untyped
    return measuring.result()


class _Measuring:
    """The requests to one model, and what they have shown so far."""

    def __init__(self, client: ollama.Client, url: str, model: str, tell: Tell) -> None:
        self.error = ""
        self._url = url
        self._client = client
        self._model = model
        self._tell = tell
        self._requests = 0
        self._ended = 0.0
        self._stays: float | None = None
        self._busy = False
        self._rounds: list[Round] = []
        self._seen: dict[str, Any] = {}

    def single(self, *, reload: bool) -> None:
        """Learn from requests one after the other."""
        if reload:
            self._client.generate(self._model, keep_alive=0)
            self._until_unloaded()
        was_loaded = self._loaded() is not None
        first = self._ask(1)
        if not was_loaded:
            self._seen["cold_load_s"] = _load_s(first)
        warm = [_load_s(self._ask(1))]
        before = self._loaded()
        warm.append(_load_s(self._ask(1)))
        known = [one for one in warm if one is not None]
        self._seen["warm_load_s"] = min(known, default=None)
        self._look(before)

    def many(self, expected: int, most: int) -> None:
        """Learn from requests at the same time."""
        following: Next | None = first_round(expected, most)
        while following is not None:
            sent, tokens = following
            with ThreadPoolExecutor(sent) as pool:
                spans = [one for one in pool.map(self._span, [tokens] * sent) if one is not None]
            self._requests += sent
            seen = Round(
                sent=sent, tokens=tokens, at_once=at_once(spans), busy=busy_share(spans)
            )  # fmt: skip
            self._rounds.append(seen)
            self._tell(f"{seen.at_once} of {sent} requests were answered at once")
            following = next_round(self._rounds, most)
            self._busy = self._busy or not self._quiet()

    def result(self) -> Measured:
        """Return what was learned."""
        return Measured(
            model=self._model,
            requests=self._requests,
            rounds=tuple(self._rounds),
            slots=slots_of(self._rounds),
            sure=is_sure(self._rounds) and not self._busy,
            busy=self._busy,
            error=self.error,
            **self._seen,
        )

    def _ask(self, tokens: int) -> Mapping[str, Any]:
        self._requests += 1
        options = {"num_predict": tokens}
        reply = self._client.generate(self._model, _prompt(), options=options, stream=False)
        self._ended = _seconds(reply.created_at) or self._ended
        return dict(reply.model_dump())

    def _span(self, tokens: int) -> Span | None:
        """Return when an answer was written; None: it had no piece."""
        times = []
        options = {"num_predict": tokens}
        stream: Any = self._client.generate(self._model, _prompt(), options=options, stream=True)
        with closing(stream) as parts:
            for part in parts:
                at = _seconds(part.created_at)
                if at is not None and not part.done:
                    times.append(at)
                if at is not None and part.done:
                    self._ended = max(self._ended, at)
        return Span(times[0], times[-1]) if times else None

    def _look(self, before: Loaded | None) -> None:
        """Learn from how the model is loaded now, and was before the last request.

        Ollama tells a new end of its stay when nobody uses it any more. While others do, it is
        not known how long it stays.
        """
        end = time.monotonic() + _SETTLED_S
        while (loaded := self._loaded()) is not None:
            self._seen["context"] = loaded.context or None
            until = _seconds(loaded.expires_at)
            stays = None if until is None else until - self._ended
            ended = None if before is None else _seconds(before.expires_at)
            told = until is not None and (ended is None or until - ended > _MOMENT_S)
            if stays is not None and told:
                self._stays = stays
                self._seen["keep_alive_s"] = FOREVER if stays > _CENTURY_S else max(0.0, stays)
                return
            if time.monotonic() >= end:
                self._busy = True
                return
            time.sleep(_LOOK_S)
        self._stays = 0.0
        self._seen["keep_alive_s"] = 0.0

    def _quiet(self) -> bool:
        """Return whether the stay of the model began anew when our last request ended.

        It does so when the last of all requests ends.
        """
        if self._stays is None:
            return False
        if self._stays == 0.0:
            return True  # it is unloaded each time: there is nothing to be seen
        end = time.monotonic() + _SETTLED_S
        while True:
            loaded = self._loaded()
            until = _seconds(loaded.expires_at) if loaded is not None else None
            if until is None:
                return False
            late = until - self._stays - self._ended
            if late >= -_OFF_S or time.monotonic() >= end:
                return abs(late) <= _OFF_S
            time.sleep(_LOOK_S)

    def _loaded(self) -> Loaded | None:
        wanted = normal_model(self._model)
        found = loaded_at(self._url)
        return next((one for one in found if normal_model(one.name) == wanted), None)

    def _until_unloaded(self) -> None:
        end = time.monotonic() + _TIMEOUT_S
        while self._loaded() is not None and time.monotonic() < end:
            time.sleep(0.1)


def _prompt() -> str:
    # Another beginning each time, so that no slot has read it before.
    return _PROMPT.format(random.randrange(10**6))  # noqa: S311 - no secret


def _load_s(reply: Mapping[str, Any]) -> float | None:
    nanoseconds = reply.get("load_duration")
    return nanoseconds / 1e9 if nanoseconds else None


def _seconds(text: str | None) -> float | None:
    """Return a time in RFC 3339 as seconds since 1970; Go gives it up to nine digits."""
    if not text:
        return None
    try:
        return msgspec.convert(text, datetime).timestamp()
    except (msgspec.ValidationError, ValueError, OverflowError):
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            return None
