"""Accept or refuse the one claim for the question in a prompt of unknown make.

The retrieved text may hold anything, also lines that look like labels. So the claim must be the
only one, the question must close off by itself (end of the message, an empty answer label, a
context section, or plain instructions), and the text before it must not hold another question.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

from aegis_llm.questions.labels import Claim, Span, claims, lowered, sections
from aegis_llm.questions.text import ANSWER, ASKER, CONTEXT, is_asking, is_plain, is_whole

_INTRO_LINES = 60
_INTRO_CHARS = 6000
_INSTRUCTION_WORDS = 160

_CONTEXT_WORD = re.compile(rf"(?<!\w)(?:{CONTEXT})(?!\w)")
_ANSWER_WORD = re.compile(rf"(?<!\w)(?:{ANSWER})(?!\w)")
_ASKER_LINE = re.compile(rf"\n[ \t#*>\[<_]*(?:{ASKER})[\]*_> \t]*(?:[:\uff1a]|\n|\Z)")
_ASKS = (
    r"question(?![\w/])|questions|query|queries|\bask|"
    r"answers? (?:the|this|these|my|any|all|based|using|only|from|following|user|it|briefly)\b|"
    r"frage|beantworte|pregunta|respond[ae]|r[ée]pond|domanda|pergunta|问题|質問|вопрос"
)
_STRONG_CUE = re.compile(_ASKS)
_CUE = re.compile(rf"{_ASKS}|answer|context|based on|kontext")
# Who the model shall be: never the question itself.
_PERSONA = re.compile(
    r"\s*(?:(?:you are|you're|act as|du bist|vous \u00eates|eres)\b[^.!\n]*(?:[.!]\s*|\s*\Z))+"
)
# How to answer: the beginning of an instruction, and of a list of them.
_ORDER = re.compile(
    r"(?:[-*]|\d+[.)])?\s*(?:please |always |only |if |do not |don't |use |using |based |base |"
    r"answer |respond |reply |provide |keep |be |cite |include |return |instruction|note|hint|"
    r"rule|remember|important|format|make sure|when |you |your |the (?:answer|response)|bitte|"
    r"antworte)"
)
_ORDERS = re.compile(
    r"[#*\s<\[]*(?:instructions?|rules|notes?|guidelines|requirements|hints?|(?:output )?format)"
    r"[\]>*:\s]*(?:\n|\Z)"
)
# The sentence right before the label, where the instructions follow the context.
_LEADS_IN = re.compile(
    r"(?:answer|respond to|here is|this is) (?:the|this|my|following|user)\b[\w' ]*"
    r"(?:question|query)\b"
)
# Prompts that ask for something else; a question in their text is not theirs.
_OTHER_TASK = re.compile(
    r"\b(?:summar(?:y|i[sz]e|i[sz]ing)|translat|extract|keywords|triples|triplets|rewrite|classif|"
    r"proofread|paraphrase|zusammenfass|\u00fcbersetz|r\u00e9sum|tradui)"
)
_MAKES_QUESTIONS = re.compile(
    r"(?:come up with|generate|create|write|produce|extract|list|identify|count|find all)"
    r"(?:\s+(?!to\b|answer)[\w\-]+){0,4}\s+questions?\b"
)
# A label with text of its own, other than those of instructions.
_LABELLED = re.compile(
    r"(?:\A|\n)(?!instruction|note|hint|rule|remember|important|format|answer)[^\n:]{1,40}:(?=\s*\S)"
)
# A line that announces the context and says nothing else.
_PURE_LABEL = re.compile(
    rf"\W*(?:(?:{CONTEXT}|here|is|are|the|this|these|some|my|our|use|using|given|following|below|"
    r"relevant|retrieved|provided|additional|supporting|search|chat|base|previous|current|of|from|"
    r"for|and|to|pieces?|parts?|information|hier|ist|sind|der|die|das|voici|les?|la|aqu[i\u00ed]|"
    r"est[a\u00e1]|el|\d{1,3})(?:\W+|\Z))+"
)
_RULE_LINE = re.compile(r"[ \t]*(?:[-=*_~#]{3,}|\"\"\"|```\w*)[ \t]*(?:\n|\Z)")
_INLINE_TAIL = re.compile(
    rf"[ \t](?:(?:helpful|final)[ \t])?(?:{ANSWER})[ \t]?[:\uff1a][ \t]*\Z", re.IGNORECASE
)
_SECTION_LINE = re.compile(r"\n[ \t]*(?:[-=*_~#]{3,}|\"\"\"|```|<)")
_MARK = re.compile(r"[?\uff1f]")
_BLANKS = re.compile(r"[ \t]*\n?[ \t]*\n?[ \t]*")


Rest = Literal["end", "answer", "label", "context", "instructions", "unknown"]


def locate(text: str) -> Span | str | None:
    """Return the span of the question, why there is none, or None when nothing is labelled."""
    low = lowered(text)
    marked = sections(low)
    if marked is None:
        return "sections_overlap"
    found = claims(text, low, marked)
    if found is None:
        return "question_not_separable"
    if len(found) > 1:
        return "several_questions"
    span = _accept(text, low, found[0], marked) if found else _beside(text, low, marked)
    if span is None and (found or marked):
        return "question_not_separable"
    return span


def _accept(text: str, low: str, claim: Claim, marked: list[Span]) -> Span | None:
    if not claim.usable:
        return None
    if claim.end >= 0:
        start, end, after = claim.body, claim.end, claim.after
    else:
        start = _BLANKS.match(text, claim.body).end()  # type: ignore[union-attr]  # matches ""
        end = text.find("\n", start)
        after = end = end if end >= 0 else len(text)
    rest = _rest(low, after, marked)
    if rest == "end" and claim.end < 0 and end - start < 2000:
        tail = _INLINE_TAIL.search(text[start:end])
        if tail:
            rest, end = "answer", start + tail.start()
    known = _context_known(low, claim, rest, marked)
    if known is None:
        return None
    question = text[start:end].strip()
    if claim.end >= 0:
        return (start, end) if is_whole(question) else None
    return (start, end) if is_plain(question, colons=known, lead=known) else None


def _rest(low: str, after: int, marked: list[Span]) -> Rest:
    """Say what follows the question."""
    rest = low[after : after + _INTRO_CHARS].strip()
    long = len(low) - after > _INTRO_CHARS
    if not rest:
        return "unknown" if long else "end"
    ruled = _RULE_LINE.match(rest)
    beyond = rest[ruled.end() :].strip() if ruled else rest
    if not long and (not beyond or _is_label(beyond)):
        return "end" if not beyond else "answer" if _ANSWER_WORD.search(beyond) else "label"
    if ruled or opens_context(rest.partition("\n")[0]):
        open_end = low.rstrip()[-1] in "?\uff1f" or _ASKER_LINE.search(low, after)
        return "unknown" if open_end else "context"
    clear = not long and all(end <= after for _, end in marked)
    return "instructions" if clear and _is_instructions(rest) else "unknown"


def _is_label(rest: str) -> bool:
    line, _, more = rest.partition("\n")
    if len(line) > 80 or line.count(" ") > 9 or not _RULE_LINE.fullmatch(more or "```"):
        return False
    label = line.rstrip("*_`\"'( ").replace("\uff1a", ":")
    if label.find(":") == len(label) - 1:
        return True
    return line[0] in "#<[*=" and bool(_ANSWER_WORD.search(line))


def _is_instructions(rest: str) -> bool:
    if _MARK.search(rest) or _SECTION_LINE.search(rest) or _LABELLED.search(rest):
        return False
    if rest.count(" ") > _INSTRUCTION_WORDS:
        return False
    if _ORDERS.match(rest):
        return True
    *parts, last = [part.strip() for part in rest.split("\n\n") if part.strip()]
    if not _is_label(last):
        parts.append(last)
    return all(_ORDER.match(part) and _CUE.search(part) for part in parts)


def opens_context(line: str) -> bool:
    """Return whether a line (in lower case) announces retrieved text, history or data."""
    line = line[:300].strip()
    if not line or _RULE_LINE.fullmatch(line):
        return bool(line)
    label, colon, _ = line.replace("\uff1a", ":").partition(":")
    if colon and not _MARK.search(label) and label.count(" ") < 24:
        return bool(_CONTEXT_WORD.search(label))
    return line[0] in "#<[*=%" and line.count(" ") < 8 and bool(_CONTEXT_WORD.search(line))


def _context_known(low: str, claim: Claim, rest: Rest, marked: list[Span]) -> bool | None:
    """Say whether the context is known to lie elsewhere; None refuses the claim."""
    before = low[: min(claim.mark, _INTRO_CHARS)]
    if rest == "unknown":
        return None
    if not before.strip():
        return rest == "context"
    first = before.strip().partition("\n")[0]
    if _OTHER_TASK.search(first) and not _STRONG_CUE.search(first):
        return None
    intro = _intro(before, marked)
    if rest == "context":
        alone = intro is None and not _LABELLED.search(before)
        return True if alone and _is_intro(before) else None
    if intro is None:
        told = not _MARK.search(first) and first[-1] not in ":\uff1a"
        fine = told if rest == "answer" else _is_intro(first)
        return False if fine else None
    closed = bool(marked) and len(intro) <= marked[0][0] <= len(intro) + 2
    led = before.rstrip()
    weak = closed or rest == "answer" or bool(_LEADS_IN.search(led, led.rfind("\n") + 1))
    return True if _is_intro(intro, weak=weak) else None


def _intro(before: str, marked: list[Span]) -> str | None:
    """Return what comes before the context; None when nothing announces a context.

    A line that announces it belongs to it, unless it says more than a label does.
    """
    limit = min(marked[0][0] if marked else len(before), len(before))
    start = 0
    for _ in range(_INTRO_LINES):
        if start >= limit:
            break
        end = before.find("\n", start)
        line = before[start : end if end >= 0 else len(before)]
        if opens_context(line):
            label = line.replace("\uff1a", ":").partition(":")[0]
            return before[: start if _PURE_LABEL.fullmatch(label) else start + len(label)]
        if end < 0:
            break
        start = end + 1
    return before[:limit] if limit < len(before) else None


def _is_intro(part: str, *, weak: bool = False) -> bool:
    """Return whether the text around the context can only be instructions about a question."""
    if not part.strip() or _PERSONA.fullmatch(part):
        return True
    cue = _CUE if weak else _STRONG_CUE
    if _MARK.search(part) or not cue.search(part):
        return False
    return not (_ASKER_LINE.search("\n" + part) or _MAKES_QUESTIONS.search(part))


def _beside(text: str, low: str, marked: list[Span]) -> Span | None:
    """Return the plain question that stands alone before or after the marked-off context."""
    if not marked or any(text[a[1] : b[0]].strip() for a, b in pairwise(marked)):
        return None
    before, after = (0, marked[0][0]), (marked[-1][1], len(text))
    if not text[after[0] :].strip():
        before, after = after, before
    elif not _is_intro(low[: before[1]], weak=True):
        return None
    question = text[slice(*after)].strip()
    if is_asking(question) and is_plain(question, colons=False, lead=False):
        return after
    return None
