"""Writes the advised environment where Ollama's service reads it, and takes it back."""

from aegis_llm.bootstrap.applying.acting import apply, revert
from aegis_llm.bootstrap.applying.change import Applied, Change
from aegis_llm.bootstrap.applying.planning import plan_change, plan_revert

__all__ = ["Applied", "Change", "apply", "plan_change", "plan_revert", "revert"]
