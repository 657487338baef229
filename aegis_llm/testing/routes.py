"""The routes of the simulated server: which request goes where, and all but the generation."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from typing import Any

from aegis_llm.testing import models as catalogue
from aegis_llm.testing.clock import Clock
from aegis_llm.testing.embedders import Embedder
from aegis_llm.testing.embedding import Embedding
from aegis_llm.testing.engine import Engine
from aegis_llm.testing.faults import Faults
from aegis_llm.testing.inference import Inference, answer_status
from aegis_llm.testing.loopback import TEXT, Exchange
from aegis_llm.testing.memory import loaded_bytes
from aegis_llm.testing.models import SimulatedModel
from aegis_llm.testing.requests import RefusedError, parse
from aegis_llm.testing.runners import Runner
from aegis_llm.testing.showing import show
from aegis_llm.testing.wire import encode, rfc3339

_ROUTES = {
    "/": ("HEAD", "GET"),
    "/api/version": ("HEAD", "GET"),
    "/api/status": ("GET",),
    "/api/tags": ("HEAD", "GET"),
    "/api/ps": ("GET",),
    "/api/show": ("POST",),
    "/api/chat": ("POST",),
    "/api/generate": ("POST",),
    "/api/embed": ("POST",),
    "/api/embeddings": ("POST",),
}
_HOSTS = ("127.0.0.1", "localhost", "")


class Routes:
    """Answer every request of the simulated server."""

    def __init__(
        self,
        models: MutableMapping[str, SimulatedModel],
        engine: Engine,
        clock: Clock,
        embedder: Embedder,
        faults: Faults,
        gate: threading.Event,
        version: str,
    ) -> None:
        self._models = models
        self._engine = engine
        self._began = clock.time() - clock.monotonic()
        self._version = version
        self._faults = faults
        self._pulled_at = rfc3339(clock.time())
        self._inference = Inference(models, engine, clock, faults, gate)
        self._embedding = Embedding(models, engine, clock, faults, embedder)
        self._reads: dict[str, Callable[[], Any]] = {
            "/api/version": lambda: {"version": self._version},
            "/api/status": lambda: {"cloud": {"disabled": True, "source": "env"}},
            "/api/tags": self._tags,
            "/api/ps": self._ps,
        }

    def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.path
        methods = _ROUTES.get(path)
        if exchange.headers.get("host", "").partition(":")[0] not in _HOSTS:
            exchange.answer(403, b"", "")
        elif methods is None and exchange.method in _ROUTES.get(path.rstrip("/"), ()):
            location = path.rstrip("/")
            page = f'<a href="{location}">Moved Permanently</a>.\n\n'.encode()
            status, body = (301, page) if exchange.method == "GET" else (307, b"")
            exchange.answer(status, body, "text/html; charset=utf-8", {"Location": location})
        elif methods is None:
            exchange.answer(404, b"404 page not found", "text/plain")
        elif exchange.method not in methods:
            allow = {"Allow": ", ".join(methods)}
            exchange.answer(405, b"405 method not allowed", "text/plain", allow)
        elif path == "/":
            exchange.answer(200, b"Ollama is running", TEXT)
        elif path in self._reads:
            if not self._misbehaves(exchange):
                exchange.answer(200, encode(self._reads[path]()))
        else:
            try:
                self._work(path, exchange)
            except RefusedError as error:
                exchange.answer(error.status, encode({"error": error.text}), error.content_type)

    def _misbehaves(self, exchange: Exchange) -> bool:
        """Return whether a fault answers, where something is only told."""
        fault = self._faults.take(exchange.path, works=False)
        if fault and fault.kind == "reset":
            exchange.reset()
        return bool(fault and answer_status(fault, exchange))

    def _work(self, path: str, exchange: Exchange) -> None:
        body = parse(path, exchange.body)
        if path == "/api/show":
            if not self._misbehaves(exchange):
                exchange.answer(200, encode(self._show(body)))
        elif path in ("/api/chat", "/api/generate"):
            self._inference.run(path, body, exchange)
        else:
            self._embedding.run(path, body, exchange)

    def _tags(self) -> dict[str, Any]:
        entries = [
            catalogue.tag_entry(name, model, self._pulled_at)
            for name, model in self._models.items()
        ]
        return {"models": entries}

    def _ps(self) -> dict[str, Any]:
        return {
            "models": [
                {
                    "name": runner.name,
                    "model": runner.name,
                    "size": self._size(runner),
                    "digest": self._models.get(runner.name, runner.model).digest(runner.name),
                    "details": catalogue.details(runner.model),
                    "expires_at": rfc3339(self._began + runner.expires_at),
                    "size_vram": self._size(runner),
                    "context_length": runner.options.num_ctx,
                }
                for runner in self._engine.running()
            ]
        }

    def _size(self, runner: Runner) -> int:
        options, kind = runner.options, self._engine.limits.kv_cache_type
        return loaded_bytes(
            runner.model, options.num_ctx, runner.slots.parallel, options.num_batch, kind
        )

    def _show(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = body.get("model") or body.get("name")
        if not asked:
            raise RefusedError(400, "model is required")
        name = catalogue.find(asked, self._models)
        if name is None:
            raise RefusedError(400, "invalid model name")
        if name not in self._models:
            raise RefusedError(404, f"model '{name}' not found")
        verbose = bool(body.get("verbose"))
        return show(name, self._models[name], self._pulled_at, verbose=verbose)
