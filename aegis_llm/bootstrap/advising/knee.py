"""How many slots still help: by measured speeds where there are any, else by rules. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from aegis_llm.bootstrap.advice import Goal
from aegis_llm.bootstrap.advising.memory import Room
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.simulate.machines import MACHINES
from aegis_llm.simulate.speed import Speed

_GAIN = 1.5
_STAYS = 0.4
_MANY_CORES = 8
_SMALL, _LARGE = 6 * 10**9, 60 * 10**9
_DOUBLINGS = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Knee:
    """The most slots that help.

    Attributes:
        why: In words.
        assumed: What stands in for a measurement of this model here; empty: nothing does.
        speed: Of the machine, where it was measured.
    """

    slots: int
    why: str
    assumed: str = ""
    speed: Speed | None = None


def knee(facts: Facts, room: Room, model: ModelFacts, context: int, goal: Goal) -> Knee:
    """Return the most slots that help a model, each with so many tokens in it."""
    if goal == "memory":
        return Knee(1, "the goal is memory, and one slot takes the least")
    if model.recurrent:
        return Knee(1, "a model with recurrent layers gains nothing from several slots")
    if _is_spark(facts) and room.kind == "unified":
        return _measured(model, context, goal)
    return _rule(facts, room, model, goal)


def _is_spark(facts: Facts) -> bool:
    return any(gpu.vendor == "nvidia" and "GB10" in gpu.name for gpu in facts.gpus or ())


def _measured(model: ModelFacts, context: int, goal: Goal) -> Knee:
    small = (model.parameters or _SMALL) < _SMALL
    if not model.experts:
        name = "dgx-spark-gemma-3-4b" if small else "dgx-spark"
    elif model.architecture in ("gptoss", "gpt-oss"):
        large = (model.parameters or 0) > _LARGE
        name = "dgx-spark-gpt-oss-120b" if large else "dgx-spark-gpt-oss-20b"
    else:
        name = "dgx-spark-qwen3-coder-30b"
    machine = MACHINES[name]
    speed = machine.speed(context)
    most = gaining(speed)
    then = "more gain little" if most < _DOUBLINGS[-1] else "more were not measured"
    if goal == "latency" and _steady(speed) < most:
        most = _steady(speed)
        then = "with more an answer comes at less than two fifths of that"
    alone, together = speed.all_slots(1), speed.all_slots(most)
    each = speed.per_slot(most)
    why = (
        f"{most} slots write {together:,.0f} tokens/s together and {each:,.0f} each, one alone "
        f"{alone:,.0f}, and {then} ({machine.about}, llama.cpp)"
    )
    said = f"the gain of more slots is that of {machine.about}, as measured by llama.cpp"
    return Knee(most, why, said, speed)


def gaining(speed: Speed) -> int:
    """Return the slots up to which each doubling gives half as much again.

    Two slots of a mixture of experts gain little, as they need different experts; four do.
    """
    most = 1
    for slots in _DOUBLINGS:
        together = speed.all_slots(slots)
        if together >= _GAIN * speed.all_slots(slots // 2) or (
            slots == 4 and together >= _GAIN * speed.all_slots(1)
        ):
            most = slots
        elif slots > 2:
            break
    return most


def _steady(speed: Speed) -> int:
    """Return the slots at which an answer still comes at two fifths of its speed alone."""
    least = _STAYS * speed.per_slot(1)
    return max([1, *(slots for slots in _DOUBLINGS if speed.per_slot(slots) >= least)])


def _rule(facts: Facts, room: Room, model: ModelFacts, goal: Goal) -> Knee:
    latency = goal == "latency"
    if room.kind in ("cpu", "unknown"):
        cores = facts.cpu.physical_cores
        many = cores is not None and cores >= _MANY_CORES and not latency
        kind, most = "a processor", 2 if many else 1
        if cores is not None:
            kind += f" with {cores} cores"
    elif any(gpu.vendor == "apple" for gpu in facts.gpus or ()):
        kind, most = "an Apple GPU", 2 if latency else 4
    elif model.experts:
        kind, most = "a mixture of experts on a GPU", 4 if latency else 8
    else:
        kind, most = "a dense model on a GPU", 8
    more, verb = (f"more than {most} slots", "") if most > 1 else ("a second slot", "s")
    what = f"make{verb} each answer slow" if latency else f"gain{verb} little"
    why = f"{more} {what} with {kind}"
    return Knee(most, why, f"{why}: a rule, not a measurement of this machine")
