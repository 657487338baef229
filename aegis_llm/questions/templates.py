"""Recognise the question-answering prompts that LangChain and LlamaIndex ship.

A row says how a prompt begins (`head`), what stands right before the question (`opening`) and
right after it (`closing`). `place` says which of them can be trusted, and so why context text
can never end up in the question:

- `early`: only fixed text precedes the question, so its first opening is the real one, and the
  question ends at the first closing after it.
- `late`: only fixed text follows the question, so the message ends with the closing, and the
  question starts at the last opening.
- `middle`: variable text on both sides. Either the opening is there once, then the question ends
  at the first closing after it; or the closing is, then it starts at the last opening before it.

So a question that itself repeats an opening or closing is cut short, never lengthened: the rest
of it stays in the scope.
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
_ORIGINAL = "The original question is given below."
_HUMAN_ANSWERS = "You are an assistant that helps to form nice and human understandable answers."
_CYPHER = "Task:Generate Cypher statement to query a graph database."
_SQL = "Given an input question, first create a syntactically correct"
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
    Template("late", "A list of documents is shown below.", "\nQuestion: ", "\nAnswer:"),
    Template(
        "early",
        "Given an input question, synthesize a response from the query results.",
        "from the query results.\nQuery: ",
        "\nSQL: ",
    ),
    Template("early", _ORIGINAL, "\n\nOriginal question: ", "\nGraph query: "),
    Template("early", _ORIGINAL, "\n\nOriginal question: ", "\nSQL query: "),
    Template(
        "early",
        _HUMAN_ANSWERS,
        "Follow this example when generating answers.\n        Question:\n",
        "\n        Information:",
    ),
    Template(
        "early",
        "Skill 1. Use the Search API",
        "Try to limit generation to one sentence if possible.\n\n\nQuery: ",
        "\nExisting Answer: ",
    ),
    Template("late", _CYPHER, "\nThe question is:\n", ""),
    Template(
        "late",
        "Please write a passage to answer the question\nTry to include",
        "key details as possible.\n\n\n",
        '\n\n\nPassage:"""',
    ),
    Template(
        "late",
        "You are a helpful assistant that generates multiple search queries",
        "\nQuery: ",
        "\nQueries:",
    ),
    Template("middle", "Some choices are given below.", " relevant to the question: '", "'\n"),
    Template("late", "You are given a table named:", "\nQuestion: ", "\nSQLQuery:"),
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
    Template("late", _HUMAN_ANSWERS, "\n\nQuestion: ", "\nHelpful Answer:"),
    Template("late", _SQL, "\n\nQuestion: ", "\nSQLQuery:"),
    Template("late", _SQL, "\n\nQuestion: ", ""),
    Template("middle", "You are given the below API Documentation:", "\nQuestion:", "\nAPI url:"),
    Template(
        "early",
        "Given an input question and relevant data from a database",
        "Answer: Final answer here\n\nQuestion: ",
        "\nData: ",
    ),
    Template(
        "middle",
        "Respond to the user message using any relevant context.",
        "\n>>> USER INPUT: ",
        "\n>>> RESPONSE:",
    ),
    Template(
        "late",
        "You are an AI language model assistant.",
        "separated by newlines. Original question: ",
        "",
    ),
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
        "late",
        "You are an assistant to a human, powered by a large language model",
        "\nLast line:\nHuman: ",
        "\nYou:",
    ),
    Template(
        "middle",
        "Assistant is a large language model trained by OpenAI.",
        "\nNew input: ",
        "\n",
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

_START = 8
_BY_START: dict[str, list[Template]] = {}
for _template in TEMPLATES:
    _BY_START.setdefault((_template.head or _template.opening)[:_START], []).append(_template)


def cuts(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield start and end of the question for each known prompt that `text` may be.

    The third value says whether fixed text closes the question; if not, whatever follows the
    opening is taken, and the caller has to look harder at it.
    """
    begin = len(text) - len(text.lstrip())
    for template in _BY_START.get(text[begin : begin + _START], ()):
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
    opening, closing = template.opening, template.closing
    if text.count(opening, begin) == 1:
        start = text.find(opening, begin)
        end = text.find(closing, start + len(opening))
    elif text.count(closing, begin) == 1:
        end = text.find(closing, begin)
        start = text.rfind(opening, begin, end)
    else:
        return None
    return (start + len(opening), end) if 0 <= start < end else None


_CUTS = {"early": _early, "late": _late, "middle": _middle}
