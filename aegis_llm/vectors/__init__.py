"""The course of one call to embed, and of one batch of them: generators that do no I/O."""

from aegis_llm.vectors.batch import batch_plan
from aegis_llm.vectors.effects import (
    Ask,
    Claim,
    Cut,
    Digest,
    GetVectors,
    KeepVectors,
    Outcome,
    PutVectors,
    Send,
    Texts,
    TooLong,
    VectorRules,
    Wait,
)
from aegis_llm.vectors.plan import embed_plan

__all__ = [
    "Ask",
    "Claim",
    "Cut",
    "Digest",
    "GetVectors",
    "KeepVectors",
    "Outcome",
    "PutVectors",
    "Send",
    "Texts",
    "TooLong",
    "VectorRules",
    "Wait",
    "batch_plan",
    "embed_plan",
]
