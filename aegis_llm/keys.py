"""Canonical requests: the key of the exact tier, and the scope and question of the semantic one.

Everything that can change the answer is hashed, each part prefixed with its length, so that no
two different requests give the same bytes. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from aegis_llm.values import Body, Control, Document, Operation, Request

SCHEMA = "v1"
_NO_KEY = object()
_NOT_IN_THE_KEY = frozenset({"model", "messages", "stream", "keep_alive"})
_PLAIN = frozenset({"role", "content"})
_NOT_IN_A_VECTOR = frozenset({
    "keep_alive", "low_vram", "main_gpu", "num_batch", "num_gpu", "num_thread", "numa",
    "use_mlock", "use_mmap", "frequency_penalty", "min_p", "mirostat", "mirostat_eta",
    "mirostat_tau", "num_keep", "num_predict", "penalize_newline", "presence_penalty",
    "repeat_last_n", "repeat_penalty", "seed", "stop", "temperature", "tfs_z", "top_k", "top_p",
    "typical_p",
})  # fmt: skip
"""Options that say where a model runs, or how it picks words: no vector knows them."""
_encode = msgspec.json.Encoder(order="sorted").encode
_encode_in_order = msgspec.json.Encoder().encode
_SIZES = [b"%d:" % size for size in range(1024)]
_EMPTY = (str, list, tuple, dict)
_AS_IT_IS = frozenset({str, int, bool})
_MAPPING = (dict, Mapping)  # a dict is told without asking the abstract class


class UncacheableError(ValueError):
    """The request holds something that has no canonical form; `reason` is its short name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def request_from_body(
    body: Body,
    server: str = "",
    documents: tuple[Document, ...] = (),
    since: float | None = None,
    *,
    framework: str = "",
) -> Request:
    """Return the request that a `/api/chat` body makes."""
    params = {
        name: value
        for name, value in body.items()
        if name not in _NOT_IN_THE_KEY and not _unset(name, value)
    }
    return Request(
        model=normal_model(str(body.get("model", ""))),
        messages=tuple(body.get("messages") or ()),
        params=params,
        server=server,
        documents=documents,
        since=since,
        framework=framework,
    )


def normal_model(name: str) -> str:
    """Return the full form of a model name: `llama3.1` is `llama3.1:latest`."""
    name = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    last = name.rpartition("/")[2]
    return name if not name or ":" in last else f"{name}:latest"


def edition_of(corpus_version: str | None, version: int) -> tuple[bytes, ...]:
    """Return what parts the entries of one state of the documents from those of another.

    `version` is that of the whole namespace. Empty as long as there is
    neither, so that the keys are those of a namespace that knows no documents.

    Raises:
        UncacheableError: The corpus version holds lone surrogates.
    """
    if corpus_version is None and not version:
        return ()
    return (b"" if corpus_version is None else b"=" + _text(corpus_version), b"%d" % version)


def keyless(framework: str, model: str = "", operation: Operation = "chat") -> Request:
    """Return a request that has no key, for what cannot be read: it is counted as bypassed."""
    params = {"": _NO_KEY}
    return Request(model, (), params, identity="", framework=framework, operation=operation)


def query_hash(
    request: Request, digest: str, control: Control, edition: tuple[bytes, ...] = ()
) -> str:
    """Return the hash of the whole canonical request (SHA-256, 64 hex digits).

    Raises:
        UncacheableError: A part has no canonical form (lone surrogates, NaN, a function).
    """
    try:
        parts = _identity(request, digest, control)
        parts += edition
        parts += _messages(request.messages)
    except UncacheableError:
        raise
    except Exception as exc:  # a message that is no mapping, tool calls that are no list, ...
        raise UncacheableError("uncacheable_request") from exc
    return _hash(b"aegis-query-2" if edition else b"aegis-query-1", parts)


def scope_hash(
    request: Request,
    digest: str,
    control: Control,
    index: int,
    start: int,
    end: int,
    edition: tuple[bytes, ...] = (),
    cut: tuple[bytes, ...] = (),
) -> str:
    """Return the hash of everything but the question, which is `content[start:end]`.

    The text before and after the question are two parts, so the place of the question counts.
    `cut` stands for text that was taken out of the messages, and where.
    """
    message = request.messages[index]
    content = str(message["content"])
    around: list[Mapping[str, Any]] = list(request.messages)
    around[index] = {**message, "content": content[:start]}
    parts = _identity(request, digest, control)
    parts += edition
    parts += _messages(around)
    parts += (b"%d" % index, _text(content[end:]), *cut)
    kind = b"aegis-scope-%d%s" % (2 if edition else 1, b"-cut-%d" % len(cut) if cut else b"")
    return _hash(kind, parts)


def exact_key(namespace: str, hashed: str, request: Request) -> str:
    """Return the Redis key of the exact tier; its tail is for the eyes of a person only."""
    options = request.params.get("options")
    temperature = options.get("temperature") if isinstance(options, _MAPPING) else None
    shown = (
        "default" if temperature is None else f"{temperature:g}" if _number(temperature) else "?"
    )
    return f"aegis:{SCHEMA}:{namespace}:x:{hashed}:{_eyes(request.model)}:{shown}"


def semantic_prefix(namespace: str, index_id: str) -> str:
    """Return the prefix of the semantic tier's hashes for one embedder."""
    return f"aegis:{SCHEMA}:{namespace}:s:{index_id}:"


def vector_space(digest: str, options: Mapping[str, Any], dimensions: int | None) -> str:
    """Return the hash of all that tells the vectors of one text apart.

    Raises:
        UncacheableError: An option has no canonical form.
    """
    told = {n: v for n, v in options.items() if v is not None and n not in _NOT_IN_A_VECTOR}
    size = b"" if dimensions is None else b"%d" % dimensions
    return _hash(b"aegis-space-1", (_text(digest), size, _json(told, _encode)))


