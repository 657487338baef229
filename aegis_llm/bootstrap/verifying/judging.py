"""Judges each setting by what was seen. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.linting.finding import shown
from aegis_llm.bootstrap.linting.names import about_name
from aegis_llm.bootstrap.linting.values import about_value
from aegis_llm.bootstrap.variables import CATALOGUE, release
from aegis_llm.bootstrap.verifying.evidence import Evidence
from aegis_llm.bootstrap.verifying.pieces import LOG, Piece, of_requests, pieces
from aegis_llm.bootstrap.verifying.reasons import reason
from aegis_llm.bootstrap.verifying.sizes import of_loaded
from aegis_llm.bootstrap.verifying.verdict import Verdict, Verification
from aegis_llm.config import safe_url

_WITHOUT_EFFECT = ("never-read", "unknown", "dead", "too-new", "overridden", "misspelt")
_READ_OTHERWISE = ("on-not-off", "on-not-auto", "unparsable")


def judge(facts: Facts, environment: Mapping[str, str], seen: Evidence) -> Verification:
    """Return a verdict for each variable of an environment; an empty value means unset."""
    return Verification(
        url=safe_url(facts.ollama.url),
        version=seen.version,
        answers=seen.answers,
        verdicts=tuple(_verdict(name, text, seen, facts) for name, text in environment.items()),
        sources=seen.sources,
        measured=seen.measured,
    )


def _verdict(name: str, text: str, seen: Evidence, facts: Facts) -> Verdict:
    if text.strip():
        hopeless = _hopeless(name, text, seen)
        if hopeless is not None:
            return hopeless
    found = [*pieces(name, text, seen, facts), *of_loaded(name, text, seen, facts)]
    asked = of_requests(name, text, seen, facts)
    if asked is not None:
        found.append(asked)
    found.sort(key=lambda one: one.weight, reverse=True)
    told = [one for one in found if one.agrees is not None]
    evidence = tuple(one.text for one in found)
    if not told:
        return Verdict(
            name=name,
            wanted=shown(name, text),
            state="cannot tell",
            evidence=evidence,
            why=_untold(name, seen, found),
            do=_how_to_tell(name, seen),
        )
    decides = _decisive(told)
    if decides.agrees:
        remark = next((one.text for one in found if one.agrees is not True), "")
        return Verdict(
            name=name,
            wanted=shown(name, text),
            state="in force",
            found=decides.found,
            evidence=evidence,
            why=remark,
        )
    why, do = reason(name, text, seen, facts, tuple(found))
    return Verdict(
        name=name,
        wanted=shown(name, text),
        state="not in force",
        found=decides.found,
        evidence=evidence,
        why=why,
        do=do,
    )


def _decisive(told: list[Piece]) -> Piece:
    """Return the heaviest piece; among those that weigh the same, one that agrees.

    Several models may be loaded, and one that has the setting shows that it is in force.
    """
    weight = told[0].weight
    equals = [one for one in told if one.weight == weight]
    return next((one for one in equals if one.agrees), equals[0])


def _hopeless(name: str, text: str, seen: Evidence) -> Verdict | None:
    """Return the verdict on what no server can do; None: it can."""
    numbers = release(seen.version)
    about = [*about_name(name, text, numbers), *about_value(name, text, numbers)]
    for one in about:
        dead = one.rule in _WITHOUT_EFFECT and one.level != "note"
        if dead or (one.rule in _READ_OTHERWISE and one.level == "error"):
            return Verdict(
                name=name,
                wanted=one.value,
                state="not in force",
                evidence=("what Ollama's sources do with it",),
                why=one.what,
                do=one.do,
            )
    return None


def _untold(name: str, seen: Evidence, found: list[Piece]) -> str:
    if not seen.answers:
        return "The server does not answer"
    if name == "OLLAMA_NUM_PARALLEL" and seen.measured is not None and seen.measured.busy:
        return "Others used the model meanwhile, so it may have more slots than were seen"
    if any(one.weight >= LOG for one in found):
        return "What was seen fits, and would fit other values as well"
    if name not in CATALOGUE and not name.startswith("LLAMA_ARG_"):
        return "It is none of those that concern inference, and only these are looked at"
    return "Neither the log, nor the process, nor a loaded model shows it"


def _how_to_tell(name: str, seen: Evidence) -> str:
    if not seen.answers:
        return "Start Ollama, or give its address with --url"
    by_requests = ("OLLAMA_NUM_PARALLEL", "OLLAMA_CONTEXT_LENGTH", "OLLAMA_KEEP_ALIVE")
    if name in by_requests and seen.measured is None:
        return "Try --deep, give the log with --log, or run this with sudo on the server"
    if name == "OLLAMA_NUM_PARALLEL" and seen.measured is not None and seen.measured.busy:
        return "Try --deep again when nobody else uses the server"
    if name == "OLLAMA_KEEP_ALIVE" and seen.measured is not None:
        return "Try --deep --reload: a model that is loaded anew stays as the server says"
    return "Give the log with --log, or run this with sudo on the server"
