"""What the tests of learning share: a sure matcher, a model that judges, what is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aegis_llm import observe, wiring
from aegis_llm.keys import edition_of, scope_hash
from aegis_llm.matching import Decision, Verdict
from aegis_llm.testing.reading import Reading
from aegis_llm.values import Candidate, Control
from tests.langchain.kit import Kit, until

FIRST = "How do I reset my password?"
REWORDED = "What is the way to reset my password?"
ANSWER = "Open the settings and choose Reset."


class Matcher:
    """Stands for a matcher that is sure of everything, or sure of nothing."""

    grey = False
    scores = True
    threshold = 0.95

    def __init__(self, config: Any, embedder: str | None = None) -> None:
        pass

    def decide(self, asked: str, cached: str, similarity: float) -> Decision:
        return Decision(not self.grey, grey=self.grey)

    def choose(self, asked: str, candidates: Sequence[Candidate]) -> Verdict:
        nearest = max(candidates, key=lambda one: one.similarity, default=None)
        if nearest is None:
            return Verdict(None, "no_candidate")
        if self.grey:
            return Verdict(None, "below_score", grey=nearest)
        return Verdict(nearest, "")


class Model:
    """What the simulated model says: to the judge, and to everybody else."""

    def __init__(self) -> None:
        self.judges = "YES"
        self.says: str | Callable[[str], str] = ANSWER

    def __call__(self, reading: Reading) -> str:
        if "question_a" in reading.question or "answer_a" in reading.question:
            return self.judges
        return self.says if isinstance(self.says, str) else self.says(reading.question)


def judged(kit: Kit) -> list[Any]:
    """The calls that asked the judge."""
    return [c for c in kit.ollama.calls if "Reply YES or NO." in str(c.body.get("messages"))]


def idle(llm: Any) -> Any:
    """Wait until the background has done its work; return the service."""
    service = llm._answering.service
    until(lambda: service.learner.idle)
    return service


def verdict(llm: Any, asked: str = REWORDED, cached: str = FIRST) -> str | None:
    """What is known of the pair."""
    service, request = llm._answering.service, request_of(llm, asked)
    digest = service.digests.known(request.server, request.model) or ""
    edition = edition_of(None, service.rules.state().version)
    scope = scope_hash(request, digest, Control(), 0, 0, len(asked), edition)
    found: str | None = service.rules.learned.verdict(asked, cached, scope)
    return found


def anew(llm: Any) -> Any:
    """Forget the services of this process, as a restart does."""
    llm._answering.service.learner.notebook.write()
    wiring.forget_all()


def missed_id(llm: Any, question: str) -> str:
    """The id of the entry that a question has of its own."""
    with observe() as seen:
        llm.invoke(question)
    assert seen[-1].entry_id is not None
    return seen[-1].entry_id


def request_of(llm: Any, question: str) -> Any:
    """The request that a question makes."""
    from langchain_core.messages import HumanMessage

    return llm._request([HumanMessage(question)], None, {})


def forgotten(llm: Any, question: str) -> None:
    """Remove the entry that a question has of its own, as its expiry would."""
    llm._answering.service.store.notes.remove(missed_id(llm, question))
    llm._answering.service.local.clear()
