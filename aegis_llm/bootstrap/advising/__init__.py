"""Advises settings of an Ollama server for a machine and a workload, with reasons. Pure."""

from __future__ import annotations

from aegis_llm.bootstrap.advising.deciding import advise
from aegis_llm.bootstrap.advising.preset import study_2025
from aegis_llm.bootstrap.advising.shipped import PROFILES, profile
from aegis_llm.bootstrap.advising.traced import workload_of_trace

__all__ = ["PROFILES", "advise", "profile", "study_2025", "workload_of_trace"]
