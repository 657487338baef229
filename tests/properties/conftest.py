"""Hypothesis without a time limit per example: no test asserts time."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("aegis", deadline=None, print_blob=True)
settings.load_profile("aegis")
