"""What a person does where no file here configures Ollama. Pure."""

from __future__ import annotations

import shlex

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.rendering import Form


def by_hand(facts: Facts) -> tuple[Form, tuple[str, ...]]:
    """Return the form that helps, and the steps that use it."""
    ollama = facts.ollama
    name = shlex.quote(ollama.unit or "ollama")
    if ollama.installed == "docker" and ollama.files:
        file = ollama.files[-1]
        return "compose", (
            f"Take the lines below `environment:` into the service of Ollama in {file}.",
            f"docker compose -f {shlex.quote(file)} up -d",
        )
    if ollama.installed == "docker":
        return "docker", (
            f"See with `docker inspect {name}` which volumes, ports and devices it has, and"
            " change the command to the same. Models that are in no volume go with the container.",
            f"docker rm -f {name}",
            "Run the command: a container keeps the environment that it was made with.",
        )
    if ollama.installed == "kubernetes":
        return "kubernetes", (
            "Save the patch as ollama-env.yaml; for the Helm chart use the form helm.",
            "kubectl patch deployment ollama --patch-file ollama-env.yaml",
            "kubectl rollout status deployment ollama",
        )
    if ollama.installed == "homebrew":
        return "shell", (
            "brew services stop ollama",
            "Run the lines below: `brew services` writes its plist anew at each start, with"
            " OLLAMA_FLASH_ATTENTION=1 and OLLAMA_KV_CACHE_TYPE=q8_0, which nothing overrides.",
        )
    if ollama.installed == "windows":
        return "windows", (
            "Save it as ollama-env.cmd and run it as the user who runs Ollama.",
            "Quit Ollama in the notification area and start it again.",
        )
    return "shell", (
        "Stop the server that runs now.",
        "Start it with the lines below, or put the variables where it is started.",
    )
