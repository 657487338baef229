"""Makes an Ollama and a Redis ready for the traffic: nothing loads at the first request."""

from aegis_llm.bootstrap.warming.traffic import Cache, Server, Traffic, Warmable
from aegis_llm.bootstrap.warming.values import (
    Warmed,
    WarmedModel,
    WarmedPrefix,
    WarmedRedis,
    WarmedServer,
)
from aegis_llm.bootstrap.warming.warmup import abootstrap, bootstrap

__all__ = [
    "Cache",
    "Server",
    "Traffic",
    "Warmable",
    "Warmed",
    "WarmedModel",
    "WarmedPrefix",
    "WarmedRedis",
    "WarmedServer",
    "abootstrap",
    "bootstrap",
]
