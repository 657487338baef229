"""What the simulated model says to a chat or generate request. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import msgspec

from aegis_llm.testing import answers, filling
from aegis_llm.testing.models import SimulatedModel
from aegis_llm.testing.reading import Reading, read
from aegis_llm.testing.wire import Json, Piece, tool_call
from aegis_llm.testing.words import tokens

_IMAGE_TOKENS = 256
_ALTERNATIVES = (" the", " a", ".", " and", " of", " to", " is", " in", ",", " it")


@dataclass(frozen=True)
class Prompt:
    """A request in the form the model sees.

    Attributes:
        messages: The chat, with the model's own system text in front where none is given.
        tokens: Pieces of the whole prompt, tools and template marks included.
        stop: Texts at which the answer ends.
        budget: Most tokens of the answer; negative: no limit.
    """

    messages: tuple[Json, ...]
    tokens: tuple[str, ...]
    stop: tuple[str, ...]
    budget: int
    tools: tuple[Json, ...] = ()
    schema: Any = None
    think: bool = False
    logprobs: bool = False
    top_logprobs: int = 0


@dataclass(frozen=True)
class Answer:
    """What the model says: the pieces in the order they are streamed."""

    pieces: tuple[Piece, ...]
    tokens: tuple[str, ...]
    done_reason: str = "stop"

    @property
    def whole(self) -> Piece:
        """All pieces as one, as an answer that is not streamed holds them."""
        return Piece(
            text="".join(piece.text for piece in self.pieces),
            thinking="".join(piece.thinking for piece in self.pieces),
            tool_calls=[call for piece in self.pieces for call in piece.tool_calls],
            logprobs=[entry for piece in self.pieces for entry in piece.logprobs],
        )


@dataclass
class _Draft:
    pieces: list[Piece] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


def chat_prompt(body: Mapping[str, Any], model: SimulatedModel, options: Json) -> Prompt:
    """Return the prompt of a `/api/chat` request."""
    messages = [
        {**message, "role": str(message.get("role", "")).lower()} for message in body["messages"]
    ]
    if model.system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": model.system})
    return _prompt(body, messages, body.get("tools") or (), options, think=_thinks(body, model))


def generate_prompt(body: Mapping[str, Any], model: SimulatedModel, options: Json) -> Prompt:
    """Return the prompt of a `/api/generate` request."""
    messages: list[Json] = []
    system = body.get("system") or model.system
    if system and not body.get("raw"):
        messages.append({"role": "system", "content": system})
    user = {"role": "user", "content": body["prompt"], "images": body.get("images") or []}
    messages.append(user)
    return _prompt(body, messages, (), options, think=_thinks(body, model))


def respond(prompt: Prompt, seed: str) -> Answer:
    """Return the answer to a prompt; `seed` only makes the ids of tool calls."""
    reading = read(prompt.messages)
    draft = _Draft()
    if prompt.think:
        for token in tokens(answers.thought(reading)):
            draft.pieces.append(Piece(thinking=token))
            draft.tokens.append(token)
    call = None if reading.tool_results else filling.choose_tool(prompt.tools, reading.question)
    if call is not None:
        return _call(draft, call, reading, seed)
    text = _text(prompt, reading)
    cut = min((place for stop in prompt.stop if (place := text.find(stop)) >= 0), default=None)
    for place, token in enumerate(tokens(text if cut is None else text[:cut])):
        entries = [_logprob(token, place, prompt.top_logprobs)] if prompt.logprobs else []
        draft.pieces.append(Piece(text=token, logprobs=entries))
        draft.tokens.append(token)
    return _limit(Answer(tuple(draft.pieces), tuple(draft.tokens)), prompt.budget)


def silenced(answer: Answer) -> Answer:
    """Return the answer without a word, as a model that ends at once gives it."""
    return replace(answer, pieces=(), tokens=answer.tokens[:1], done_reason="stop")


def _prompt(
    body: Mapping[str, Any],
    messages: Sequence[Json],
    tools: Sequence[Json],
    options: Json,
    *,
    think: bool,
) -> Prompt:
    # Ollama puts system messages and tools in front, whatever their place in the request.
    ordered = sorted(messages, key=lambda message: message["role"] != "system")
    pieces: list[str] = ["<s>"]
    if tools:
        pieces += tokens(msgspec.json.encode(list(tools)).decode())
    for message in ordered:
        pieces += ["<|", message["role"], "|>"]
        pieces += tokens(str(message.get("content") or ""))
        if message.get("tool_calls"):
            pieces += tokens(msgspec.json.encode(message["tool_calls"]).decode())
        for image in message.get("images") or ():
            mark = blake2b(str(image).encode(), digest_size=4).hexdigest()
            pieces += [mark] * _IMAGE_TOKENS
    pieces += ["<|", "assistant", "|>"]
    return Prompt(
        messages=tuple(messages),
        tokens=tuple(pieces),
        stop=tuple(stop for stop in options.get("stop", ()) if stop),
        budget=options.get("num_predict", -1) or -1,  # 0 is left out on the way to the model
        tools=tuple(tools),
        schema="json" if body.get("format") == {} else body.get("format") or None,
        think=think,
        logprobs=bool(body.get("logprobs")),
        top_logprobs=body.get("top_logprobs") or 0,
    )


def _thinks(body: Mapping[str, Any], model: SimulatedModel) -> bool:
    asked = body.get("think")
    return model.can("thinking") and asked is not False


def _text(prompt: Prompt, reading: Reading) -> str:
    if isinstance(prompt.schema, Mapping):
        return msgspec.json.encode(filling.fill(prompt.schema, reading)).decode()
    text = answers.answer(reading)
    if prompt.schema == "json":
        return msgspec.json.encode(filling.fill_json(reading, text)).decode()
    return text


def _call(draft: _Draft, function: Mapping[str, Any], reading: Reading, seed: str) -> Answer:
    schema = function.get("parameters") or {}
    arguments = filling.fill({"type": "object", **schema}, reading)
    mark = blake2b(f"{seed}{reading.question}".encode(), digest_size=4).hexdigest()
    name = str(function.get("name", ""))
    draft.pieces.append(Piece(tool_calls=[tool_call(0, name, arguments, f"call_{mark}")]))
    draft.tokens += tokens(name + msgspec.json.encode(arguments).decode())
    return Answer(tuple(draft.pieces), tuple(draft.tokens))


def _limit(answer: Answer, budget: int) -> Answer:
    if budget < 0 or len(answer.pieces) <= budget:
        return answer
    return Answer(answer.pieces[:budget], answer.tokens[:budget], "length")


def _logprob(token: str, place: int, alternatives: int) -> Json:
    chosen = -0.01 * (1 + (len(token) * 7 + place * 3) % 40)
    entry = _token_logprob(token, chosen)
    if alternatives:
        others = [other for other in _ALTERNATIVES * 2 if other != token][: alternatives - 1]
        ranked = [(token, chosen)] + [(o, chosen - 1.0 - n / 2) for n, o in enumerate(others)]
        entry["top_logprobs"] = [_token_logprob(text, value) for text, value in ranked]
    return entry


def _token_logprob(token: str, value: float) -> Json:
    return {"token": token, "logprob": round(value, 6), "bytes": list(token.encode())}
