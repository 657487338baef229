"""The course of one request, as generators of effects that do no I/O themselves.

Order: local copy, exact tier, route of the question, single-flight, local copy again, embedding,
nearest entries of the scope, matching, else a miss. `open_plan` ends with a hit or a miss,
`close_plan` stores what the model answered. Whatever goes wrong with the cache is a miss with a
reason.
"""

from aegis_llm.plan.closing import close_plan
from aegis_llm.plan.effects import (
    INVALIDATED,
    UNREADABLE,
    Digest,
    Drop,
    DropLocal,
    Embed,
    GetExact,
    GetLocal,
    Join,
    Judge,
    KeepLocal,
    Match,
    Nearest,
    Opened,
    Plan,
    Put,
    Recall,
    Rules,
    Seat,
    SemanticRecord,
    Settle,
    State,
    Survey,
    Ticket,
)
from aegis_llm.plan.explaining import explain_plan
from aegis_llm.plan.opening import open_plan

__all__ = [
    "INVALIDATED",
    "UNREADABLE",
    "Digest",
    "Drop",
    "DropLocal",
    "Embed",
    "GetExact",
    "GetLocal",
    "Join",
    "Judge",
    "KeepLocal",
    "Match",
    "Nearest",
    "Opened",
    "Plan",
    "Put",
    "Recall",
    "Rules",
    "Seat",
    "SemanticRecord",
    "Settle",
    "State",
    "Survey",
    "Ticket",
    "close_plan",
    "explain_plan",
    "open_plan",
]
