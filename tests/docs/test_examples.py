"""The examples that are programs of their own: started as a reader starts them, over real HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from aegis_llm.testing import OllamaSimulator
from tests.docs.blocks import ROOT

EXAMPLES = ROOT / "examples"
PATIENT = """
import sys, runpy
from aegis_llm import AegisConfig, service, vectorizing
service.FIRST_WAIT_S = vectorizing.FIRST_WAIT_S = 30.0
patient = AegisConfig.from_env().with_options(
    redis_timeout_ms=5000, redis_connect_timeout_ms=5000, embed_timeout_ms=30000
)
AegisConfig.from_env = classmethod(lambda cls: patient)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""Runs an example as it is, with time limits that a busy machine does not reach."""


@pytest.fixture
def environment(
    simulators: tuple[OllamaSimulator, ...], redis_url: str, namespace: str
) -> dict[str, str]:
    """What an example reads, and where it finds the package."""
    for simulator in simulators:
        simulator.reset()
    path = os.pathsep.join([str(ROOT), str(ROOT / "integrations")])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "OLLAMA_HOST": simulators[0].base_url,
        "AEGIS_REDIS_URL": redis_url,
        "AEGIS_NAMESPACE": namespace,
    }


def ran(name: str, environment: dict[str, str]) -> list[str]:
    """Run an example to its end and return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PATIENT, str(EXAMPLES / f"{name}.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def serving(name: str, environment: dict[str, str]) -> Iterator[httpx.Client]:
    """Start an example that serves, on a port that the system chooses, and stop it after."""
    process = subprocess.Popen(
        [sys.executable, "-c", PATIENT, str(EXAMPLES / f"{name}.py")],
        env={**environment, "PORT": "0"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    told = []
    try:
        for line in process.stderr:
            told.append(line)
            if address := re.search(r"running on (http://[\d.:]+)", line):
                break
        else:
            pytest.fail("".join(told))
        with httpx.Client(base_url=address[1], timeout=60) as client:
            yield client
    finally:
        process.terminate()
        process.stderr.close()
        process.wait(30)


def test_a_service_answers_streams_forgets_and_turns_away(
    environment: dict[str, str], simulators: tuple[OllamaSimulator, ...]
) -> None:
    with serving("fastapi_rag", environment) as client:
        assert client.get("/health").json() == {"problems": [], "waiting": 0}
        loads = simulators[0].loads

        def asked(question: str, tenant: str = "acme") -> dict[str, Any]:
            headers = {"X-Tenant": tenant}
            reply = client.post("/ask", json={"question": question}, headers=headers)
            return dict(reply.raise_for_status().json())

        def streamed(question: str) -> list[dict[str, Any]]:
            given = {"json": {"question": question}, "headers": {"X-Tenant": "acme"}}
            with client.stream("POST", "/stream", **given) as reply:
                return [json.loads(line) for line in reply.iter_lines()]

        first = asked("How long does shipping take?")
        assert first["answer"] == "Standard shipping takes 5 days inside the country."
        assert first["outcome"] == "miss"
        assert asked("How long does shipping take?")["outcome"] == "hit_local"
        assert asked("How long does shipping take?", "other")["outcome"] == "miss"

        *pieces, told = streamed("How long does shipping take?")
        assert "".join(piece["text"] for piece in pieces) == first["answer"]
        assert told["outcome"] == "hit_local"
        *pieces, told = streamed("Within how many days are returns accepted?")
        assert told["outcome"] == "miss"
        assert len(pieces) > 3

        text = "Standard shipping takes 3 days inside the country."
        changed = client.put("/documents/shipping", params={"text": text})
        assert changed.json() == {"answers_removed": 2}
        again = asked("How long does shipping take?")
        assert (again["outcome"], again["answer"]) == ("miss", text)
        assert client.post("/ask", json={"question": ""}).status_code == 422
        assert client.put("/documents/none", params={"text": "x"}).status_code == 404
        assert simulators[0].loads == loads

        hurried = {"question": "Who may return what?", "deadline_s": 1e-6}
        late = client.post("/ask", json=hurried)
        assert late.status_code == 503
        assert int(late.headers["Retry-After"]) >= 1


def test_an_agent_repeats_its_steps_and_runs_its_tools(environment: dict[str, str]) -> None:
    told = ran("langgraph_agent", environment)
    assert told[0] == told[2] == "  the tool runs: Paris"
    assert told[1].startswith("first: miss miss")
    assert told[3].startswith("again: hit_local hit_local")
    assert told[1].endswith("sunny in Paris")


def test_a_chat_engine_is_answered_for_the_next_visitor(environment: dict[str, str]) -> None:
    *told, removed = ran("llamaindex_chat", environment)
    outcomes = [line.split()[1] for line in told]
    assert outcomes == ["miss", "miss", "hit_local", "hit_local"]
    assert [line.split(maxsplit=2)[2] for line in told[:2]] == [
        line.split(maxsplit=2)[2] for line in told[2:]
    ]
    assert removed.split()[0] in ("1", "2")