def vector_key(namespace: str, space: str, model: str, text: str) -> str:
    """Return the Redis key of a text's vector; its tail is for the eyes of a person only.

    Raises:
        UncacheableError: The text holds lone surrogates.
    """
    hashed = _hash(b"aegis-vector-1", (space.encode(), _text(text)))
    return f"aegis:{SCHEMA}:{namespace}:v:{hashed}:{_eyes(model)}"


def digest_key(namespace: str, server: str) -> str:
    """Return the Redis key under which the digests of one Ollama server are kept."""
    return f"aegis:{SCHEMA}:{namespace}:d:{hashlib.sha256(server.encode()).hexdigest()[:16]}"


def tenant_tag(control: Control) -> str:
    """Return the hash under which the entries of this tenant and user can be found."""
    return _hash(b"aegis-tenant-1", _partition(control))[:32]


def _identity(request: Request, digest: str, control: Control) -> list[bytes]:
    named = request.identity
    parts = [b"named", _text(named)] if named is not None else [b"model"]
    parts += (_text(request.model), _text(digest))
    params = request.params
    parts.append(b"%d" % len(params))
    for name in sorted(params):
        parts += (_text(name), _param(name, params[name]))
    parts += _partition(control)
    return parts


def _partition(control: Control) -> list[bytes]:
    tenant, user = control.tenant, control.user
    return [
        b"" if tenant is None else b"=" + _text(tenant),
        b"" if user is None else b"=" + _text(user),
    ]


def _param(name: str, value: Any) -> bytes:
    if name == "options" and isinstance(value, _MAPPING):
        return _json({k: v for k, v in value.items() if v is not None}, _encode)
    if name == "tools" and isinstance(value, Sequence):
        # The order of the tools is free; inside one tool or a schema, order reaches the model.
        return b"\n".join(sorted(_json(tool, _encode_in_order) for tool in value))
    return _json(value, _encode_in_order)


def _messages(messages: Iterable[Mapping[str, Any]]) -> list[bytes]:
    parts: list[bytes] = []
    call_ids: dict[str, int] = {}
    for message in messages:
        content = message.get("content")
        parts += (_text(str(message.get("role", ""))), _text("" if content is None else content))
        extra = None if message.keys() <= _PLAIN else _extra(message, call_ids)
        parts.append(_json(extra, _encode) if extra else b"")
    return parts


def _extra(message: Mapping[str, Any], call_ids: dict[str, int]) -> dict[str, Any]:
    """Collect what a message has beyond role and content; ids become ordinals."""
    extra: dict[str, Any] = {}
    for name, value in message.items():
        if name in _PLAIN or _absent(value):
            continue
        if name == "images":
            extra[name] = [_image(image) for image in value]
        elif name == "tool_calls":
            extra[name] = [_tool_call(call, call_ids) for call in value]
        elif name == "tool_call_id":
            extra[name] = call_ids.setdefault(str(value), len(call_ids))
        else:
            extra[name] = value
    return extra


def _tool_call(call: Mapping[str, Any], call_ids: dict[str, int]) -> list[Any]:
    """Return a call without its random id; its place among the ids of the request is kept."""
    if call.get("id"):
        call_ids.setdefault(str(call["id"]), len(call_ids))
    function = call.get("function")
    if not isinstance(function, _MAPPING):
        return [{k: v for k, v in call.items() if k != "id"}]
    made = [function.get("name"), function.get("arguments")]
    more = {k: v for k, v in call.items() if k not in ("id", "type", "function")}
    inner = {k: v for k, v in function.items() if k not in ("name", "arguments", "index")}
    return [*made, more, inner] if more or inner else made


def _image(image: Any) -> str:
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    text = _text(str(image))
    try:
        return hashlib.sha256(base64.b64decode(text, validate=True)).hexdigest()
    except (binascii.Error, ValueError):
        return "raw:" + hashlib.sha256(text).hexdigest()


def _absent(value: Any) -> bool:
    return value is None or (not value and isinstance(value, _EMPTY))


def _unset(name: str, value: Any) -> bool:
    if isinstance(value, _MAPPING):
        # Options that are all null are none; an empty schema is one that every JSON text meets.
        return name == "options" and all(v is None for v in value.values())
    return _absent(value)


def _text(text: str) -> bytes:
    try:
        return text.encode()
    except (UnicodeEncodeError, AttributeError) as exc:
        raise UncacheableError("invalid_text") from exc


def _json(value: Any, encode: Any) -> bytes:
    try:
        data: bytes = encode(_plain(value))
    except UncacheableError:
        raise
    except Exception as exc:  # msgspec raises several kinds
        raise UncacheableError("uncacheable_request") from exc
    return data


def _plain(value: Any) -> Any:
    """Return the value with whole floats as integers, so that 0 and 0.0 are one setting."""
    if value is None or type(value) in _AS_IT_IS:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UncacheableError("uncacheable_request")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, _MAPPING):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _hash(kind: bytes, parts: Iterable[bytes]) -> str:
    framed = [kind]
    for part in parts:
        size = len(part)
        framed += (_SIZES[size] if size < 1024 else b"%d:" % size, part)
    return hashlib.sha256(b"".join(framed)).hexdigest()


def _number(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    return whole or isinstance(value, float)


@lru_cache(maxsize=256)
def _eyes(name: str) -> str:
    shown = "".join(c if c.isalnum() or c in "._/:-" else "_" for c in name[:96])
    return shown or "unknown"
