"""The figures of a process that serves: from its metrics endpoint or, if it is this one, here."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from aegis_llm.browsing.figures import Figures, figures_of, figures_of_snapshot
from aegis_llm.config import safe_url
from aegis_llm.errors import AegisError, ConfigError
from aegis_llm.explanation.words import shown
from aegis_llm.metrics import snapshot

_TIMEOUT_S = 2.0
_WHOLE_S = 4.0
_MOST_BYTES = 4 * 1024 * 1024
Source = Callable[[], Figures | None]


class NoFiguresError(AegisError):
    """The metrics endpoint does not answer, or not with metrics."""


def endpoint(url: str) -> Source:
    """Return what reads a metrics endpoint, anew at each call.

    What it returns raises `NoFiguresError` with a sentence when the endpoint does not answer.

    Raises:
        ConfigError: The URL is none.
    """
    try:
        usable = urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        usable = False
    if not usable:
        msg = f"{safe_url(url)!r} is no metrics endpoint; write http://HOST:PORT/metrics"
        raise ConfigError(msg)

    secret = urlsplit(url).scheme == "https"  # else no certificates are read for nothing

    def read() -> Figures:
        try:
            with (
                httpx.Client(timeout=_TIMEOUT_S, trust_env=False, verify=secret) as client,
                client.stream("GET", url) as reply,
            ):
                if reply.status_code != httpx.codes.OK:
                    msg = f"no metrics at {safe_url(url)}: it answers {reply.status_code}"
                    raise NoFiguresError(msg)
                ends, body = time.monotonic() + _WHOLE_S, b""
                for some in reply.iter_bytes():
                    body += some
                    if len(body) > _MOST_BYTES or time.monotonic() > ends:
                        break
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            told = shown(str(exc) or type(exc).__name__)
            msg = f"no metrics at {safe_url(url)}: {told}"
            raise NoFiguresError(msg) from exc
        found = figures_of(body.decode("utf-8", "replace"))
        if found == Figures():
            msg = f"what {safe_url(url)} shows holds no metrics of aegis-llm"
            raise NoFiguresError(msg)
        return found

    return read


def here() -> Figures | None:
    """Return the figures of this process; None: nothing was asked in it."""
    found = figures_of_snapshot(snapshot())
    return found if found.outcomes else None
