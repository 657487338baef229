"""Responses of query engines to answers and back: a closed set of fields. Pure."""

from __future__ import annotations

import json
from typing import Any

from llama_index.core.base.response.schema import Response
from llama_index.core.schema import (
    Document,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)

from aegis_llm.values import Answer

_KEPT = (
    "metadata", "excluded_embed_metadata_keys", "excluded_llm_metadata_keys",
    "start_char_idx", "end_char_idx", "text_template", "metadata_template",
)  # fmt: skip


class UnstorableError(ValueError):
    """A response holds something that would not come back as it was."""


def answer_of(response: Response, reason: str, tokens: tuple[int, int]) -> Answer:
    """Return the answer to store.

    Raises:
        UnstorableError: A part of the response would not come back as it was.
    """
    told = {
        "nodes": [_told(one) for one in response.source_nodes],
        "metadata": response.metadata,
    }
    try:
        same = json.loads(json.dumps(told, allow_nan=False)) == told
    except (TypeError, ValueError, RecursionError) as exc:
        raise UnstorableError(str(exc)) from exc
    if not same:
        raise UnstorableError("its metadata would not come back from JSON as it was")
    return Answer(
        text=response.response or "",
        done_reason=reason or None,
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
        info=told,
    )


def response_of(answer: Answer) -> Response:
    """Return the response anew.

    Raises:
        ValueError: It was not written by `answer_of` (or TypeError, KeyError).
    """
    told = answer.info or {}
    metadata = told["metadata"]
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError("metadata of an unknown kind")
    return Response(answer.text, [_node(*one) for one in told["nodes"]], metadata)


def _told(scored: NodeWithScore) -> list[Any]:
    node = scored.node
    if type(node) not in (TextNode, Document):
        msg = f"a source node that is a {type(node).__name__}"
        raise UnstorableError(msg)
    given: Any = node
    kept = {name: getattr(given, name) for name in _KEPT}
    score = None if scored.score is None else float(scored.score)
    return [type(node) is Document, given.text, node.node_id, node.ref_doc_id, score, kept]


def _node(
    document: bool, text: str, own: str, of: str | None, score: float | None, kept: dict[str, Any]
) -> NodeWithScore:
    fields = {name: kept[name] for name in _KEPT if kept.get(name) is not None}
    node = (Document if document else TextNode)(text=text, id_=own, **fields)
    if of is not None:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=of)
    return NodeWithScore(node=node, score=score)
