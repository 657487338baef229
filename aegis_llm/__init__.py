"""Exact and semantic Redis caching for LangChain and LlamaIndex chains that run on Ollama."""

from aegis_llm.batching.state import ModelState, QueueState, queues
from aegis_llm.config import AegisConfig, CacheConfig, SchedulerConfig
from aegis_llm.control import Observation, cache_control, observe
from aegis_llm.errors import (
    AegisError,
    ConfigError,
    EmbeddingError,
    MissingExtraError,
    NotCachedError,
    NotWarmError,
    QueueFullError,
    QueueTimeoutError,
    StoreTrouble,
    TextTooLongError,
)
from aegis_llm.explanation import Explanation, Weighed
from aegis_llm.learning.ledger import Counts, Labels
from aegis_llm.rejecting import areject, reject
from aegis_llm.scheduling import scheduling
from aegis_llm.values import Answer, Entry, Origin

__version__ = "0.1.0"

__all__ = [
    "AegisConfig",
    "AegisError",
    "Answer",
    "CacheConfig",
    "ConfigError",
    "Counts",
    "EmbeddingError",
    "Entry",
    "Explanation",
    "Labels",
    "MissingExtraError",
    "ModelState",
    "NotCachedError",
    "NotWarmError",
    "Observation",
    "Origin",
    "QueueFullError",
    "QueueState",
    "QueueTimeoutError",
    "SchedulerConfig",
    "StoreTrouble",
    "TextTooLongError",
    "Weighed",
    "__version__",
    "areject",
    "cache_control",
    "observe",
    "queues",
    "reject",
    "scheduling",
]
