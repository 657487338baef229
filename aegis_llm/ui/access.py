"""Who may see the page: a token that works once, a cookie after it, and a token for each form.

A browser sends the cookies of a host to all of its ports: to whatever else listens on this
machine, another user's program among it. So all pages lie under a path that only this page knows,
and the cookie is of that path.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading


class Access:
    """The secrets of one run of the page; they end with it."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.place = f"/{secrets.token_hex(16)}"
        self._session = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._entered = False

    def enter(self, token: str) -> str | None:
        """Return the session for the right token, the first time; None: it is wrong or used."""
        with self._lock:
            if self._entered or not _same(token, self.token):
                return None
            self._entered = True
            return self._session

    def knows(self, session: str) -> bool:
        """Return whether a cookie is the session's."""
        return _same(session, self._session)

    @property
    def form_token(self) -> str:
        """What every form carries: a page of another origin cannot read it."""
        return hmac.new(self._session.encode(), b"aegis-form", hashlib.sha256).hexdigest()

    def allows(self, form_token: str) -> bool:
        """Return whether a form carried it."""
        return _same(form_token, self.form_token)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
