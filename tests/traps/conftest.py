"""The parts of the LangChain tests, for traps that are asked through a model."""

from __future__ import annotations

from tests.langchain.conftest import *  # noqa: F403
