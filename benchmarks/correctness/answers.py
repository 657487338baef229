"""Wrong answers: questions over one context, histories, look-alikes and paraphrases."""

from __future__ import annotations

from collections import Counter

from langchain_core.messages import HumanMessage, SystemMessage

from aegis_llm import observe
from aegis_llm.testing import OllamaSimulator
from benchmarks.common.parts import MODEL, Bench
from benchmarks.common.report import Table
from benchmarks.correctness import texts
from benchmarks.correctness.asking import Asking, Question
from benchmarks.correctness.pairs import NEAR_MISSES, PARAPHRASES
from benchmarks.correctness.systems import Make, System

CHAT = "/api/chat"


def measure(bench: Bench, systems: list[System]) -> list[Table]:
    """Ask every system the same questions."""
    table = Table(
        "Wrong answers, of the simulated model's own",
        ("wrong answers of all requests (hits)", *(system.name for system in systems)),
        note=(
            "Every request is also sent to the model without a cache; another answer than that "
            "is wrong. The requests of a row differ: nothing may be served until they come again."
        ),
    )
    pairs = Table(
        "Look-alikes and paraphrases",
        ("", *(system.name for system in systems)),
        note=(
            f"{len(NEAR_MISSES)} pairs whose answers differ and {len(PARAPHRASES)} pairs that ask "
            "the same, written for this table, each question alone in its message; no sample of "
            "real traffic. First all questions on the left are asked, then those on the right."
        ),
    )
    reasons: Counter[str] = Counter()
    with OllamaSimulator() as ollama:
        asking = Asking(lambda: ollama.count(CHAT), model=MODEL, base_url=ollama.base_url)
        for what, questions in _rows().items():
            assert len({asking.truth(question) for question in questions}) >= 19, what
            row, again = [], []
            for system in systems:
                make = _open(bench, system, what)
                with observe() as seen:
                    row.append(str(asking.ask(make, questions)))
                if system.ours:
                    reasons.update(origin.reason for origin in seen)
                again.append(str(asking.ask(make, questions)))
            table.rows.append((what, *row))
            table.rows.append(("- the same 20 once more", *again))
        told = ", ".join(f"{name or 'hit'} {count}" for name, count in reasons.most_common())
        table.note += f" Why ChatAegis and AegisCache served no other answer: {told}."
        false, recall, wrong = [], [], []
        for system in systems:
            make = _open(bench, system, "pairs")
            asking.ask(make, [Question(left) for left, _ in NEAR_MISSES])
            score = asking.ask(make, [Question(right) for _, right in NEAR_MISSES])
            false.append(f"{score.hits} of {score.asked}")
            make = _open(bench, system, "paraphrases")
            asking.ask(make, [Question(left) for left, _ in PARAPHRASES])
            served = strange = 0
            for left, right in PARAPHRASES:
                before = ollama.count(CHAT)
                answer = asking.answer(make, Question(right))
                if ollama.count(CHAT) == before:
                    served += 1
                    strange += answer != asking.truth(Question(left))
            recall.append(f"{served - strange} of {len(PARAPHRASES)}")
            wrong.append(f"{strange} of {len(PARAPHRASES)}")
    pairs.rows += [
        ("look-alikes answered from the cache (all wrong)", *false),
        ("paraphrases answered with the answer of their pair", *recall),
        ("paraphrases answered with another pair's answer (wrong)", *wrong),
    ]
    return [table, pairs]


def _rows() -> dict[str, list[Question]]:
    system = SystemMessage(f"Answer from the context only.\n\nContext:\n{texts.CONTEXT}")
    return {
        "20 questions over one context in the system message": [
            Question([system, HumanMessage(question)]) for question in texts.QUESTIONS
        ],
        "20 questions over one context inside one message": [
            Question(texts.IN_ONE_MESSAGE.format(context=texts.CONTEXT, question=question))
            for question in texts.QUESTIONS
        ],
        "one history of two turns, 20 last questions": [
            Question([*texts.HISTORY, ("human", question)]) for question in texts.LAST_QUESTIONS
        ],
        "20 histories, one last question": [
            Question(
                [
                    ("human", f"Through which towns does the {subject} flow?"),
                    ("ai", f"The {subject} flows through several towns."),
                    ("human", texts.SAME_LAST_QUESTION),
                ]
            )
            for subject in texts.SUBJECTS
        ],
    }


def _open(bench: Bench, system: System, what: str) -> Make:
    bench.clear()
    name = "".join(c for c in what.lower() if c.isalnum())[:40]
    return system.open(bench.url, f"{bench.namespace}{name}")
