"""What a person should know before using advice. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_llm.bootstrap.advising.flash import HARM
from aegis_llm.bootstrap.advising.plans import kept, own_context, plan, whole_option
from aegis_llm.bootstrap.advising.settings import Decided
from aegis_llm.bootstrap.advising.words import gib, listed
from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.bootstrap.kv import padded

_CHUNK = 2048


def warnings_of(one: Decided) -> tuple[str, ...]:
    """Return the warnings, the most important first."""
    return (
        *_fit(one),
        *_context(one),
        *_modelfiles(one),
        *_types(one),
        *_server(one),
        *one.server.room.notes,
    )


def _fit(one: Decided) -> Iterator[str]:
    choice, room = one.choice, one.server.room
    if room.kind == "unknown":
        yield (
            "how much memory there is is not known, so nothing was checked against it: these are "
            "the settings that take least"
        )
        return
    if not choice.holds:
        yield from _too_large(one)
        return
    if choice.loaded < len(one.models):
        over = kept(choice.plans, len(choice.plans)) - room.usable
        names = listed([model.name for model in one.models])
        missing = f"do not fit together: {gib(over)} are missing, and"
        if over <= 0:
            missing = (
                "would fit together, but Ollama counts f16 and the whole context in each layer "
                "before it loads one beside another, and unloads it:"
            )
        yield (
            f"{names} {missing} only {choice.loaded} stays loaded. Each change of model costs "
            "seconds; a smaller quantization, another model, or a second server would do without"
        )
    elif choice.used > room.usable:
        then = "Ollama will unload it for any other model"
        if room.place == "host":
            then = "any other model beside it would take memory that other programs need"
        yield f"{gib(choice.used)} are more than 80 % of {gib(room.memory)}: it fits, and {then}"


def _too_large(one: Decided) -> Iterator[str]:
    choice = one.choice
    largest = max(choice.plans, key=lambda plan: plan.total)
    model = next(model for model in one.models if model.name == largest.name)
    over = choice.used - choice.limit
    where = "the GPU" if one.server.room.place == "gpu" else "memory"
    said = (
        f"{largest.name} does not fit: it takes {gib(largest.total)}, {gib(over)} more than "
        f"{where} has for it"
    )
    if one.server.room.kind == "gpu":
        said += "; llama.cpp then computes some layers on the processor, many times slower"
        host = one.server.room.host
        if host is not None and over > host:
            said += f" - and main memory ({gib(host)}) does not hold them: it will not load"
    helps = []
    room_for = choice.limit - largest.compute - largest.kv
    native = (model.quantization or "").upper() == "MXFP4"  # narrower ones lose, and win little
    if model.parameters and room_for > 0 and not native:
        bits, now = 8 * room_for / model.parameters, 8 * largest.weights / model.parameters
        if bits >= 2:
            helps.append(f"a quantization of at most {bits:.1f} bits a weight (now {now:.1f})")
    tokens = _holding(one)
    if tokens:
        helps.append(f"a context of at most {tokens:,} tokens")
    helps.append("a smaller model")
    yield f"{said}. What helps: {', or '.join(helps)}"


def _holding(one: Decided) -> int:
    """Return the longest context with which one slot of each model fits; 0: none does."""
    low, high = 0, one.choice.context // 256
    while low < high:
        middle = (low + high + 1) // 2
        plans = [plan(m, one.server, 1, 256 * middle, one.choice.kv_type) for m in one.models]
        if kept(plans, 1) <= one.choice.limit:
            low = middle
        else:
            high = middle - 1
    return 256 * low


def _context(one: Decided) -> Iterator[str]:
    needed = one.workload.prompt_tokens + one.workload.output_tokens
    for model in one.models:
        trained = model.trained_context
        if model.embeds and not one.main.embeds:
            # It reads chunks, and the workload tells the prompts.
            yield from _chunks(model, own_context(model, one.choice.context))
            continue
        if trained is None or trained >= needed:
            continue
        yield (
            f"{model.name} was trained with {trained:,} tokens, and {needed:,} are asked: longer "
            "prompts are cut without an error"
        )


def _chunks(model: ModelFacts, context: int) -> Iterator[str]:
    """Yield that an embedding model may cut chunks because prompts are short here."""
    if context < min(_CHUNK, model.trained_context or _CHUNK):
        yield (
            f"{model.name} gets {context:,} tokens, too: longer texts to embed are cut without an "
            "error. If yours are longer, give --prompt-tokens of them"
        )


def _modelfiles(one: Decided) -> Iterator[str]:
    needed = one.workload.prompt_tokens + one.workload.output_tokens
    for model in one.models:
        own = whole_option(model, "num_ctx")
        if own is not None and padded(own) != one.choice.context and not model.embeds:
            yield (
                f"the Modelfile of {model.name} says num_ctx {own:,}, which beats "
                f"OLLAMA_CONTEXT_LENGTH={one.choice.context} and is what is counted here"
                + (": too little for these prompts" if own < needed else "")
            )
        if whole_option(model, "num_thread") is not None:
            yield f"the Modelfile of {model.name} says num_thread, which beats the environment"
        if model.options.get("num_gpu") == 0 and one.server.room.place == "gpu":
            yield f"the Modelfile of {model.name} says num_gpu 0: it computes on the processor"


def _types(one: Decided) -> Iterator[str]:
    if one.choice.kv_type in HARM:
        yield HARM[one.choice.kv_type]
    if one.main.experts and 1 < one.choice.slots < 4 and one.server.room.place == "gpu":
        yield (
            f"{one.main.name} is a mixture of experts: {one.choice.slots} slots write little more "
            "than one, 4 would (+5 to 17 % with 2 on a DGX Spark)"
        )


def _server(one: Decided) -> Iterator[str]:
    ollama = one.facts.ollama
    if ollama.installed == "macos-app":
        yield (
            "the settings of the macOS app beat OLLAMA_CONTEXT_LENGTH: set the same context there"
        )
    if not one.server.release.new_engine:
        yield (
            f"Ollama {one.server.release.text} computes with its own engine; from 0.30 on "
            "llama.cpp does, and the memory here is counted as it counts"
        )
