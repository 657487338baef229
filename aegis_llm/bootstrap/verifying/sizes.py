"""What `/api/ps` shows of the settings: contexts, sizes, and how many models are loaded. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_llm.bootstrap import kv
from aegis_llm.bootstrap.facts import Facts, Loaded, ModelFacts
from aegis_llm.bootstrap.variables import ENGINE, release
from aegis_llm.bootstrap.verifying.arithmetic import kinds_that_fit, slots_that_fit
from aegis_llm.bootstrap.verifying.evidence import Evidence
from aegis_llm.bootstrap.verifying.pieces import SIZES, Piece, canonical, described, has_one_slot
from aegis_llm.config.go_values import bare, go_bool

_GIB = 1 << 30
_KINDS = ("f16", "q8_0", "q4_0")
_TELLING = 4


def of_loaded(name: str, text: str, seen: Evidence, facts: Facts) -> Iterator[Piece]:
    """Yield what the loaded models show of a variable."""
    wanted = canonical(name, text)
    if name == "OLLAMA_MAX_LOADED_MODELS" and wanted != "0" and len(seen.loaded) > int(wanted):
        said = f"{len(seen.loaded)} models are loaded"
        yield Piece(SIZES, False, str(len(seen.loaded)), said)
    for loaded in seen.loaded:
        model = described(loaded.name, facts)
        if model is None or model.embeds or model.model_format != "gguf":
            continue
        if name == "OLLAMA_CONTEXT_LENGTH" and wanted != "0":
            yield _context(wanted, loaded, model)
        elif not _exact(seen):
            continue
        elif name == "OLLAMA_NUM_PARALLEL":
            yield from _slots(wanted, loaded, model, seen)
        elif name == "OLLAMA_KV_CACHE_TYPE":
            yield from _kind(wanted, loaded, model, seen)


def _context(wanted: str, loaded: Loaded, model: ModelFacts) -> Piece:
    has = str(loaded.context)
    said = f"{loaded.name} is loaded with {has} tokens a slot"
    own = model.options.get("num_ctx")
    trained = model.trained_context
    if own is not None and has == str(own) != wanted:
        said += f": its Modelfile has PARAMETER num_ctx {own}, which is stronger"
        return Piece(SIZES, None, has, said)
    if trained is not None and int(wanted) > trained == loaded.context:
        return Piece(SIZES, None, has, f"{said}, all that it was trained for")
    if has == wanted:
        return Piece(SIZES, None, has, said)
    return Piece(SIZES, None, has, f"{said}: a request may have asked for it by num_ctx")


def _exact(seen: Evidence) -> bool:
    """Return whether sizes are what is taken, and buffers are as small as is reckoned with.

    Ollama before 0.30 tells estimates; without flash attention buffers grow with the context.
    """
    numbers = release(seen.version)
    if numbers is None or numbers < ENGINE:
        return False
    flash = [one.flash for one in seen.children if one.flash is not None]
    off = go_bool(bare((seen.process or {}).get("OLLAMA_FLASH_ATTENTION", ""))) is False
    return "off" not in flash and not off


def _slots(wanted: str, loaded: Loaded, model: ModelFacts, seen: Evidence) -> Iterator[Piece]:
    if has_one_slot(model, seen.version):
        return
    kind = _cache_type(seen)
    if kind is None:
        return
    fitting = slots_that_fit(model, loaded, kind)
    if not fitting or (len(fitting) > _TELLING and int(wanted) in fitting):
        return  # the caches are too small beside what is not known to the byte
    agrees = None if int(wanted) in fitting else False
    if fitting == [int(wanted)]:
        agrees = True
    told = str(fitting[0]) if len(fitting) == 1 else f"{fitting[0]} to {fitting[-1]}"
    said = f"{loaded.name} takes {loaded.size / _GIB:.2f} GiB: room for {told} slots of {kind}"
    yield Piece(SIZES, agrees, told, said)


def _kind(wanted: str, loaded: Loaded, model: ModelFacts, seen: Evidence) -> Iterator[Piece]:
    slots = _known_slots(seen)
    if slots is None:
        return
    fitting = kinds_that_fit(model, loaded, slots, _KINDS)
    if not fitting or wanted not in kv.BYTES or len(fitting) == len(_KINDS):
        return
    agrees = None if wanted in fitting else False
    if fitting == [wanted]:
        agrees = True
    told = " or ".join(fitting)
    said = f"{loaded.name} takes {loaded.size / _GIB:.2f} GiB: {slots} slots of {told}"
    yield Piece(SIZES, agrees, told, said)


def _cache_type(seen: Evidence) -> str | None:
    """Return the type that is known to be in use; None: it is not known."""
    name = "OLLAMA_KV_CACHE_TYPE"
    for child in seen.children:
        if not child.embeds and not child.runner:
            return child.kind
    for environment in (seen.log, seen.process):
        if environment is not None:
            return bare(environment.get(name, "")).lower() or "f16"
    return None


def _known_slots(seen: Evidence) -> int | None:
    for child in seen.children:
        if child.slots is not None and not child.embeds:
            return child.slots
    if seen.measured is not None and seen.measured.sure:
        return seen.measured.slots
    return None
