"""What a bench plans, measures and writes down: values only."""

from __future__ import annotations

from typing import Literal

import msgspec

VERSION = 1
"""Of the results file; fields are added, never renamed, while it stays the same."""

Kind = Literal["load", "cold", "keep_alive", "prefix", "cache"]
Way = Literal["around", "through"]
"""Straight to Ollama, or through the cache and the scheduler of this package."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured.

    Attributes:
        levels: Callers at the same time; each asks again when it has its answer.
        stress: Callers of the stress phase, with prompts of mixed lengths.
        rounds: How often everything is measured, interleaved.
        each: Requests of one caller in one round.
        baseline: Requests one after the other in one round.
        prompt_tokens: Length of a prompt, about: the model's own tokenizer is measured first.
        output_tokens: Most tokens of an answer.
        ways: Which ways the load phases go.
        cold: Whether the model is unloaded, to time its load.
        pause_s: How long nothing is sent, to see whether the model stays.
        prefix: Questions about the same documents in one round; 0: none.
        documents: How many of the documents stand above a question about them.
        cache: Requests of the cache traffic in one round; 0: none.
        shares: Of that traffic: exact repeats, rewordings, new questions.
        budget_s: Nothing is begun after so many seconds; None: all is done.
    """

    model: str
    levels: tuple[int, ...] = (1, 2, 4, 8, 10)
    stress: int = 10
    rounds: int = 5
    each: int = 2
    baseline: int = 5
    prompt_tokens: int = 256
    output_tokens: int = 64
    ways: tuple[Way, ...] = ("around",)
    cold: bool = True
    pause_s: float = 10.0
    prefix: int = 5
    documents: int = 6
    cache: int = 40
    shares: tuple[float, float, float] = (0.5, 0.3, 0.2)
    seed: int = 0
    budget_s: float | None = None


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of measurement; `requests` are those of one round."""

    name: str
    kind: Kind
    callers: int = 1
    requests: int = 1
    prompt_tokens: int = 0
    output_tokens: int = 0
    way: Way = "around"
    mixed: bool = False


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """One request; times in seconds, rounded to microseconds. A row of the results file.

    Attributes:
        phase: Its place in the phases of the results.
        place: Its place in the phase and round; the same place has the same prompt in each run.
        at: When it was sent, since the bench began.
        ttft: Until the first piece of the answer; None: there was none.
        wrote_until: Until the last piece.
        latency: Until the end of the answer.
        read: `prompt_eval_count`: tokens of the prompt, cached ones included.
        written: `eval_count`.
        total: `total_duration`; None, as those below, where the server told no times.
        load: `load_duration`.
        prefill: `prompt_eval_duration`: only what was really read.
        decode: `eval_duration`.
        label: `cold` or `warm`; in the cache traffic `exact`, `reworded` or `new`.
        outcome: Where the answer came from, through the package.
        right: Whether a hit answers what was asked; None: no hit.
        error: What went wrong, in one word and a text.
    """

    phase: int
    round: int
    place: int
    at: float
    ttft: float | None = None
    wrote_until: float | None = None
    latency: float = 0.0
    read: int = 0
    written: int = 0
    total: float | None = None
    load: float | None = None
    prefill: float | None = None
    decode: float | None = None
    label: str = ""
    outcome: str = ""
    right: bool | None = None
    error: str = ""

    @property
    def wait(self) -> float | None:
        """What is left of the server's time: waiting for a slot, or for others' prompts.

        Through the package also its queue, where the waiting is done there, and its look-up.
        """
        if self.total is None:
            return None
        known = (self.load or 0.0) + (self.prefill or 0.0) + (self.decode or 0.0)
        whole = max(self.total, self.latency) if self.outcome else self.total
        return max(0.0, whole - known)


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Memory at one moment, in bytes; None: cannot be known.

    Attributes:
        when: `before`, `rest` (loaded and idle), `load` (while requests run) or `after`.
        model: What Ollama says the model takes in all, `vram` of it on GPUs.
        gpu: In use on all GPUs, whoever uses it.
        host: In use of the main memory, whoever uses it.
        redis: `used_memory`.
    """

    at: float
    when: str
    phase: str = ""
    model: int | None = None
    vram: int | None = None
    gpu: int | None = None
    host: int | None = None
    redis: int | None = None


class KeepAlive(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the model stayed.

    Attributes:
        stays_s: How long it stays after a request, by the server's clock.
        paused_s: How long nothing was sent.
        loaded: Whether it was loaded after that.
        load_s: `load_duration` of the request after it.
    """

    stays_s: float | None = None
    paused_s: float = 0.0
    loaded: bool | None = None
    load_s: float | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured; what is not known is None."""

    os: str | None = None
    cpu: str | None = None
    cores: int | None = None
    memory: int | None = None
    gpus: tuple[str, ...] | None = None
    url: str = ""
    ollama: str | None = None
    environment: dict[str, str] | None = None
    package: str = ""
    python: str = ""
    redis: str | None = None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked."""

    name: str
    digest: str = ""
    size: int | None = None
    parameters: int | None = None
    quantization: str | None = None
    context: int | None = None
    embedder: str | None = None


class Recorded(msgspec.Struct, kw_only=True):
    """What was measured so far; it grows, so that nothing is lost when the end comes early.

    Attributes:
        run: Stands at the start of each prompt, so that no other run's are like them.
    """

    settings: Settings
    phases: tuple[Phase, ...] = ()
    machine: Machine = Machine()
    model: Model = Model(name="")
    sent: list[Sent] = []
    samples: list[Sample] = []
    run: str = ""
    keep_alive: KeepAlive | None = None
    begun: str = ""
    seconds: float = 0.0
    notes: list[str] = []
    partial: str = ""
