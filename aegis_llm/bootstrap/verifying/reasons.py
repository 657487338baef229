"""Why a setting is not in force, and what to do about it. Pure."""

from __future__ import annotations

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.verifying.evidence import Evidence
from aegis_llm.bootstrap.verifying.pieces import CHILD, ENVIRONMENT, LOG, Piece, canonical

_SERVICES = ("systemd", "docker", "kubernetes", "homebrew", "macos-app", "windows", "snap")
_OF_THE_APP = (
    "OLLAMA_CONTEXT_LENGTH", "OLLAMA_MODELS", "OLLAMA_HOST", "OLLAMA_ORIGINS", "OLLAMA_NO_CLOUD",
)  # fmt: skip
_RESTART = {
    "docker": "start the container anew with it: a restart keeps its old environment",
    "kubernetes": "apply the manifest and let the pod be replaced",
    "homebrew": "brew services restart ollama",
    "macos-app": "quit the app and open it again",
    "windows": "quit Ollama in the tray and start it again",
    "snap": "snap restart ollama",
}


def restart(facts: Facts) -> str:
    """Return how the server is made to read its settings anew."""
    way, unit = facts.ollama.installed, facts.ollama.unit or "ollama"
    if way == "systemd":
        return f"sudo systemctl daemon-reload && sudo systemctl restart {unit}"
    return _RESTART.get(way or "", "stop `ollama serve` and start it again with it")


def reason(
    name: str, text: str, seen: Evidence, facts: Facts, found: tuple[Piece, ...]
) -> tuple[str, str]:
    """Return why a setting is not in force, and what to do."""
    heard = {one.weight: one.agrees for one in found}
    if heard.get(ENVIRONMENT) or heard.get(LOG):
        return _overruled(name, heard, found)
    return (
        _of_app(name, facts)
        or _of_files(name, text, seen, facts)
        or _of_shells(name, text, seen, facts)
        or _of_process(name, seen, facts)
    )


def _overruled(
    name: str, heard: dict[int, bool | None], found: tuple[Piece, ...]
) -> tuple[str, str]:
    """Return why a setting that the server has read does not show."""
    if heard.get(ENVIRONMENT) and heard.get(LOG) is False:
        why = "The process has it in its environment, and its own log says otherwise"
        return why, "Compare the two, and the version of Ollama"
    if name == "OLLAMA_KEEP_ALIVE":
        why = "A client sends its own keep_alive, which holds for the model until it is unloaded"
        return why, "Take keep_alive out of the requests, or give them the same"
    if name == "LLAMA_ARG_THREADS" and heard.get(CHILD) is False:
        why = "The option num_thread of a request or of the Modelfile is stronger"
        return why, "Take num_thread out, or give it the same value"
    if name == "OLLAMA_CONTEXT_LENGTH":
        why = "The server has read it and loads models otherwise; a Modelfile may say so"
        return why, "Look for PARAMETER num_ctx: ollama show --modelfile MODEL"
    why = "The server has read the setting and does not do it"
    return why, f"Restart Ollama and verify again; if it stays so, report what is seen of {name}"


def _of_app(name: str, facts: Facts) -> tuple[str, str] | None:
    if facts.ollama.installed != "macos-app" or name not in _OF_THE_APP:
        return None
    why = "The settings of the macOS app are stronger than the environment"
    return why, "Change it in the app's settings, then quit the app and open it again"


def _of_files(name: str, text: str, seen: Evidence, facts: Facts) -> tuple[str, str] | None:
    setting = [one for one in seen.files if name in one.environment]
    if not setting:
        return None
    wanted = canonical(name, text)
    strongest = setting[-1]
    value = strongest.environment[name]
    if canonical(name, value) != wanted:
        asked = [one for one in setting if canonical(name, one.environment[name]) == wanted]
        before = f", after {asked[-1].path} sets {text}" if asked else ""
        why = f"{strongest.path} sets {name}={value}{before}"
        return why, f"Change it in {strongest.path}, then {restart(facts)}"
    changed, started = strongest.changed_at, seen.started_at
    if changed is not None and started is not None and changed > started:
        why = f"{strongest.path} was changed after the server had started"
    else:
        why = f"{strongest.path} sets it, and the server was not started from it"
    return why, _sentence(restart(facts))


def _of_shells(name: str, text: str, seen: Evidence, facts: Facts) -> tuple[str, str] | None:
    if facts.ollama.installed not in _SERVICES:
        return None
    wanted = canonical(name, text)
    for path, environment in seen.strays.items():
        if name in environment and canonical(name, environment[name]) == wanted:
            why = f"It is set in {path}, which the service does not read"
            return why, "aegis-llm tune --apply writes it where the service reads it"
    if name in seen.caller and canonical(name, seen.caller[name]) == wanted:
        why = "It is set in this shell, whose environment the service does not get"
        return why, "aegis-llm tune --apply writes it where the service reads it"
    return None


def _of_process(name: str, seen: Evidence, facts: Facts) -> tuple[str, str]:
    given = (seen.process or {}).get(name)
    if given is not None:
        return f"The server was started with {name}={given}", _sentence(restart(facts))
    if seen.process is None and seen.log is None:
        why = "The server does otherwise; what it was started with is not readable from here"
        if name == "OLLAMA_NUM_PARALLEL" and seen.measured is not None:
            why += ", and others may have held slots meanwhile"
        return why, f"Set it where the server runs, and there {restart(facts)}"
    why = "The server was started without it"
    return why, f"Write it with aegis-llm tune --apply, or set it and {restart(facts)}"


def _sentence(text: str) -> str:
    return text if text.startswith(("sudo", "brew", "snap")) else text[:1].upper() + text[1:]
