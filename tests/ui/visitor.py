"""A person with the page open: reads it, and sends its forms as a browser would."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx


class Visitor:
    """Wraps a client that has the cookie."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def read(self, path: str, status: int = 200) -> str:
        """Return the source of a page."""
        reply = self.client.get(path)
        assert reply.status_code == status, reply.text
        return reply.text

    def seen(self, path: str, status: int = 200) -> str:
        """Return what a person reads on a page."""
        return text_of(self.read(path, status))

    def token(self) -> str:
        """Return what the page's forms carry."""
        found = re.search(r'name="form_token" value="(\w+)"', self.read("/try"))
        assert found
        return found[1]

    def send(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form of the page."""
        return self.client.post(path, data={"form_token": self.token(), **fields})

    def sent(self, path: str, **fields: Any) -> str:
        """Send a form, and return what a person reads then."""
        reply = self.send(path, **fields)
        assert reply.status_code == 200, reply.text
        return text_of(reply.text)


def text_of(source: str) -> str:
    """Return the text of a page, without its elements."""
    body = source.partition("<main")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", "<main" + body)).split())
