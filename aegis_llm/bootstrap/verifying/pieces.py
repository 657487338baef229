"""The pieces of evidence for one variable, each with what it says. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aegis_llm.bootstrap.advising.plans import one_slot_because
from aegis_llm.bootstrap.advising.versions import release_of
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.probing.environment import concerns, safe_value
from aegis_llm.bootstrap.variables import CATALOGUE, Variable, read
from aegis_llm.bootstrap.verifying.evidence import Child, Evidence
from aegis_llm.config.go_values import FOREVER, bare, seconds
from aegis_llm.keys import normal_model

ENVIRONMENT, LOG, SIZES, REQUESTS, CHILD = range(1, 6)
"""How much a piece weighs, the heaviest last."""
_KEEP_ALIVE_OFF_S = 2.5
_KEEP_ALIVE_OFF = 0.02


class Piece(NamedTuple):
    """One thing that was seen; `agrees` is None where it fits and proves nothing."""

    weight: int
    agrees: bool | None
    found: str | None
    text: str


def canonical(name: str, text: str) -> str:
    """Return a value in the form in which values are compared."""
    variable = CATALOGUE.get(name)
    if variable is None:
        return bare(text)
    value = read(variable, text).value
    if name == "OLLAMA_NUM_PARALLEL" and value == "0":
        return "1"
    if variable.kind == "cache type":
        return value.lower()
    return value


def pieces(name: str, text: str, seen: Evidence, facts: Facts) -> Iterator[Piece]:
    """Yield what was seen of a variable of the server, the lightest first."""
    wanted = canonical(name, text)
    variable = CATALOGUE.get(name)
    yield from _of_process(name, text, seen)
    if variable is not None:
        yield from _of_log(variable, text, wanted, seen)
    yield from _of_children(name, text, wanted, seen, facts)


def _of_process(name: str, text: str, seen: Evidence) -> Iterator[Piece]:
    if seen.process is None or not concerns(name):
        return  # of the process only these are kept: others may be there
    who = f"process {seen.pid}"
    wanted = canonical(name, safe_value(text))
    if name not in seen.process:
        agrees = not bare(text) or wanted == canonical(name, "")
        yield Piece(ENVIRONMENT, agrees, None, f"{who} was started without it")
        return
    given = seen.process[name]
    same = canonical(name, given) == wanted and bool(bare(given)) == bool(bare(text))
    yield Piece(ENVIRONMENT, same, given, f"{who} was started with {name}={given}")


def _of_log(variable: Variable, text: str, wanted: str, seen: Evidence) -> Iterator[Piece]:
    name = variable.name
    if seen.log is None or name not in seen.log:
        return
    logged = safe_value(seen.log[name])
    said = f"the log says {name}:{logged}"
    if variable.kind == "switch" and logged in ("false", ""):
        # What is unset is logged in the same way as what is off.
        on = wanted == "true" and bool(bare(text))
        yield Piece(LOG, False if on else None, logged, said)
    elif variable.kind in ("text", "cache type", "level"):
        yield Piece(LOG, _same_text(name, wanted, logged), logged or None, said)
    else:
        yield Piece(LOG, canonical(name, logged) == wanted, logged, said)


def _same_text(name: str, wanted: str, logged: str) -> bool | None:
    if name == "OLLAMA_HOST":
        bare_host = wanted.partition("://")[2] or wanted
        return bare_host.rstrip("/") in logged
    if name in ("OLLAMA_ORIGINS", "OLLAMA_REMOTES"):
        return all(part in logged for part in wanted.split(","))
    default = CATALOGUE[name].default.lower()
    if not logged:
        return wanted.lower() == default
    if not wanted:
        return None  # a folder that is chosen by itself is logged too
    return wanted.lower() == logged.strip().lower()


def _of_children(
    name: str, text: str, wanted: str, seen: Evidence, facts: Facts
) -> Iterator[Piece]:
    for child in seen.children:
        found = _of_child(name, text, wanted, child, seen, facts)
        if found is not None:
            yield found


def _of_child(
    name: str, text: str, wanted: str, child: Child, seen: Evidence, facts: Facts
) -> Piece | None:
    where, who = child.where, "the runner" if child.runner else "llama-server"
    if name == "OLLAMA_NUM_PARALLEL" and child.slots is not None:
        agrees: bool | None = str(child.slots) == wanted
        said = f"{who} has {child.slots} slots ({where})"
        if child.embeds:
            said += ": an embedding model has one whatever is set"
        elif not agrees and child.slots == 1 and _may_have_one(seen, facts):
            agrees = None
            said += ": it may be of a model that has one whatever is set"
        return Piece(CHILD, None if child.embeds else agrees, str(child.slots), said)
    if name == "OLLAMA_FLASH_ATTENTION" and child.flash is not None:
        mode = {"": "auto", "true": "on", "false": "off"}[wanted if bare(text) else ""]
        if child.runner and mode == "auto":
            mode = "off"  # what it was until llama-server came
        said = f"{who} has flash attention {child.flash} ({where})"
        same: bool | None = child.flash == mode
        if mode == "auto" and child.flash == "off":
            same = None  # so it is for a GPU that has none, too
        return Piece(CHILD, same, child.flash, said)
    silent = child.runner and child.slots is None  # later runners are told by other means
    if name == "OLLAMA_KV_CACHE_TYPE" and not child.embeds and not silent:
        keys = child.kind
        return Piece(CHILD, keys == wanted, keys, f"{who} has a cache of {keys} ({where})")
    if name.startswith("LLAMA_ARG_"):
        return _argument(name, wanted, child)
    return None


def _argument(name: str, wanted: str, child: Child) -> Piece | None:
    if name == "LLAMA_ARG_THREADS" and child.threads is not None:
        said = f"llama-server has -t {child.threads} ({child.where}): the option num_thread"
        return Piece(CHILD, str(child.threads) == wanted, str(child.threads), said)
    if child.environment is None:
        return None
    given = child.environment.get(name)
    said = f"llama-server has {name}={given or ''} ({child.where})"
    return Piece(CHILD, bare(given or "") == wanted, given, said)


def _may_have_one(seen: Evidence, facts: Facts) -> bool:
    """Return whether a model that runs may be one that has one slot whatever is set.

    One that is being loaded is not listed yet, and one that the log names may be gone.
    """
    models = [described(one.name, facts) for one in seen.loaded]
    listed = len(seen.children) <= len(models) and seen.children[0].where != "the log"
    if not models or not listed:
        models = list(facts.models)
    return not models or any(has_one_slot(one, seen.version) for one in models)


def has_one_slot(model: ModelFacts | None, version: str | None) -> bool:
    """Return whether a model has one slot whatever is set; one that is not known may have."""
    if model is None or model.recurrent:
        return True
    return bool(one_slot_because(model, release_of(version)))


def of_requests(name: str, text: str, seen: Evidence, facts: Facts) -> Piece | None:
    """Return what requests have shown of a variable; None: nothing."""
    measured = seen.measured
    if measured is None:
        return None
    wanted = canonical(name, text)
    model = described(measured.model, facts)
    if name == "OLLAMA_NUM_PARALLEL" and measured.slots is not None:
        slots, asked = measured.slots, max(one.sent for one in measured.rounds)
        said = f"{slots} of {asked} requests to {measured.model} were answered at once"
        if measured.busy:
            said += ", while others used it too"
        agrees = str(slots) == wanted if measured.sure else None
        if agrees is False and slots == 1 and has_one_slot(model, seen.version):
            agrees = None
            said += "; it may be a model that has one slot whatever is set"
        return Piece(REQUESTS, agrees, str(slots), said)
    if name == "OLLAMA_CONTEXT_LENGTH" and measured.context is not None and wanted != "0":
        return _context_of(measured.model, model, measured.context, wanted)
    if name == "OLLAMA_KEEP_ALIVE" and measured.keep_alive_s is not None:
        stays = measured.keep_alive_s
        how_long = "for ever" if stays == FOREVER else f"for {stays:.0f} s"
        said = f"after a request {measured.model} stays {how_long}"
        same: bool | None = _as_long(stays, wanted)
        known = seen.log is not None or seen.process is not None
        if measured.cold_load_s is None and (same or not known):
            same = None  # a keep_alive of others holds until the model is unloaded
            said += ", which a request of others may have asked for"
        return Piece(REQUESTS, same, how_long, said)
    return None


def _context_of(name: str, model: ModelFacts | None, has: int, wanted: str) -> Piece:
    """Return what the context shows that a model has for requests that do not ask for one."""
    said = f"asked without options {name} has {has} tokens a slot"
    agrees: bool | None = str(has) == wanted
    if model is None:
        agrees = None
    elif (own := model.options.get("num_ctx")) is not None:
        agrees = None
        said += f": its Modelfile has PARAMETER num_ctx {own}, which is stronger"
    elif model.trained_context is None:
        agrees = agrees or None
    elif has == model.trained_context <= int(wanted):
        agrees = None
        said += ", all that it was trained for"
    return Piece(REQUESTS, agrees, str(has), said)


def _as_long(stays: float, wanted: str) -> bool:
    length = seconds(wanted)
    if length is None:
        return False
    if length > 1e9 or stays == FOREVER:
        return stays == FOREVER and length > 1e9
    return abs(stays - length) <= max(_KEEP_ALIVE_OFF_S, _KEEP_ALIVE_OFF * length)


def described(name: str, facts: Facts) -> ModelFacts | None:
    """Return the description of a model; None: there is none."""
    wanted = normal_model(name)
    return next((one for one in facts.models if normal_model(one.name) == wanted), None)
