"""Fill a JSON schema from a question and its context: tool arguments and structured answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aegis_llm.testing.answers import best_sentence, shorten
from aegis_llm.testing.reading import Reading
from aegis_llm.testing.words import STOP_WORDS, stem, terms, words

Schema = Mapping[str, Any]

_NUMBERS = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")
_QUOTED = re.compile(r"[\"“”「『]([^\"“”」』]+)[\"“”」』]|(?<!\w)'([^']+)'(?!\w)|`([^`]+)`")
_PLACES = re.compile(r"\b(?:in|at|for|of|from|to|near) ((?:[A-Z][\w.\-]*(?:,? )?)+)")
_NAMES = re.compile(r"(?<![.!?] )(?<!^)\b([A-Z][\w\-]*(?: [A-Z][\w\-]*)*)")
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z\u00c0-\u024f]+(?:[\s·][^\W\d_a-zA-Z\u00c0-\u024f]+)*")
_FORMATS = {
    "date": (re.compile(r"\d{4}-\d{2}-\d{2}"), "2026-01-01"),
    "date-time": (re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+Z?"), "2026-01-01T00:00:00Z"),
    "time": (re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?"), "00:00:00"),
    "email": (re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+\w"), "user@example.com"),
    "uri": (re.compile(r"https?://\S+"), "https://example.com"),
    "uuid": (re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"), "0" * 8),
}
_NEGATIONS = ("not ", "no ", "without ", "off", "disable", "exclude", "false", "never")
_KEYS = re.compile(r"(?i)\b(?:keys?|fields?|propert(?:y|ies))\b")
_CAPITAL_HINTS = ("city", "location", "place", "country", "name", "person", "customer", "town")
_DEEPEST = 12


@dataclass
class _Source:
    """What is left of the question: every quoted text and number is used once."""

    question: str
    context: Sequence[str]
    numbers: list[str] = field(default_factory=list)
    quoted: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, reading: Reading) -> _Source:
        question = reading.question
        quoted = [next(filter(None, match)) for match in _QUOTED.findall(question)]
        return cls(question, reading.context, _NUMBERS.findall(question), quoted)


def fill(schema: Schema, reading: Reading) -> Any:
    """Return a value that is valid under `schema`, with what the question and context give."""
    return _value(schema, "", _Source.of(reading), schema, _DEEPEST, required=True)


def fill_json(reading: Reading, text: str) -> dict[str, Any]:
    """Return an object for `format: "json"`: the keys the question names, else `answer`."""
    source = _Source.of(reading)
    keys = source.quoted if _KEYS.search(reading.question) else []
    return {key: _free_text(key, source) for key in keys} or {"answer": text}


def choose_tool(tools: Sequence[Mapping[str, Any]], question: str) -> Mapping[str, Any] | None:
    """Return the function that the question asks for, or None when it asks for none."""
    asked = set(terms(question))
    best: tuple[float, Mapping[str, Any]] | None = None
    for tool in tools:
        function = tool.get("function") or {}
        score = _fit(function, asked, question)
        if score > 0 and (best is None or score > best[0]):
            best = (score, function)
    return best[1] if best else None


def _fit(function: Mapping[str, Any], asked: set[str], question: str) -> float:
    name = str(function.get("name", ""))
    if name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", question):
        return 100.0 + len(name)
    properties = (function.get("parameters") or {}).get("properties") or {}
    about = [*_parts(name), *terms(str(function.get("description", "")))]
    about += [part for key in properties for part in _parts(key)]
    score = float(len(asked & set(about)))
    kinds = {_kind(schema, {}) for schema in properties.values()}
    numbers = len(_NUMBERS.findall(question))
    if kinds and kinds <= {"integer", "number"} and numbers >= len(properties):
        score += 1  # enough figures for a tool that only wants figures
    return score


def _parts(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-]+", " ", name)
    return [stem(word) for word in words(spaced) if word.lower() not in STOP_WORDS]


def _resolve(schema: Any, root: Schema) -> Schema:
    """Follow `$ref` and merge `allOf`; of alternatives take the first that is not null."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping):
            return {}
        if isinstance(ref := schema.get("$ref"), str):
            found: Any = root
            for part in ref.removeprefix("#/").split("/") if ref != "#" else ():
                found = found.get(part, {}) if isinstance(found, Mapping) else {}
            schema = {**found, **{k: v for k, v in schema.items() if k != "$ref"}}
        elif schema.get("allOf"):
            merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
            for part in schema["allOf"]:
                merged |= _resolve(part, root)
            schema = merged
        elif options := schema.get("anyOf") or schema.get("oneOf"):
            chosen = next((o for o in options if o.get("type") != "null"), options[0])
            rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf", "default")}
            schema = {**rest, **chosen}
        else:
            return schema
    return {}


def _kind(schema: Any, root: Schema) -> str:
    kind = _resolve(schema, root).get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is None:
        resolved = _resolve(schema, root)
        kind = "object" if "properties" in resolved else "string"
    return str(kind)


