"""What the cache would do with a request and why, as data and for the eyes of a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from aegis_llm.explanation.words import ago, in_words, shown
from aegis_llm.values import Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLOURS = {"miss": "yellow", "bypass": "red"}


class Weighed(msgspec.Struct, frozen=True):
    """A stored question that was compared with the one asked, and the decision about it.

    `served` says that its answer is the one to be served, `elsewhere` what else differs when it
    belongs to another scope, so that it cannot be served whatever the decision; empty within the
    scope. `known` is what was learnt about the two questions before. The rest is as in `Decision`,
    after what was learnt: an approved pair that is `grey` is accepted, a refused one is not.
    """

    question: str | None
    similarity: float
    accept: bool
    reason: str
    vetoes: tuple[str, ...]
    score: float | None
    threshold: float | None
    age_s: float
    entry_id: str
    model: str = ""
    documents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    served: bool = False
    elsewhere: str = ""
    grey: bool = False
    known: Literal["", "same", "different"] = ""

    @property
    def verdict(self) -> str:
        """The decision in words."""
        approved = ", approved before" if self.known == "same" else ""
        if self.served:
            return f"served{approved}"
        names = dict.fromkeys(filter(None, (self.reason, *self.vetoes)))
        told = "; ".join(f"{name} ({in_words(name)})" for name in names) or "the same question"
        if self.reason in ("below_score", "below_threshold"):
            told = f"{self.reason}, near enough for a judge" if self.grey else self.reason
        return f"{told}{approved}" + (f", but {self.elsewhere}" if self.elsewhere else "")


class Explanation(msgspec.Struct, frozen=True):
    """What the cache would do with one request, and why; nothing was served or stored for it.

    Attributes:
        outcome: What would become of the request, as in `Origin`.
        reason: Why it would be no hit; empty on a hit.
        namespace: Where was looked.
        model: The model that would be asked.
        digest: Its digest; empty where it is not known or not needed.
        key: The Redis key of the exact tier; empty when the request has none.
        entry_id: The entry that would answer.
        age_s: Its age.
        local: Whether this process has a copy of the answer.
        exact: Whether the exact tier has the answer.
        question: What was told from its context; None: exact repeats only.
        no_question: Why there is none.
        route: "reuse", "exact_only" or "skip"; empty without a question.
        route_reason: What kept the question out of "reuse".
        scope: Hash of everything but the question; empty when nothing was looked for in it.
        candidates: The nearest entries of the scope, nearest first, without the one of this very
            request.
        by_meaning: The outcome if no exact copy existed, with `by_meaning_reason`.
        elsewhere: The nearest entries of other scopes, where they were asked for.
        in_the_way: What did not answer, or is not there: "redis_down", "no_embeddings", ...
        not_cached_error: Whether `only_if_cached` would make this an exception, for sure.
    """

    outcome: Outcome
    reason: str = ""
    namespace: str = ""
    model: str = ""
    digest: str = ""
    key: str = ""
    entry_id: str | None = None
    age_s: float | None = None
    local: bool = False
    exact: bool = False
    question: str | None = None
    no_question: str = ""
    route: str = ""
    route_reason: str = ""
    scope: str = ""
    candidates: tuple[Weighed, ...] = ()
    by_meaning: Outcome | None = None
    by_meaning_reason: str = ""
    elsewhere: tuple[Weighed, ...] = ()
    in_the_way: tuple[str, ...] = ()
    not_cached_error: bool = False

    @property
    def hit(self) -> bool:
        """Whether the model would be spared."""
        return self.outcome not in ("miss", "bypass")

    @property
    def sentence(self) -> str:
        """The outcome and the reason in one sentence."""
        age = f", stored {ago(self.age_s)} ago" if self.age_s is not None else ""
        if self.outcome == "hit_local":
            return f"A copy in this process would answer at once: the same request{age}."
        if self.outcome == "hit_exact":
            return f"Redis would answer: the same request{age}."
        if self.outcome == "hit_semantic":
            served = [one for one in self.candidates if one.served]
            asked = shown(served[0].question or "", 100) if served else ""
            return f'The answer to "{asked}" would be served{age}.'
        if self.reason == "judge_would_decide":
            return "A judge would decide whether a stored question is the same; if not, a miss."
        if self.not_cached_error:
            return f"NotCachedError would be raised: {in_words(self.reason)}."
        if self.outcome == "bypass":
            return f"The cache would leave it to the model: {in_words(self.reason)}."
        return f"The model would be asked: {in_words(self.reason)}."

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries and lists."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def __str__(self) -> str:
        lines = [f"{self.outcome}: {self.sentence}"]
        lines += [f"  {label:<11} {value}" for label, value in self._facts()]
        for one in (*self.candidates, *self.elsewhere):
            lines.append(f"  {_numbers(one)}  {shown(one.question or '?', 100)}")
            lines.append(f"      {one.verdict}")
        return "\n".join(lines)

    def __rich__(self) -> RenderableType:
        """Show the outcome, what led to it, and a table of the stored questions."""
        from aegis_llm.explanation.tables import explained

        return explained(self, _COLOURS.get(self.outcome, "green"), list(self._facts()))

    def _facts(self) -> Iterator[tuple[str, str]]:
        digest = f" ({shown(self.digest.removeprefix('sha256:'), 13)})" if self.digest else ""
        model = f"{shown(self.model)}{digest}, " if self.model else ""
        yield "request", f"{model}namespace {self.namespace}" if self.namespace else model
        if self.question is not None:
            yield "question", shown(self.question)
        elif self.no_question:
            yield "question", f"none: {self.no_question} ({in_words(self.no_question)})"
        if self.route:
            why = f": {self.route_reason} ({in_words(self.route_reason)})"
            yield "route", self.route + (why if self.route_reason else "")
        if self.key:
            yield "exact tier", f"{_has(self.exact)} in Redis, {_has(self.local)} in this process"
        if self.scope:
            count = len(self.candidates)
            plural = "" if count == 1 else "s"
            looked = f"{count or 'no'} other stored question{plural} looked at"
            yield "scope", f"{self.scope[:12]}…, {looked}"
        if self.by_meaning is not None and self.by_meaning != self.outcome:
            why = f": {self.by_meaning_reason} ({in_words(self.by_meaning_reason)})"
            yield "by meaning", self.by_meaning + (why if self.by_meaning_reason else "")
        for trouble in self.in_the_way:
            yield "in the way", f"{trouble} ({in_words(trouble)})"


def _has(there: bool) -> str:
    return "yes" if there else "no"


def _numbers(one: Weighed) -> str:
    score = "" if one.score is None else f" score {one.score:.3f}"
    needed = "" if one.threshold is None else f" of {one.threshold:.3f}"
    return f"similarity {one.similarity:.3f}{score}{needed}"


__all__ = ["Explanation", "Weighed"]
