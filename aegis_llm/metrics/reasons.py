"""The reasons that may stand in a label: a closed list, since a user's router may return any text.

A reason that is not listed is counted as "other": no prompt, and no name of a tenant, can get into
a metric by way of it.
"""

from __future__ import annotations

from typing import Final

from aegis_llm.gates.words import split

OTHER: Final = "other"
VETO: Final = "veto_"
GATES: Final = frozenset(
    split(
        "case code correction dates direction language literals modality names negation numbers"
        " opposites order persons quantifiers question_kind roles tense units words"
    )
)
REASONS: Final = frozenset(
    split(
        "no_entry no_candidate no_question_text context_differs below_threshold below_score"
        " pair_refused entry_distrusted judge_refused judge_failed pairs_starting shadow_hit"
        " drift question_not_separable question_too_long last_message_not_user no_messages"
        " no_text empty_question several_questions sections_overlap extractor_none"
        " extractor_failed extractor_not_found extractor_ambiguous extractor_not_text"
        " route_now route_personal route_follow_up route_action route_creative route_code"
        " route_text route_random router_failed tools_bound tool_message images"
        " identity_not_parsed refresh redis_timeout redis_down redis_auth redis_loading"
        " redis_error redis_slow redis_starting index_starting redis_breaker_open redis_full"
        " embedded_unavailable"
        " redis_readonly redis_no_permission foreign_value index_missing no_query_engine"
        " no_embedder unreadable_entry embedding_timeout embedding_failed embedding_unusable"
        " embedding_breaker_open leader_left leader_failed asked model_unknown invalid_text"
        " uncacheable_request internal_error invalidated done_reason_length done_reason_absent"
        " done_reason_error empty_answer format_not_met unencodable_answer model_error"
        " cancelled given_up not_cached queue_full queue_timeout"
    )
)
FRAMEWORKS: Final = frozenset({"langchain", "llama_index"})
NOT_STORED: Final = "; not stored: "


def reason_label(reason: str) -> str:
    """Return the label of a reason: itself where it is known, without what was not stored."""
    reason = reason.partition(";")[0]
    if not reason or reason in REASONS:
        return reason
    gate = gate_of(reason)
    return f"{VETO}{gate}" if gate else OTHER


def not_stored_label(reason: str) -> str:
    """Return the label of why the answer was not stored; empty where nothing says so."""
    unstored = reason.partition(NOT_STORED)[2]
    return unstored if not unstored or unstored in REASONS else OTHER


def gate_of(reason: str) -> str:
    """Return the gate whose veto a reason is; empty when it is none."""
    if not reason.startswith(VETO):
        return ""
    gate = reason[len(VETO) :].partition(";")[0]
    return gate if gate in GATES else OTHER
