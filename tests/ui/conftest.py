"""The page, served on a port of this machine, with the session's Redis behind it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from aegis_llm.browsing import Browser
from aegis_llm.browsing.endpoint import Source, here
from aegis_llm.cli_parts import OllamaEmbedder
from aegis_llm.config import AegisConfig
from aegis_llm.testing import OllamaSimulator
from aegis_llm.ui.serving import Page
from aegis_llm.ui.trying import Trying
from tests.redis_server import RedisServer
from tests.ui.visitor import Visitor

Serve = Callable[..., Page]


@pytest.fixture
def namespace() -> str:
    """One for all: Redis is emptied after each test."""
    return "ui-pages"


@pytest.fixture(scope="module")
def serve(redis_server: RedisServer, _simulator: OllamaSimulator) -> Iterator[Serve]:
    """Serves a page until the module's tests are over."""
    with contextlib.ExitStack() as ends:

        def served(
            url: str = redis_server.url,
            source: Source = here,
            port: int = 0,
            embedding_id: str | None = None,
        ) -> Page:
            config = AegisConfig().with_options(redis_url=url, namespace="ui-pages")
            browser = Browser(config)
            ends.callback(browser.close)
            named = {"embedding_id": embedding_id}
            embedder = OllamaEmbedder("all-minilm", _simulator.base_url, **named)
            ends.enter_context(embedder)
            trying = Trying(config, embedder)
            ends.callback(trying.close)
            page = Page(browser, source, trying, port)
            thread = threading.Thread(target=page.run)
            thread.start()
            ends.callback(thread.join)
            ends.callback(page.stop)
            return page

        yield served


@pytest.fixture(scope="module")
def _entered(serve: Serve) -> tuple[Page, httpx.Cookies]:
    """A page, and the cookie of who opened its link."""
    page = serve()
    with httpx.Client() as client:
        assert client.get(page.url).status_code == 303
        return page, client.cookies


@pytest.fixture
def page(_entered: tuple[Page, httpx.Cookies], redis_url: str, ollama: Any) -> Page:
    """The page, over an empty Redis, with nothing counted yet."""
    page = _entered[0]
    page.overview.stocktaking.wait(10)
    page.overview.stocktaking.outdated()
    return page


@pytest.fixture
def visitor(page: Page, _entered: tuple[Page, httpx.Cookies]) -> Iterator[Visitor]:
    """Someone who opened the printed link."""
    with httpx.Client(base_url=page.base, cookies=_entered[1], follow_redirects=True) as client:
        yield Visitor(client)


@pytest.fixture
def stranger(page: Page) -> Iterator[httpx.Client]:
    """Someone who did not."""
    with httpx.Client(base_url=page.base) as client:
        yield client
