"""Namespaces with entries in them, on the session's Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from aegis_llm.browsing import Browser
from aegis_llm.config import AegisConfig


@pytest.fixture
def open_namespace(redis_url: str, namespace: str) -> Iterator[Callable[..., Browser]]:
    """Opens a namespace, by default the test's own; all are closed after the test."""
    made: list[Browser] = []

    def opened(name: str = namespace, url: str = redis_url) -> Browser:
        made.append(Browser(AegisConfig().with_options(redis_url=url, namespace=name)))
        return made[-1]

    yield opened
    for browser in made:
        browser.close()


@pytest.fixture
def browser(open_namespace: Callable[..., Browser]) -> Browser:
    """The test's own namespace."""
    return open_namespace()
