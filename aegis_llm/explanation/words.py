"""Reasons in words, for a person."""

from __future__ import annotations

_WORDS = {
    "no_entry": "nothing is stored for it yet",
    "no_candidate": "no entry was made in this very context yet",
    "below_threshold": "the nearest question is not similar enough",
    "below_score": "no stored question is surely the same one",
    "no_question_text": "the nearest entry keeps no text to compare",
    "below_threshold_unscored": "no score can be made, and the nearest is not similar enough",
    "context_differs": "the nearest entries were made from other retrieved chunks",
    "pair_refused": "these two questions were found to be different before",
    "entry_distrusted": "the entry was wrong so often that it answers its own question only",
    "judge_would_decide": "a judge would be asked whether a stored question is the same",
    "pairs_starting": "what other processes learnt was not read in time",
    "shadow_hit": "shadow mode only records what would have been served",
    "drift": "too many checked hits were wrong: exact repeats only until this is over",
    "invalidated": "everything was invalidated meanwhile",
    "not_rehearsed": "whether it hits depends on a part that is not asked for an explanation",
    "refresh": "a new answer was asked for (refresh=True)",
    "asked": "cache_control(bypass=True)",
    "model_unknown": "Ollama does not list the model, or does not answer: no digest",
    "invalid_text": "the request holds characters that are no text (lone surrogates)",
    "uncacheable_request": "the request has no canonical form",
    "model_unnamed": "the model has no name in its identity; use ChatAegis or cache.bind(llm)",
    "chat_aegis": "ChatAegis caches for itself; ask its explain()",
    "internal_error": "the cache failed; the log has the traceback",
    "no_embeddings": "no embedding model was given (or store_prompts=False): exact repeats only",
    "no_score": "this embedder was never calibrated, or the calibration is of another one",
    "no_query_engine": "this Redis has no Query Engine: exact repeats only",
    "index_missing": "no index of this embedder in this namespace yet; a request makes it",
    "question_not_separable": "the question cannot be told from its context",
    "question_too_long": "the question is longer than the embedder reads",
    "empty_question": "there is no question",
    "last_message_not_user": "the last message is not the user's",
    "no_messages": "there is no message",
    "no_text": "the last message has no text",
    "tools_bound": "tools are bound: exact repeats only",
    "tool_message": "tools have run: exact repeats only",
    "images": "there are images: exact repeats only",
    "identity_not_parsed": "the identity of the model could not be read: exact repeats only",
    "unreadable_entry": "what is stored is no entry, and would be deleted",
    "route_now": "the answer depends on when it is asked",
    "route_personal": "the answer depends on who asks",
    "route_follow_up": "it leans on what was said before",
    "route_action": "it asks to do something",
    "route_creative": "it asks for something new",
    "route_random": "it asks for chance",
    "route_code": "it asks about code",
    "route_text": "it asks to work on a text",
    "router_failed": "your router gave no route",
    "redis_down": "Redis does not answer",
    "redis_timeout": "Redis does not answer in time",
    "redis_auth": "Redis refuses the password",
    "redis_loading": "Redis is loading its data",
    "redis_breaker_open": "Redis failed three times in a row and is left alone for a while",
    "redis_starting": "Redis was not reached in time",
    "embedded_unavailable": "no private Redis can be started here",
    "redis_no_permission": "the user of Redis may not do that",
    "embedding_timeout": "the embedding model took too long",
    "embedding_failed": "the embedding model failed",
    "embedding_unusable": "the embedding model gave no usable vector",
    "embedding_breaker_open": "the embedding model failed three times in a row",
    "veto_language": "another language or script",
    "veto_code": "other symbols or code",
    "veto_literals": "another identifier, path, address or quotation",
    "veto_correction": "one of them takes something back",
    "veto_dates": "another day, month or time",
    "veto_roles": "who does it and to whom is turned round",
    "veto_units": "other units",
    "veto_numbers": "other numbers",
    "veto_negation": "one of them negates",
    "veto_opposites": "an opposite",
    "veto_direction": "another direction, or other roles",
    "veto_quantifiers": "another amount (all, some, only, ...)",
    "veto_modality": "must is not may",
    "veto_tense": "another time",
    "veto_persons": "other persons",
    "veto_question_kind": "another kind of question",
    "veto_words": "words with no counterpart",
    "veto_names": "another name",
    "veto_case": "a word that is a name in one of them",
    "veto_order": "the same words in another order",
}


def in_words(reason: str) -> str:
    """Return what a reason means; a reason without words of its own is spelled out."""
    return _WORDS.get(reason) or reason.removeprefix("veto_").replace("_", " ")


def shown(text: str, width: int = 160) -> str:
    """Return a text fit for one line of a terminal: short, printable, without lone surrogates."""
    line = printable(" ".join(text[: 4 * width].split()))
    return line if len(line) <= width and len(text) <= 4 * width else line[: width - 1] + "…"


def printable(text: str) -> str:
    """Return a text that tells a terminal nothing but its characters and ends of lines."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def ago(seconds: float) -> str:
    """Return a length of time in one number and its unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
