"""Find every place in a prompt that claims to hold the question, and the marked-off context.

Works on the text in lower case (see `lowered`), with offsets that are valid in the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from aegis_llm.questions.text import CONTEXT

Span = tuple[int, int]

_WORDS = (
    "question", "query", "queries", "frage", "anfrage", "pregunta", "consulta", "pergunta",
    "domanda", "vraag", "pytanie", "вопрос", "问题", "質問", "질문", "follow up input",
    "follow-up input", "user input", "user message", "user request",
)  # fmt: skip
_SECTIONS = (
    "context", "contexts", "retrieved_context", "documents", "docs", "sources", "passages",
    "information", "knowledge", "chat_history", "history",
)  # fmt: skip
_PREFIX_CHARS = 120
_MOST = 16
_MOST_MENTIONS = 5000

_AFTER = re.compile(
    r"(?P<plain>(?:[ \t](?:is|as|follows|below|ist|lautet|est|es))*[*_`\")\]]{0,3}"
    r"[ \t\u00a0]{0,2}[:\uff1a][*_]{0,3})"
    r"|[sn]?[*_`\"]{0,3}[ \t]{0,2}(?:#?[ \t]?\d{1,4}|no\.? ?\d{1,4}|\([^)\n]{0,40}\)|"
    r"(?:and|from|by|of)[ \t]\w{1,30}(?:[ \t]\w{1,30})?)?[*_`\"]{0,3}[ \t\u00a0]{0,2}[:\uff1a]"
)
_AFTER_Q = re.compile(
    r"(?P<plain>[*_]{0,3}[ \t]?[:\uff1a][*_]{0,3})|[ \t]?\d{1,4}[*_]{0,3}[ \t]?[:\uff1a]"
)
_AFTER_Q_LINE = re.compile(r"\d{0,4}[.)][ \t]")
_HEADING_END = re.compile(r"[sn]?[ \t]*[\]*_#=>%\-]*[ \t]*(?:\n|\Z)")
_HEADING_START = re.compile(r"[ \t]*([#>*_\-=\[<%]*)[ \t]*(?:[^\W\d_][\w'\u2019]*[ \t]+){0,2}\Z")
_LABEL_START = re.compile(
    r"(?:\A|[.!?,;][ \t]+)[ \t#>*_\-=\[(|%]*(?:\d{1,3}[.)][ \t]+)?"
    r"(?:(?:the|this|these|my|our|your|a|an|user|user['\u2019]s|users|customer|human|student|client|"
    r"original|final|current|actual|main|new|next|real|initial|input|search|standalone|follow|up|"
    r"follow-up|follow-on|following|latest|last|here|is|now|please|and|then|to|about|with|on|"
    r"answer|respond|reply|consider|given|using|based|above|below|context|"
    r"die|der|das|meine|deine|unsere|folgende|letzte|neue|aktuelle|nutzer|beantworte|bitte|"
    r"la|le|les|ma|mon|votre|su|mi|una|une|un|voici|r\u00e9pondez?|responde|\u00e0|a)"
    r"[ \t]+){0,6}\Z"
)
_PLACEHOLDER = re.compile(
    r"[ \t]*(?:\"?question here\"?|<[^\n<>]{1,60}>|\[[^\n\[\]]{1,60}\]|\$?\{[^\n{}]{1,60}\}|"
    r"(?:the )?input question[^\n]{0,40}|\.\.\.)[ \t]*(?:\n|\Z)"
)
_TAG = re.compile(r"<(/?)(?:(?:user|input|original|current)[_\- ]?)?(?:question|query|frage)>")
_RULE = re.compile(r"\n[ \t]*(?:([-=*_~#]{3,}|\"\"\")|```\w*)[ \t]*(?=\n|\Z)")
_CONTEXT_WORD = re.compile(rf"(?<!\w)(?:{CONTEXT})(?!\w)")


class Claim(msgspec.Struct, frozen=True):
    """A place that says that the question follows.

    `mark` is where its label begins and `body` where the label ends. `end` and `after` are set
    for a pair of tags: where the closing tag begins and ends. A claim that is not `usable` is
    only a reason for doubt.
    """

    mark: int
    body: int
    usable: bool
    end: int = -1
    after: int = -1


def lowered(text: str) -> str:
    """Return `text` in lower case with every character still at its place."""
    low = text.lower()
    return low if len(low) == len(text) else text.replace("\u0130", "I").lower()


def sections(low: str) -> list[Span] | None:
    """Return the parts that tags or rules mark off as context; None: they overlap, or too many."""
    found = []
    if "</" in low:
        for name in _SECTIONS:
            opening, closing = f"<{name}>", f"</{name}>"
            if low.count(opening) == 1 == low.count(closing):
                start, end = low.find(opening), low.find(closing) + len(closing)
                if start < end:
                    found.append((start, end))
    if "---" in low or "===" in low or "```" in low or '"""' in low:
        found.extend(_ruled(low))
    found.sort()
    outer: list[Span] = []
    for start, end in found:
        if outer and end <= outer[-1][1]:
            continue
        if outer and start < outer[-1][1]:
            return None
        outer.append((start, end))
    return outer if len(outer) <= _MOST else None


