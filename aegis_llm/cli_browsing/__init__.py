"""The commands around `aegis_llm.browsing`: looking at what is cached, live and at rest."""

from __future__ import annotations

import typer

from aegis_llm.cli_browsing.cache import add_to as add_cache
from aegis_llm.cli_browsing.top import top
from aegis_llm.cli_browsing.ui import ui


def add_to(app: typer.Typer) -> None:
    """Add `cache`, `top` and `ui`."""
    add_cache(app)
    app.command()(top)
    app.command()(ui)
