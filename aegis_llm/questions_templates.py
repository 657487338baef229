"""Recognise the question-answering prompts that LangChain and LlamaIndex ship.

A row says how a prompt begins (`head`), what stands right before the question (`opening`) and
right after it (`closing`). `place` says which of them can be trusted, and so why context text
can never end up in the question:

- `early`: only fixed text precedes the question, so its first opening is the real one, and the
  question ends at the first closing after it.
- `late`: only fixed text follows the question, so the message ends with the closing, and the
  question starts at the last opening.
- `middle`: variable text on both sides; opening and closing must each be there exactly once.

An early or late question that repeats an opening or closing is cut short, never lengthened: the
rest of it stays in the scope.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec


class Template(msgspec.Struct, frozen=True):
    """One known prompt; see the module for the meaning of the fields."""

    place: Literal["early", "late", "middle"]
    head: str
    opening: str
    closing: str


_LINE = "-" * 21
_CONDENSE = "Given the following conversation"
_JACKSON = "FINAL ANSWER: The president did not mention Michael Jackson.\n"
_PARTS = "Given the following extracted parts of a long document and a question, create a"
_CITE = "Please provide an answer based solely on the provided sources."
_REFINES = "We have provided an existing answer"
_TASK = "give a response to the following task: "

TEMPLATES: tuple[Template, ...] = (
    # LlamaIndex: query engines and response synthesizers
    Template(
        "late",
        f"Context information is below.\n{_LINE}\n",
        f"\n{_LINE}\nGiven the context information and not prior knowledge, answer the query.\n"
        "Query: ",
        "\nAnswer:",
    ),
    Template(
        "late",
        f"Context information from multiple sources is below.\n{_LINE}\n",
        f"\n{_LINE}\nGiven the information from multiple sources and not prior knowledge, "
        "answer the query.\nQuery: ",
        "\nAnswer:",
    ),
    Template("early", "", "The original query is as follows: ", f"\n{_REFINES}: "),
    Template("middle", "New Context:\n", "\nQuery: ", "\nOriginal Answer: "),
    Template(
        "middle",
        "You are an expert Q&A system that strictly operates in two modes",
        "\nQuery: ",
        "\nOriginal Answer: ",
    ),
    Template("late", _CITE, "\n------\nQuery: ", "\nAnswer:"),
    Template("late", "We have provided a table schema below.", _TASK, ""),
    Template("middle", "We have provided a table schema below.", _TASK, f"\n{_REFINES}: "),
    # LlamaIndex: chat engines
    Template(
        "late",
        "Given a conversation (between Human and Assistant) and a follow up message",
        "\n<Follow Up Message>\n",
        "\n<Standalone question>",
    ),
    # LangChain: retrieval chains
    Template(
        "late",
        "Use the following pieces of context to answer the question at the end.",
        "\n\nQuestion: ",
        "\nHelpful Answer:",
    ),
    Template(
        "late",
        "Use the following pieces of context to answer the question at the end.",
        "\n---------\nQuestion: ",
        "\nHelpful Answer:",
    ),
    Template(
        "late",
        "Use the following portion of a long document",
        "\nQuestion: ",
        "\nRelevant text, if any:",
    ),
    Template("early", _PARTS, f"{_JACKSON}SOURCES:\n\nQUESTION: ", "\n=========\n"),
    Template("early", _PARTS, f"{_JACKSON}\nQUESTION: ", "\n=========\n"),
    Template("early", "", "The original question is as follows: ", f"\n{_REFINES}"),
    Template(
        "late",
        "Context information is below.",
        "\nGiven the context information and not prior knowledge, answer the question: ",
        "",
    ),
    Template("late", _CONDENSE, "\nFollow Up Input: ", "\nStandalone question:"),
    Template("late", _CONDENSE, "\n  Follow Up Input: ", "\n  Standalone question:"),
    # LangChain: the documentation's prompts
    Template(
        "early",
        "You are an assistant for question-answering tasks.",
        "keep the answer concise.\nQuestion: ",
        "\nContext:",
    ),
    Template(
        "early",
        "You are an assistant for question-answering tasks.",
        "keep the answer concise.\n\nQuestion: ",
        "\n\nContext:",
    ),
    Template(
        "late", "Answer the question based only on the following context:", "\n\nQuestion: ", ""
    ),
    Template(
        "late",
        "Answer the question based only on the following context:",
        "\n\n---\n\nAnswer the question based on the above context: ",
        "",
    ),
    # LangChain: conversation, agents, mathematics
    Template(
        "late",
        "The following is a friendly conversation between a human and an AI.",
        "\nHuman: ",
        "\nAI:",
    ),
    Template(
        "early",
        "Translate a math problem into a expression",
        "\nAnswer: 8.222831614237718\n\nQuestion: ",
        "",
    ),
    Template(
        "middle",
        "Answer the following questions as best you can.",
        "\nBegin!\n\nQuestion: ",
        "\nThought:",
    ),
    Template(
        "early",
        "Question: Who lived longer, Muhammad Ali or Alan Turing?",
        "So the final answer is: No\n\nQuestion: ",
        "\nAre follow",
    ),
    Template(
        "early",
        "Question: What is the elevation range for the area that the eastern sector",
        "Action: Finish[yes]\n\n\nQuestion: ",
        "\n",
    ),
)


def cuts(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield start and end of the question for each known prompt that `text` may be.

    The third value says whether fixed text closes the question; if not, whatever follows the
    opening is taken, and the caller has to look harder at it.
    """
    begin = len(text) - len(text.lstrip())
    for template in TEMPLATES:
        if text.startswith(template.head or template.opening, begin):
            span = _CUTS[template.place](text, begin, template)
            if span is not None:
                yield (*span, bool(template.closing))


def _early(text: str, begin: int, template: Template) -> tuple[int, int] | None:
    start = text.find(template.opening, begin)
    if start < 0:
        return None
    start += len(template.opening)
    end = text.find(template.closing, start) if template.closing else len(text)
    return (start, end) if end >= 0 else None


def _late(text: str, begin: int, template: Template) -> tuple[int, int] | None:
    end = len(text.rstrip()) - len(template.closing)
    if end < 0 or not text.startswith(template.closing, end):
        return None
    start = text.rfind(template.opening, begin, end)
    return (start + len(template.opening), end) if start >= 0 else None


def _middle(text: str, begin: int, template: Template) -> tuple[int, int] | None:
    if text.count(template.opening, begin) != 1:
        return None
    start = text.find(template.opening, begin) + len(template.opening)
    if text.count(template.closing, start) != 1:
        return None
    return start, text.find(template.closing, start)


_CUTS = {"early": _early, "late": _late, "middle": _middle}
