"""The reader's world: an Ollama at localhost:11434 and two others, and a Redis at its usual port.

None of them is really there: requests for them are led to simulators and to the tests' Redis.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from langchain_core.globals import set_llm_cache

from aegis_llm import CacheConfig, bootstrap, service, vectorizing
from aegis_llm.bootstrap import applying
from aegis_llm.testing import OllamaSimulator
from tests.docs import stage
from tests.redis_server import RedisServer

MODELS = ("llama3.1:8b", "llama3.2:1b", "mistral:7b", "qwen3:8b", "nomic-embed-text", "all-minilm")
READERS = {
    "localhost:11434": 0, "127.0.0.1:11434": 0, "127.0.0.1:8080": 0,
    "gpu:11434": 0, "gpu-1:11434": 0, "gpu-2:11434": 1,
}  # fmt: skip
REDIS = re.compile(r"(redis://(?:[^@/\s]+@)?)(?:localhost|127\.0\.0\.1|cache):6379")
PATIENT = {
    "redis_timeout_ms": 5000.0,
    "redis_connect_timeout_ms": 5000.0,
    "embed_timeout_ms": 30000.0,
}
"""A busy machine changes no outcome."""


@pytest.fixture(scope="session")
def simulators() -> Iterator[tuple[OllamaSimulator, ...]]:
    """Two servers with the models that the pages name."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(OllamaSimulator(MODELS)) for _ in range(2))


@pytest.fixture
def edit(redis_url: str) -> Callable[[str], str]:
    """Puts the Redis of the tests in the place of the reader's."""

    where = urlsplit(redis_url).netloc

    def edited(text: str) -> str:
        return REDIS.sub(lambda found: found[1] + where, text)

    return edited


@pytest.fixture
def world(
    simulators: tuple[OllamaSimulator, ...],
    redis_server: RedisServer,
    redis_url: str,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Path]:
    """The world of a reader; returns the folder where commands run, with files that they name."""
    addresses = [httpx.URL(one.base_url) for one in simulators]
    for kind, name in (
        (httpx.HTTPTransport, "handle_request"),
        (httpx.AsyncHTTPTransport, "handle_async_request"),
    ):
        original = getattr(kind, name)

        def led(self: Any, request: httpx.Request, original: Any = original) -> Any:
            place = READERS.get(request.url.netloc.decode())
            if place is not None:
                there = addresses[place]
                request.url = request.url.copy_with(host=there.host, port=there.port)
            return original(self, request)

        monkeypatch.setattr(kind, name, led)
    for home in (bootstrap, applying):
        for name in ("apply", "revert"):
            monkeypatch.setattr(home, name, _refused, raising=False)
    for module in (service, vectorizing):
        monkeypatch.setattr(module, "FIRST_WAIT_S", 30.0)
    defaults = {"redis_url": redis_url, "namespace": namespace, **PATIENT}
    for name, value in defaults.items():
        monkeypatch.setitem(CacheConfig.__init__.__kwdefaults__, name, value)
    monkeypatch.setenv("AEGIS_REDIS_URL", redis_url)
    for name in ("OLLAMA_HOST", "AEGIS_NAMESPACE", "AEGIS_TTL", "AEGIS_SIMILARITY"):
        monkeypatch.delenv(name, raising=False)
    _write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    set_llm_cache(None)
    if redis_server.private:
        with redis_server.client() as client:
            client.execute_command("ACL DELUSER", "aegis")
    stage.forget()


def _refused(*_: Any, **__: Any) -> None:
    pytest.fail("a block would change the machine that runs it: mark it as not run")


def _write_files(folder: Path) -> None:
    """Write what the pages' commands read."""
    (folder / "system.txt").write_text("You answer the questions of the customers of a shop.")
    (folder / "override.conf").write_text('[Service]\nEnvironment="OLLAMA_KEEP_ALIVE=30m"\n')
    compose = {"services": {"ollama": {"environment": {"OLLAMA_KEEP_ALIVE": "30m"}}}}
    (folder / "docker-compose.yml").write_text(yaml.safe_dump(compose))
    (folder / "pairs.jsonl").write_text("".join(f"{json.dumps(p)}\n" for p in stage.pairs()))
    trace = [{"at": n * 2.0, "prompt_tokens": 900, "output_tokens": 90} for n in range(20)]
    (folder / "trace.jsonl").write_text("".join(f"{json.dumps(t)}\n" for t in trace))
