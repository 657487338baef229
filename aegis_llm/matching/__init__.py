"""Deciding by meaning: what may be reused at all, and which question asks the same. Pure."""

from aegis_llm.gates import gate
from aegis_llm.matching.decision import Decision, Verdict
from aegis_llm.matching.matcher import Matcher
from aegis_llm.matching.router import Route, RouteKind, route

__all__ = ["Decision", "Matcher", "Route", "RouteKind", "Verdict", "gate", "route"]
