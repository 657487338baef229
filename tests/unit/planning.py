"""Plans driven by hand: every effect is answered from a table and noted, nothing is performed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aegis_llm import codec
from aegis_llm import plan as p
from aegis_llm.config import CacheConfig
from aegis_llm.keys import exact_key, query_hash, scope_hash
from aegis_llm.matching import Matcher
from aegis_llm.questions import Split, find_question
from aegis_llm.values import Answer, Control, Entry, Request

NOW = 1_700_000_000_000
DIGEST = "sha256:abc"
VECTOR = np.array([0.6, 0.8], np.float32).tobytes()
QUESTION = "How do I water a cactus?"


class Flight:
    """Stands for a flight: notes what its leader does with it."""

    def __init__(self) -> None:
        self.abandoned = 0

    def abandon(self) -> None:
        self.abandoned += 1


class Hand:
    """Answers effects: a value, an exception to throw, or a function of the effect."""

    def __init__(self, **replies: Any) -> None:
        self.flight = Flight()
        self.replies: dict[str, Any] = {
            "Digest": DIGEST,
            "GetLocal": None,
            "KeepLocal": None,
            "GetExact": None,
            "Drop": None,
            "Join": p.Seat(flight=self.flight),
            "Embed": VECTOR,
            "Nearest": [],
            "Settle": None,
            "Put": None,
            "Recall": None,
            "Judge": False,
            **replies,
        }
        self.log: list[Any] = []

    @property
    def names(self) -> list[str]:
        """The kinds of the effects, in order."""
        return [type(effect).__name__ for effect in self.log]

    def effects(self, kind: type) -> list[Any]:
        """The effects of one kind."""
        return [effect for effect in self.log if type(effect) is kind]

    def reply(self, effect: Any) -> Any:
        """Note the effect and return its reply, or raise it."""
        self.log.append(effect)
        reply = self.replies[type(effect).__name__]
        if isinstance(reply, Exception):
            raise reply
        return reply(effect) if isinstance(reply, Callable) else reply  # type: ignore[arg-type]

    def drive(self, plan: p.Plan[Any]) -> Any:
        """Drive a plan to its end."""
        try:
            effect = next(plan)
            while True:
                try:
                    result = self.reply(effect)
                except Exception as exc:  # noqa: BLE001 - the plan decides what it means
                    effect = plan.throw(exc)
                else:
                    effect = plan.send(result)
        except StopIteration as stop:
            return stop.value


def rules(*, semantic: bool = True, now: int = NOW, random: float = 0.0, **cache: Any) -> p.Rules:
    """Rules with a clock that stands still."""
    settings = CacheConfig(**cache)
    return p.Rules(settings, Matcher(settings), semantic, lambda: now, lambda: random)


def ask(question: str = QUESTION, **changes: Any) -> Request:
    """A request whose last message is the question."""
    given: dict[str, Any] = {
        "model": "m:latest",
        "messages": ({"role": "system", "content": "s"}, {"role": "user", "content": question}),
        "params": {"options": {"temperature": 0.5}},
    }
    return Request(**(given | changes))


def hash_of(request: Request, control: Control | None = None, digest: str = DIGEST) -> str:
    """The hash that the plan gives a request."""
    return query_hash(request, digest, control or Control())


def key_of(request: Request, control: Control | None = None) -> str:
    """The key that the plan looks for."""
    return exact_key("default", hash_of(request, control), request)


def scope_of(request: Request, control: Control | None = None) -> str:
    """The scope in which the plan looks for a reworded question."""
    split = find_question(request.messages)
    assert isinstance(split, Split)
    return scope_hash(request, DIGEST, control or Control(), split.index, split.start, split.end)


def entry_for(request: Request, **changes: Any) -> Entry:
    """An entry that answers the request."""
    given: dict[str, Any] = {
        "key": hash_of(request),
        "answers": (Answer(text="Rarely.", prompt_tokens=7, completion_tokens=3),),
        "created_ms": NOW - 5_000,
        "expires_ms": NOW + 60_000,
    }
    return Entry(**(given | changes))


def near(question: str, /, **changes: Any) -> bytes:
    """The bytes of an entry that answers a reworded question in the scope of `ask()`."""
    request = ask()
    given = {"key": "e" * 64, "scope": scope_of(request), "question": question}
    return codec.encode(entry_for(request, **(given | changes)))


def opened(
    hand: Hand, request: Request | None = None, control: Control | None = None, **settings: Any
) -> p.Opened:
    """Drive `open_plan` with this hand."""
    plan = p.open_plan(request or ask(), control or Control(), rules(**settings))
    result: p.Opened = hand.drive(plan)
    return result
