"""Forms in YAML: compose, a patch of a Kubernetes Deployment, values of the Helm chart. Pure."""

from __future__ import annotations

from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

from aegis_llm.bootstrap.rendering.memory import memory_notes
from aegis_llm.bootstrap.rendering.page import Page
from aegis_llm.errors import ConfigError


def render_compose(page: Page) -> str:
    """Return a compose file with one service; merge its `environment` into your own."""
    lines = [
        *page.header(),
        "services:",
        "  ollama:",
        f"    image: {_quoted(page.image)}",
        "    restart: unless-stopped",
        "    volumes:",
        '      - "ollama:/root/.ollama"',
        "    ports:",
        '      - "127.0.0.1:11434:11434"',
        *_compose_gpus(page),
        "    environment:" if page.environment else "    environment: {}",
    ]
    for name, value in page.environment.items():
        lines += page.comment(name, "      # ")
        # Compose reads $ as a variable of its own, in quotes too; NO is a name only in quotes.
        lines.append(f"      {_quoted(name)}: {_quoted(value.replace('$', '$$'))}")
    return "\n".join([*lines, "volumes:", "  ollama: {}"]) + "\n"


def parse_compose(text: str) -> dict[str, str]:
    """Return the environment of the service that runs Ollama."""
    services = _mapping(_first(text).get("services"))
    found = [
        service
        for name, service in services.items()
        if "ollama" in f"{name} {_mapping(service).get('image', '')}"
    ]
    environment = _mapping(found[0]).get("environment") if found else None
    pairs = environment.items() if isinstance(environment, dict) else _assignments(environment)
    return {
        str(name): _text(value).replace("$$", "$") for name, value in pairs if value is not None
    }


def render_kubernetes(page: Page) -> str:
    """Return a patch: `kubectl patch deployment ollama --patch-file FILE`."""
    lines = [
        *page.header(),
        "# Use: kubectl patch deployment ollama --patch-file FILE (adapt both names).",
        *(f"# {note}" for note in memory_notes(page)),
        "apiVersion: apps/v1",
        "kind: Deployment",
        "metadata:",
        "  name: ollama",
        "spec:",
        "  template:",
        "    spec:",
        "      containers:",
        "        - name: ollama",
        *_env_list(page, "env", " " * 10),
    ]
    return "\n".join(lines) + "\n"


def parse_kubernetes(text: str) -> dict[str, str]:
    """Return the environment of the container that runs Ollama, in any workload."""
    for document in _documents(text):
        for container in _containers(document):
            if "ollama" in f"{container.get('name', '')} {container.get('image', '')}":
                return _named(container.get("env"))
    return {}


def render_helm(page: Page) -> str:
    """Return values for the chart of otwld/ollama-helm."""
    lines = [
        *page.header(),
        "# Use: helm upgrade ollama otwld/ollama --reuse-values --values FILE",
        "# It takes the place of an extraEnv that you have: keep your own entries in it.",
        *(f"# {note}" for note in memory_notes(page)),
        *_env_list(page, "extraEnv", ""),
    ]
    return "\n".join(lines) + "\n"


def parse_helm(text: str) -> dict[str, str]:
    """Return what `extraEnv` sets."""
    return _named(_first(text).get("extraEnv"))


def _env_list(page: Page, key: str, indent: str) -> list[str]:
    if not page.environment:
        return [f"{indent}{key}: []"]
    lines = [f"{indent}{key}:"]
    for name, value in page.environment.items():
        lines += page.comment(name, f"{indent}  # ")
        # Kubernetes reads $(NAME) as another variable, and $$ as $.
        lines += [
            f"{indent}  - name: {_quoted(name)}",
            f"{indent}    value: {_quoted(value.replace('$', '$$'))}",
        ]
    return lines


def _named(entries: Any) -> dict[str, str]:
    return {
        str(entry["name"]): _text(entry["value"]).replace("$$", "$")
        for entry in entries or ()
        if isinstance(entry, dict) and "name" in entry and entry.get("value") is not None
    }


def _containers(document: Any) -> list[dict[Any, Any]]:
    spec = _mapping(_mapping(document).get("spec"))
    pod = _mapping(_mapping(spec.get("template")).get("spec")) or spec
    return [_mapping(one) for one in pod.get("containers") or ()]


def _compose_gpus(page: Page) -> list[str]:
    if page.gpu == "nvidia":
        return [
            "    deploy:",
            "      resources:",
            "        reservations:",
            "          devices:",
            "            - driver: nvidia",
            "              count: all",
            "              capabilities: [gpu]",
        ]
    if page.gpu == "amd":
        return ["    devices:", '      - "/dev/kfd:/dev/kfd"', '      - "/dev/dri:/dev/dri"']
    return []


def _assignments(lines: Any) -> list[tuple[str, str]]:
    pairs = [str(line).partition("=") for line in lines or ()]
    return [(name, value) for name, found, value in pairs if found]


def _quoted(value: str) -> str:
    """Return a value in double quotes on one line: `on`, `1e3` and `0x10` stay text in these."""
    text: str = yaml.dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return text.rstrip("\n")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _first(text: str) -> dict[Any, Any]:
    return _mapping(next(iter(_documents(text)), None))


def _documents(text: str) -> list[Any]:
    try:
        return list(yaml.safe_load_all(text))
    except yaml.YAMLError as exc:
        msg = f"this is no YAML: {' '.join(str(exc).split())}"
        raise ConfigError(msg) from exc
