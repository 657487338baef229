"""A server that speaks Ollama's protocol on loopback, for tests and demonstrations.

The model is simulated: its answers are taken from the given context, its timings are invented.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import msgspec

from aegis_llm.testing.clock import Clock, SystemClock
from aegis_llm.testing.embedders import Embedder, best_embedder
from aegis_llm.testing.engine import Engine, Limits
from aegis_llm.testing.faults import Faults
from aegis_llm.testing.loopback import Exchange, Server
from aegis_llm.testing.models import SimulatedModel, canonical, catalogue
from aegis_llm.testing.routes import Routes
from aegis_llm.testing.slots import TIMINGS, Timing
from aegis_llm.testing.wire import Json

DEFAULT_MODELS = ("llama3.1:8b", "all-minilm")
_WAIT_S = 10.0


@dataclass(frozen=True)
class Call:
    """One request that reached the server.

    Attributes:
        method: HTTP method.
        path: Route, without a query.
        body: The JSON object of the body; empty when there is none.
        headers: Header fields, names in lower case.
    """

    method: str
    path: str
    body: Json = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class OllamaSimulator:
    """A simulated Ollama on `127.0.0.1`; use it as a context manager, or `start` and `stop`.

    Args:
        models: Names, or names with their `SimulatedModel`. Names tell what a model can do:
            `all-minilm` embeds, `qwen3` thinks.
        num_parallel: Requests that one model answers at a time; the others queue.
        timing: A `Timing`, `"fast"` (nothing takes time), `"realistic"` (for demonstrations) or
            `"quick"` (the same ten times as fast).
        port: TCP port; 0 takes a free one.
        keep_alive: Seconds a model stays loaded after its last use.
        max_queue: Requests that may wait for loading before the server says 503.
        max_loaded_models: Models in memory at once.
        context_length: `num_ctx` of requests that do not say one.
        prompt_cache_tokens: Tokens that the cache of prompts in host memory holds for a model;
            0 turns it off, as `LLAMA_ARG_CACHE_RAM=0` does.
        kv_cache_type: As `OLLAMA_KV_CACHE_TYPE`; it changes the sizes in `/api/ps`.
        load_error: Text of the error that every load ends with; empty: loads succeed.
        version: What `/api/version` says.
        embedder: Makes the embeddings; the default is MiniLM if installed, else hashed n-grams.
        clock: Tells the time; a `ManualClock` makes every delay pass at once.

    Attributes:
        faults: Misbehaviour to script.
        gate: While cleared, requests that hold a slot wait before they generate.
    """

    def __init__(
        self,
        models: Mapping[str, SimulatedModel] | Iterable[str] = DEFAULT_MODELS,
        *,
        num_parallel: int = 1,
        timing: Timing | str = "fast",
        port: int = 0,
        keep_alive: float = 300.0,
        max_queue: int = 512,
        max_loaded_models: int = 3,
        context_length: int = 4096,
        prompt_cache_tokens: int = 1 << 20,
        kv_cache_type: str = "f16",
        load_error: str = "",
        version: str = "0.33.0",
        embedder: Embedder | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.faults = Faults()
        self.gate = threading.Event()
        self.gate.set()
        self.models = catalogue(models)
        self.version = version
        self._clock: Clock = clock or SystemClock()
        self._engine = Engine(
            Limits(
                num_parallel=num_parallel,
                max_queue=max_queue,
                max_loaded_models=max_loaded_models,
                keep_alive=keep_alive,
                context_length=context_length,
                prompt_cache_tokens=prompt_cache_tokens,
                kv_cache_type=kv_cache_type,
                load_error=load_error,
            ),
            TIMINGS[timing] if isinstance(timing, str) else timing,
            self._clock,
        )
        self._embedder = embedder or best_embedder()
        self._routes = Routes(
            self.models,
            self._engine,
            self._clock,
            self._embedder,
            self.faults,
            self.gate,
            version,
        )
        self._wanted_port = port
        self._server: Server | None = None
        self._calls: list[Call] = []
        self._in_flight: set[Exchange] = set()
        self._peak = 0
        self._arrived = threading.Condition()

    def start(self) -> Self:
        """Start to listen; return the simulator.

        Raises:
            RuntimeError: It is running already.
            OSError: The port is taken.
        """
        if self._server is not None:
            msg = "the simulator is running already"
            raise RuntimeError(msg)
        if any(model.can("embedding") for model in self.models.values()):
            # Weights are read now, not while the first client waits with a short timeout.
            self._embedder.embed(["warm up"])
        self._server = Server(self._handle, self._wanted_port)
        return self

    def stop(self) -> None:
        """Close every connection and end; calls and models stay. A second call does nothing."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
            self._engine.forget()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """TCP port.

        Raises:
            RuntimeError: It is not running.
        """
        if self._server is None:
            msg = "the simulator is not running: use `with OllamaSimulator() as sim:`"
            raise RuntimeError(msg)
        return self._server.port

    @property
    def base_url(self) -> str:
        """Address for clients, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every request so far, in order of arrival."""
        with self._arrived:
            return tuple(self._calls)

    @property
    def in_flight(self) -> int:
        """Requests that are being worked on."""
        return len(self._in_flight)

    @property
    def peak_in_flight(self) -> int:
        """Most requests that were worked on at once."""
        return self._peak

    @property
    def loads(self) -> int:
        """How often a model was loaded."""
        return self._engine.loads

    @property
    def prefilled(self) -> int:
        """Prompt tokens that were read so far, without those that a slot held already."""
        return self._engine.prefilled

    def count(self, *paths: str) -> int:
        """Return the number of requests to these routes; without a route, of all requests."""
        with self._arrived:
            return self._count(paths)

    def wait_for(self, n: int, *paths: str, timeout: float = _WAIT_S) -> None:
        """Wait until `n` requests to these routes (none: to any) have arrived.

        Raises:
            TimeoutError: They did not within `timeout` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._count(paths) >= n, timeout):
                msg = f"{self._count(paths)} of {n} requests arrived within {timeout} s"
                raise TimeoutError(msg)

    def reset(self) -> None:
        """Forget the calls and the planned faults, unload all models and open the gate."""
        with self._arrived:
            self._calls.clear()
            self._peak = len(self._in_flight)
        self.faults.clear()
        self.gate.set()
        self._engine.forget()

    def repull(self, model: str) -> str:
        """Give the model another digest, as a newer pull does; return it.

        Raises:
            KeyError: There is no such model.
        """
        name = canonical(model) or model
        self.models[name] = self.models[name].repulled()
        self._engine.unload(name)
        return self.models[name].digest(name)

    def digest(self, model: str) -> str:
        """Return the digest that `/api/tags` shows.

        Raises:
            KeyError: There is no such model.
        """
        name = canonical(model) or model
        return self.models[name].digest(name)

    def _count(self, paths: tuple[str, ...]) -> int:
        return sum(not paths or call.path in paths for call in self._calls)

    def _handle(self, exchange: Exchange) -> None:
        try:
            body = msgspec.json.decode(exchange.body) if exchange.body else {}
        except ValueError:  # bad JSON, or bytes that are not UTF-8
            body = {}
        recorded = body if isinstance(body, dict) else {}
        call = Call(exchange.method, exchange.path, recorded, exchange.headers)
        with self._arrived:
            self._calls.append(call)
            self._in_flight.add(exchange)
            self._peak = max(self._peak, len(self._in_flight))
            self._arrived.notify_all()
        # Who has the whole answer must not find its own request still in flight.
        exchange.before_last = partial(self._forget, exchange)
        try:
            self._routes.handle(exchange)
        finally:
            self._forget(exchange)

    def _forget(self, exchange: Exchange) -> None:
        with self._arrived:
            self._in_flight.discard(exchange)
