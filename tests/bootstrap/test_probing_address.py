"""Where a server is reached that was given in one of the ways that Ollama takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing import address, probe, with_server
from aegis_llm.testing import OllamaSimulator
from tests.bootstrap.machines import planted


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        (None, "http://127.0.0.1:11434"),
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ('"0.0.0.0"', "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("gpu:8080", "http://gpu:8080"),
        ("localhost", "http://localhost:11434"),
        ("http://localhost", "http://localhost:80"),
        ("https://gpu", "https://gpu:443"),
        ("[::]:8080", "http://[::1]:8080"),
        ("http://ann:secret@gpu:8080/ollama/", "http://gpu:8080/ollama"),
        ("ann:secret@gpu:8080", "http://gpu:8080"),
    ],
)
def test_the_address_of_a_server(given: str | None, reached: str) -> None:
    assert address(given) == reached


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "http://0.0.0.0"])
def test_the_facts_have_an_address_that_can_be_asked(
    ollama: OllamaSimulator, host: str, tmp_path: Path
) -> None:
    port = ollama.base_url.rpartition(":")[2]
    for known in (
        probe(f"{host}:{port}", root=tmp_path).ollama,
        probe(root=Path("/"), around={"OLLAMA_HOST": f"{host}:{port}"}).ollama,
        with_server(Facts(), f"{host}:{port}", tmp_path, ()).ollama,
    ):
        assert (known.running, known.url) == (True, f"http://127.0.0.1:{port}")


def test_a_tree_tells_where_its_server_is_and_that_nobody_was_asked(tmp_path: Path) -> None:
    text = "[Service]\nEnvironment=OLLAMA_HOST=0.0.0.0:8080\n"
    planted(tmp_path, {"/etc/systemd/system/ollama.service": text})
    for known in (with_server(Facts(), None, tmp_path, ()).ollama, probe(root=tmp_path).ollama):
        assert (known.running, known.url) == (None, "http://127.0.0.1:8080")
