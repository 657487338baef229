"""The prompts of a bench: the same for the same seed, of given lengths. Pure.

Where speed is measured, a prompt differs from all others from its first word on: a slot that held
its beginning already would read it in no time, and the figure would be that of the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from aegis_llm.bench.handbook import DOCUMENTS, FACTS, WORDS

Messages = list[dict[str, Any]]
_TASK = "Tell a long story in which all of these occur, and do not stop early:"
_ROLE = "Answer the question by the handbook below, in a few sentences."
_USUAL = 1.35
QUESTION_TOKENS = 25
"""About: of a question with what is around it."""


class Ruler(NamedTuple):
    """How many tokens a model makes of a prompt: some of its own, and so many for each word."""

    each: float = _USUAL
    fixed: float = 20.0

    def words(self, tokens: int) -> int:
        """Return how many words make a prompt of about so many tokens."""
        return max(1, round((tokens - self.fixed) / self.each))

    def tokens(self, words: int) -> float:
        """Return about how many tokens a prompt of so many words is."""
        return self.fixed + words * self.each


class Ask(NamedTuple):
    """One request of the cache traffic; requests of the same `meaning` have the same answer."""

    question: str
    meaning: str
    label: str


def ruler(short: tuple[int, int], long: tuple[int, int]) -> Ruler:
    """Return the ruler that two prompts show, each as its words and its tokens."""
    words, tokens = long[0] - short[0], long[1] - short[1]
    if words <= 0 or tokens <= 0:
        return Ruler()
    each = tokens / words
    return Ruler(each, max(0.0, short[1] - short[0] * each))


def cold(seed: int, mark: str, words: int, run: str = "") -> Messages:
    """Return a prompt that no slot has read before; `mark` names it, for a given seed.

    `run` names the run: a server may still hold the prompts of another one with the same seed.
    """
    random = _random(seed, mark)
    first = f"{_number(mark, run)}: "  # first of all: what stands before it is read once
    listed = " ".join(random.choice(WORDS) for _ in range(words))
    return [{"role": "user", "content": f"{first}{_TASK} {listed}."}]


def document_tokens(count: int) -> int:
    """Return about how many tokens so many documents are."""
    return round(_USUAL * sum(len(text.split()) for text in DOCUMENTS[:count]))


def with_documents(
    mark: str, question: str, run: str = "", count: int = len(DOCUMENTS)
) -> Messages:
    """Return a question below documents; those of the same `mark` begin with the same tokens."""
    documents = "\n\n".join(DOCUMENTS[:count])
    system = f"Edition {_number(mark, run)}. {_ROLE}\n\nContext:\n{documents}"
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]


def document_questions(seed: int, count: int) -> list[str]:
    """Return different questions about the documents."""
    texts = [text for fact in FACTS for text in (fact.question, fact.look_alike)]
    _random(seed, "document questions").shuffle(texts)
    return [texts[n % len(texts)] for n in range(count)]


def traffic(seed: int, count: int, shares: Sequence[float]) -> list[Ask]:
    """Return the requests of the cache traffic: exact repeats, rewordings and new questions.

    The first is new, and only what was asked can be repeated. New ones are facts, look-alikes of
    them, and questions that a number makes new. Each rewording comes once: where they run out,
    exact repeats stand for them.
    """
    random = _random(seed, "traffic")
    new = _new(random, max(1, round(count * shares[2])))
    labels = ["reworded"] * round(count * shares[1])
    labels += ["exact"] * max(0, count - len(labels) - len(new))
    labels += ["new"] * (len(new) - 1)
    random.shuffle(labels)
    labels.append("new")  # the first, since they are taken from the end
    said: dict[str, list[str]] = {}
    made: list[Ask] = []
    while labels and len(made) < count:
        fresh = [(m, t) for m in said for t in _REWORDED.get(m, ()) if t not in said[m]]
        if labels[-1] == "reworded" and not fresh:
            _postpone(labels)
        label = labels.pop()
        if label == "new":
            meaning = new.pop(0)
            text = _QUESTIONS.get(meaning, meaning)
        elif label == "reworded":
            meaning, text = random.choice(fresh)
        else:
            meaning = random.choice(list(said))
            text = random.choice(said[meaning])
        said.setdefault(meaning, []).append(text)
        made.append(Ask(text, meaning, label))
    return made


def _postpone(labels: list[str]) -> None:
    """Put a new question before the rewording that is next; with none left it is a repeat."""
    place = next((n for n in range(len(labels) - 1, -1, -1) if labels[n] == "new"), None)
    if place is None:
        labels[-1] = "exact"
    else:
        labels[place], labels[-1] = labels[-1], labels[place]


_QUESTIONS = {f"{n}": fact.question for n, fact in enumerate(FACTS)}
_QUESTIONS |= {f"{n} not": fact.look_alike for n, fact in enumerate(FACTS)}
_REWORDED = {f"{n}": fact.rewordings for n, fact in enumerate(FACTS)}


def _new(random: Random, count: int) -> list[str]:
    order = [f"{n}" for n in range(len(FACTS))]
    random.shuffle(order)
    facts = order[: max(1, count - max(1, count // 4))]
    like = [f"{one} not" for one in facts][: count - len(facts)]
    others = [_another(random) for _ in range(count - len(facts) - len(like))]
    rest = [*facts[1:], *like, *others]
    random.shuffle(rest)
    return [*facts[:1], *rest][:count]


def _another(random: Random) -> str:
    return f"What does paragraph {random.randrange(10**6)} of the handbook say?"


def _number(mark: str, run: str) -> int:
    return _random(0, f"{mark} {run}").randrange(10**7, 10**8)


def _random(seed: int, what: str) -> Random:
    return Random(f"{seed} {what}")  # noqa: S311 - the same ones each time are the point
