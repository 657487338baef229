"""Puts the pages together behind their guard."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from aegis_llm.browsing import Browser
from aegis_llm.browsing.overview import Overview
from aegis_llm.ui.access import Access
from aegis_llm.ui.guard import Guard
from aegis_llm.ui.pages import Pages, moved
from aegis_llm.ui.trying import Trying

_STATIC = Path(__file__).parent / "static"


def application(
    browser: Browser, overview: Overview, trying: Trying, access: Access, port: int
) -> ASGIApp:
    """Return what answers on a port of this machine."""
    pages = Pages(browser, overview, trying, access)
    routes = [
        Route("/", pages.get(pages.overview)),
        Route("/enter", moved),
        Route("/entries", pages.get(pages.entries)),
        Route("/entries/{entry_id}", pages.get(pages.entry)),
        Route("/entries/{entry_id}/reject", pages.post(pages.reject), methods=["POST"]),
        Route("/invalidate", pages.post(pages.invalidate), methods=["POST"]),
        Route("/why", pages.get(pages.why), methods=["GET"]),
        Route("/why", pages.post(pages.explain), methods=["POST"]),
        Route("/try", pages.get(pages.try_two), methods=["GET"]),
        Route("/try", pages.post(pages.tried), methods=["POST"]),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    return Guard(Starlette(routes=routes), access, port)
