"""What is wrong with an Ollama: its state, its settings, its loaded models. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_llm.bootstrap.doctor.problem import Problem
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.linting.finding import Finding, Level
from aegis_llm.bootstrap.variables import ENGINE, ONE_SLOT, dotted, release
from aegis_llm.bootstrap.verifying.verdict import Verification
from aegis_llm.config import safe_url

_START = {
    "docker": "docker start {unit}",
    "systemd": "sudo systemctl start {unit}",
    "homebrew": "brew services start ollama",
    "macos-app": "open -a Ollama",
    "windows": "start Ollama from the start menu",
    "snap": "sudo snap start ollama",
    "kubernetes": "kubectl get pods; kubectl logs POD",
}


def about_server(facts: Facts, *, answers: bool) -> Iterator[Problem]:
    """Yield what is wrong with the server itself and with what it has loaded."""
    if not answers:
        yield _down(facts)
        return
    if not facts.models:
        what = "No model is installed"
        yield _problem("no-models", what, "ollama pull llama3.1:8b")
    numbers = release(facts.ollama.version)
    if numbers is not None and numbers < ENGINE:
        level: Level = "warning" if numbers < ONE_SLOT else "note"
        what = (
            f"Ollama {dotted(numbers)} runs models in its old engine: no LLAMA_ARG_ variables, "
            "no prompt cache in host memory"
        )
        yield Problem(area="ollama", rule="old-ollama", level=level, what=what,
                      fix="Upgrade Ollama")  # fmt: skip
    yield from _loaded(facts)


def about_settings(
    findings: tuple[Finding, ...], verification: Verification | None
) -> Iterator[Problem]:
    """Yield what lint and verification found, each variable once for each matter."""
    for one in findings:
        named = f"{one.variable}={one.value}: " if one.value else ""
        yield Problem(
            area="settings", rule=one.rule, level=one.level, what=named + one.what, fix=one.do
        )
    linted = {one.variable for one in findings}
    for verdict in verification.verdicts if verification is not None else ():
        if verdict.state == "not in force" and verdict.name not in linted:
            what = f"{verdict.name}={verdict.wanted} is not in force: {verdict.why}"
            yield Problem(
                area="settings", rule="not-in-force", level="error", what=what, fix=verdict.do
            )


def _problem(rule: str, what: str, fix: str) -> Problem:
    return Problem(area="ollama", rule=rule, level="error", what=what, fix=fix)


def _down(facts: Facts) -> Problem:
    way, unit = facts.ollama.installed, facts.ollama.unit or "ollama"
    fix = _START.get(way or "", "ollama serve, or give its address with --url")
    url = safe_url(facts.ollama.url)
    why = next((one.why for one in facts.unknown if one.what == "ollama.version"), "")
    shown = why if why and url in why else f"No Ollama answers at {url}"
    if not shown.startswith("http"):
        shown = shown[:1].upper() + shown[1:]
    return _problem("ollama-down", shown, fix.format(unit=unit))


def _loaded(facts: Facts) -> Iterator[Problem]:
    if not facts.gpus:
        return
    for one in facts.loaded:
        if one.size and one.size_vram < one.size:
            part = 1 - one.size_vram / one.size
            what = f"{part:.0%} of {one.name} computes on the processor: it does not fit the GPU"
            fix = "aegis-llm tune --for memory, or a smaller quantization (aegis-llm quant)"
            yield Problem(area="models", rule="on-cpu", level="warning", what=what, fix=fix)
