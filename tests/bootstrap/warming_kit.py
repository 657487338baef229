"""Both ways to warm up, and plans of a warm-up that are answered by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aegis_llm.bootstrap.warming import Warmed, WarmedServer, abootstrap, bootstrap
from aegis_llm.bootstrap.warming import effects as e
from aegis_llm.bootstrap.warming.plan import server_plan
from aegis_llm.drivers import run

MODEL = "llama3.1:8b"
URL = "http://gpu:11434"
SYSTEM = "You answer the questions of the customers of a shop. " * 40
NOBODY = "redis://127.0.0.1:1"
WAYS = ("blocking", "awaited")


def warm(way: str, *objects: Any, **settings: Any) -> Warmed:
    """Warm up in one of both ways."""
    if way == "blocking":
        return bootstrap(*objects, **settings)
    return asyncio.run(abootstrap(*objects, **settings))


def resident(name: str = MODEL, **changed: Any) -> dict[str, Any]:
    """Return a model as `/api/ps` tells it."""
    told = {"name": name, "size": 8 << 30, "size_vram": 8 << 30, "context_length": 8192}
    return {**told, "expires_at": "2026-11-27T10:38:31Z", **changed}


class Ollama:
    """Answers the effects of a plan: `replies` by path, each a body, an error, or made of both.

    The replies to a path are used up one by one; the last one stays.
    """

    def __init__(self, **replies: Any) -> None:
        usual: dict[str, Any] = {
            "version": {"version": "0.33.0"},
            "tags": {"models": [{"name": MODEL}, {"name": "all-minilm:latest"}]},
            "ps": [{"models": []}, {"models": [resident(), resident("all-minilm:latest")]}],
            "chat": {"done": True, "done_reason": "load"},
            "embed": {"embeddings": []},
            "show": {"model_info": {"llama.context_length": 131_072}},
            "sent": {"load_duration": 2_000_000, "prompt_eval_count": 900},
        }
        self.replies = {name: _list(reply) for name, reply in {**usual, **replies}.items()}
        self.log: list[Any] = []
        self.now = 0.0
        self.took = 0.0
        self.rate = 0.0

    def warmed(self, *models: e.Model, **wanted: Any) -> WarmedServer:
        """Run the plan of one server."""
        given = models or (e.Model(name=MODEL, options={"num_ctx": 8192}),)
        return run(server_plan(e.Wanted(url=URL, models=given, **wanted)), self.perform)

    def perform(self, effect: Any) -> Any:
        self.log.append(effect)
        match effect:
            case e.Clock():
                return self.now
            case e.Settle(_, options):
                return dict(options)
            case e.Tell() | e.Slots():
                return None
            case e.Rate():
                return self.rate
            case e.Send(bodies):
                return [self._sent() for _ in bodies]
            case e.Ask(_, path, _):
                self.now += self.took
                return e.Said(self._next(path.rpartition("/")[2]), self.took)
        raise TypeError(effect)

    def posted(self, path: str) -> list[Mapping[str, Any]]:
        """Return the bodies that were sent to a path beside the queue."""
        return [one.body for one in self.log if isinstance(one, e.Ask) and one.path == path]

    def told(self) -> list[bool]:
        """Return what the others in the process were told of the options."""
        return [one.worked for one in self.log if isinstance(one, e.Tell)]

    def _sent(self) -> Any:
        try:
            return e.Said(self._next("sent"), 0.5)
        except e.CallError as exc:
            return exc

    def _next(self, name: str) -> Any:
        replies = self.replies[name]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


def _list(reply: Any) -> list[Any]:
    return list(reply) if isinstance(reply, list) else [reply]