def _value(
    schema: Any, name: str, source: _Source, root: Schema, depth: int, *, required: bool
) -> Any:
    resolved = _resolve(schema, root)
    kind = _kind(resolved, root)
    if "const" in resolved:
        return resolved["const"]
    if resolved.get("enum"):
        return _choice(resolved["enum"], source)
    if depth <= 0 or kind == "null":
        return None
    if kind == "object":
        return _object(resolved, source, root, depth)
    if kind == "array":
        return _array(resolved, name, source, root, depth)
    if kind in ("integer", "number"):
        return _number(resolved, name, source, whole=kind == "integer")
    if kind == "boolean":
        return _boolean(name, source)
    return _string(resolved, name, source, required=required)


def _object(schema: Schema, source: _Source, root: Schema, depth: int) -> dict[str, Any]:
    needed = schema.get("required") or ()
    filled: dict[str, Any] = {}
    for key, inner in (schema.get("properties") or {}).items():
        if key in needed or _mentioned(key, source):
            filled[key] = _value(inner, key, source, root, depth - 1, required=key in needed)
    return filled


def _array(schema: Schema, name: str, source: _Source, root: Schema, depth: int) -> list[Any]:
    items = schema.get("items") or {}
    kind = _kind(items, root)
    resolved = _resolve(items, root)
    if resolved.get("enum"):
        count = len(
            [one for one in resolved["enum"] if str(one).lower() in source.question.lower()]
        )
    elif kind in ("integer", "number"):
        count = len(source.numbers)
    else:
        count = len(source.quoted) if kind == "string" else 1
    count = max(count, schema.get("minItems", 1), 1)
    count = min(count, schema.get("maxItems", count))
    values: list[Any] = []
    for _ in range(count):
        pick: Any = resolved
        if resolved.get("enum"):
            left = [one for one in resolved["enum"] if one not in values]
            pick = {**resolved, "enum": left or resolved["enum"]}
        values.append(_value(pick, name, source, root, depth - 1, required=True))
    return values


def _choice(options: Sequence[Any], source: _Source) -> Any:
    lowered = source.question.lower()
    said = [one for one in options if one is not None and str(one).lower() in lowered]
    if said:
        return min(said, key=lambda one: lowered.index(str(one).lower()))
    shared = set(terms(source.question))
    return max(options, key=lambda one: len(shared & set(terms(str(one)))))


def _number(schema: Schema, name: str, source: _Source, *, whole: bool) -> int | float:
    label = re.escape(name.replace("_", " "))
    pattern = rf"(?i)\b{label}\s*(?:is|=|:|of|to)?\s*(-?\d+(?:\.\d+)?)" if name else r"(?!)"
    near = re.search(pattern, source.question.replace("_", " "))
    if near and near[1] in source.numbers:
        source.numbers.remove(near[1])
        text = near[1]
    elif source.numbers:
        text = source.numbers.pop(0)
    else:
        found = _NUMBERS.search(best_sentence(source.question, source.context) or "")
        text = found[0] if found else str(schema.get("default", 0) or 0)
    value = float(text)
    lowest = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    highest = schema.get("maximum", value)
    if "minimum" in schema or "exclusiveMinimum" in schema:
        value = max(value, lowest)
    value = min(value, highest)
    return int(value) if whole or value.is_integer() else value


def _boolean(name: str, source: _Source) -> bool:
    lowered = source.question.lower()
    label = name.replace("_", " ").lower()
    place = lowered.find(label) if label else -1
    before = lowered[max(0, place - 20) : place] if place >= 0 else lowered
    return not any(mark in before for mark in _NEGATIONS)


def _string(schema: Schema, name: str, source: _Source, *, required: bool) -> str:
    text = _formatted(schema, source) or _taken(name, source)
    if text is None:
        default = schema.get("default")
        text = default if isinstance(default, str) and not required else _free_text(name, source)
    text = text.ljust(schema.get("minLength", 0), ".")
    return text[: schema["maxLength"]] if "maxLength" in schema else text


def _formatted(schema: Schema, source: _Source) -> str | None:
    pattern, example = _FORMATS.get(str(schema.get("format")), (None, ""))
    if pattern is None:
        return None
    found = pattern.search(source.question)
    return found[0] if found else example


def _taken(name: str, source: _Source) -> str | None:
    """Return a text that the question holds for the property, or None."""
    if source.quoted:
        return source.quoted.pop(0)
    label = re.escape(name.replace("_", " "))
    said = re.search(rf"(?i)\b{label}\s*(?:is|=|:|named|called)\s*([^\s,.;?!]+)", source.question)
    if name and said:
        return said[1]
    ascii_share = sum(char.isascii() for char in source.question) / max(1, len(source.question))
    foreign = _FOREIGN.search(source.question)
    if foreign and ascii_share > 0.3:
        return foreign[0]
    if any(hint in name.lower() for hint in _CAPITAL_HINTS):
        for pattern in (_PLACES, _NAMES):
            found = pattern.search(source.question)
            if found:
                return found[1].strip(" ,.?!")
    return None


def _free_text(name: str, source: _Source) -> str:
    """Return a text made from the context or the question, labelled with the property."""
    label = name.replace("_", " ").strip()
    found = best_sentence(f"{label} {source.question}", source.context)
    if found:
        return found
    if label.lower() in ("", "query", "question", "q", "input", "text", "prompt", "message"):
        return shorten(source.question)
    return f"The {label} for: {shorten(source.question)}"


def _mentioned(key: str, source: _Source) -> bool:
    return bool(set(_parts(key)) & set(terms(source.question)))
