"""What a model cannot do, refused with Ollama's statuses and texts. Pure."""

from __future__ import annotations

import msgspec

from aegis_llm.testing.models import SimulatedModel, registry_name
from aegis_llm.testing.requests import RefusedError
from aegis_llm.testing.wire import Json

_NO_IMAGES = "Multimodal data provided, but model does not support multimodal requests."
_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the "
    "prompt, adjust the context length in settings, or use a model with a longer context length"
)


def check_prompt(body: Json, model: SimulatedModel, size: int, limit: int) -> None:
    """Refuse what the child process of Ollama refuses, in its words.

    Args:
        body: The request.
        model: The model that is loaded.
        size: Tokens of the prompt.
        limit: Tokens of the context.

    Raises:
        RefusedError: 400 or 500.
    """
    schema = body.get("format")
    if schema not in (None, "", "json") and not isinstance(schema, dict):
        shown = msgspec.json.encode(msgspec.json.encode(schema).decode()).decode()
        text = f'invalid format: {shown}; expected "json" or a valid JSON Schema object'
        raise RefusedError(500, text)
    images = body.get("images") or any(
        message.get("images") for message in body.get("messages") or ()
    )
    if images and not model.can("vision"):
        raise _child_error(_NO_IMAGES, "invalid_request_error")
    if size > limit and body.get("truncate") is False:
        text = (
            f"request ({size} tokens) exceeds the available context size ({limit} tokens), "
            "try increasing it"
        )
        raise _child_error(text, "exceed_context_size_error", n_prompt_tokens=size, n_ctx=limit)
    if size > limit and body.get("shift") is False:
        raise RefusedError(400, _TOO_LONG)


def _child_error(message: str, kind: str, **more: int) -> RefusedError:
    error = {"code": 400, "message": message, "type": kind, **more}
    return RefusedError(400, msgspec.json.encode({"error": error}).decode())


def check_abilities(path: str, body: Json, name: str, model: SimulatedModel) -> None:
    """Refuse what the model cannot do.

    Raises:
        RefusedError: 400.
    """
    chat = path == "/api/chat"
    if body.get("raw") and any(body.get(key) for key in ("template", "system", "context")):
        raise RefusedError(400, "raw mode does not support template, system, or context")
    if body.get("think") and not model.can("thinking"):
        raise RefusedError(400, f'"{body["model"]}" does not support thinking')
    if model.can("embedding") and not model.can("completion"):
        verb = "chat" if chat else "generate"
        raise RefusedError(400, f'"{body["model"]}" does not support {verb}')
    wanted = {"tools": chat and body.get("tools"), "insert": body.get("suffix")}
    for ability, needed in wanted.items():
        if needed and not model.can(ability):
            raise RefusedError(400, f"{registry_name(name)} does not support {ability}")