def _ruled(low: str) -> list[Span]:
    rules: dict[str, list[re.Match[str]]] = {}
    for count, rule in enumerate(_RULE.finditer(low)):
        if count > _MOST_MENTIONS:
            return []
        rules.setdefault(rule[1] or "```", []).append(rule)
    found = []
    for pair in rules.values():
        if len(pair) == 2:
            above = low[max(0, pair[0].start() - 300) : pair[0].start()].rstrip()
            if _CONTEXT_WORD.search(above, above.rfind("\n") + 1):
                found.append((pair[0].start(), pair[1].end()))
    return found


def claims(text: str, low: str, outside: list[Span]) -> list[Claim] | None:
    """Return the claims outside the given sections, at most two; None: too much to look at."""
    found: list[Claim] = []
    descriptions: list[Span] = []
    filled = len(low.rstrip())
    for count, (position, word) in enumerate(_mentions(low)):
        if count > _MOST_MENTIONS:
            return None
        claim = None if _inside(position, outside) else _claim(text, low, position, word)
        if claim is None or claim.body >= filled:
            continue
        if len(descriptions) < _MOST and _PLACEHOLDER.match(low, claim.body):
            descriptions.append((position, claim.body + 80))
            continue
        found.append(claim)
        if len(found) > 1:
            return found
    if "<" in low:
        found.extend(_tags(low, descriptions))
    return found


def _mentions(low: str) -> Iterator[tuple[int, str]]:
    for word in (*_WORDS, "q"):
        position = low.find(word)
        while position >= 0:
            yield position, word
            position = low.find(word, position + len(word))


def _claim(text: str, low: str, position: int, word: str) -> Claim | None:
    left = low[position - 1] if position else " "
    if word < "\u3000" and (left.isalnum() or (word == "q" and left in "_-'")):
        return None
    bracket = low.rfind("<", max(0, position - 12), position)
    tag = _TAG.match(low, bracket) if bracket >= 0 else None
    if tag and tag.end() > position:
        return None
    end = position + len(word)
    line = low.rfind("\n", max(0, position - _PREFIX_CHARS), position) + 1
    start = line or max(0, position - _PREFIX_CHARS)
    at_line = bool(line) or position <= _PREFIX_CHARS
    after = (_AFTER_Q if word == "q" else _AFTER).match(low, end)
    if after:
        label = _LABEL_START.search(low[start:position])
        if label is None or (not at_line and not label.start()):
            return Claim(position, after.end(), usable=False)
        return Claim(start + label.start(), after.end(), usable=after["plain"] is not None)
    if word == "q":
        bullet = _AFTER_Q_LINE.match(low, end) and not low[start:position].strip(" \t#*>-")
        return Claim(position, end, usable=False) if bullet else None
    heading = _HEADING_END.match(low, end)
    before = _HEADING_START.match(low[start:position]) if heading and at_line else None
    if heading and before and (before[1] or text[start:end].isupper()):
        return Claim(start, heading.end(), usable=True)
    return None


def _tags(low: str, ignored: list[Span]) -> list[Claim]:
    tags = []
    for tag in _TAG.finditer(low):
        if not _inside(tag.start(), ignored):
            tags.append(tag)
        if len(tags) > 2:
            break
    if len(tags) == 2 and not tags[0][1] and tags[1][1]:
        first, last = tags
        return [Claim(first.start(), first.end(), True, last.start(), last.end())]
    return [Claim(tag.start(), tag.end(), usable=False) for tag in tags[:1]]


def _inside(position: int, spans: list[Span]) -> bool:
    return any(start <= position < end for start, end in spans)
