"""What is known of a machine, its Ollama and its models. What is unknown is None, never guessed.

The same structs are a fact file (`--host-facts`, a profile): fields are added, never renamed,
while `v` stays 1. Sizes are bytes. A misspelt field is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Os = Literal["linux", "macos", "windows"]
Vendor = Literal["nvidia", "amd", "apple", "intel", "other"]
Way = Literal[
    "systemd", "docker", "kubernetes", "homebrew", "macos-app", "windows", "snap", "manual"
]
Whole = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Count = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
MOST_LAYERS = 10_000
"""Of a model; the largest have some hundreds."""
Layers = Annotated[int, msgspec.Meta(ge=1, le=MOST_LAYERS)]
Rate = Annotated[float, msgspec.Meta(gt=0, lt=1e15)]


class Cpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The processor.

    Attributes:
        architecture: `x86-64`, `arm64`, or as the OS names it.
        physical_cores: Cores, without hyper-threads.
        fast_cores: Of them those that are not efficiency cores; all, where they are alike.
    """

    name: str | None = None
    architecture: str | None = None
    physical_cores: Count | None = None
    logical_cores: Count | None = None
    fast_cores: Count | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Main memory.

    Attributes:
        total: What processes can have at most: the machine's, or the limit of the container.
        available: What can be had now without swapping.
        unified: Whether the GPU computes in it.
        bandwidth: Bytes a second.
    """

    total: Whole | None = None
    available: Whole | None = None
    unified: bool | None = None
    bandwidth: Rate | None = None


class Gpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One graphics processor.

    Attributes:
        memory: All of its memory; with unified memory what it can address of that.
        free: What is free now.
        capability: CUDA compute capability, `12.1`.
        integrated: Whether it has no memory of its own.
        bandwidth: Bytes a second.
    """

    vendor: Vendor
    name: str
    memory: Whole | None = None
    free: Whole | None = None
    capability: str | None = None
    integrated: bool | None = None
    bandwidth: Rate | None = None
    driver: str | None = None


class Ollama(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server.

    Attributes:
        url: Its address, without a password.
        version: As `/api/version` or `ollama --version` says; None when neither does.
        running: Whether it answers.
        installed: In which way it was installed and is run.
        unit: The systemd unit, container, pod, plist or service.
        user: Who runs it.
        environment: Its variables that concern inference; nothing secret. None: not readable.
        environment_source: Where that was read: the process, the unit, the container.
        files: Configuration files that were found for this way, the strongest last.
        pid: Its process.
        models_dir: Where the models are.
    """

    url: str = "http://127.0.0.1:11434"
    version: str | None = None
    running: bool | None = None
    installed: Way | None = None
    unit: str | None = None
    user: str | None = None
    environment: dict[str, str] | None = None
    environment_source: str | None = None
    files: tuple[str, ...] = ()
    pid: Count | None = None
    models_dir: str | None = None


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model, as `/api/tags` and `/api/show` describe it.

    Attributes:
        size: Bytes on disk: weights, and the projector where there is one.
        architecture: `general.architecture`.
        parameters: The exact number.
        kv_heads: Of each layer; one number stands for all layers. 0: the layer caches nothing.
        key_length: Of one head.
        sliding_window: Tokens that the layers with a window keep; None: no layer has one.
        global_every: Every so many-th layer reads the whole context, the others the window.
        windowed: Which layers have the window, where `global_every` cannot say it.
        window_key_length: Of one head in the layers with a window, where it is another one.
        window_value_length: Likewise.
        latent: `kv_lora_rank`: keys and values are kept as one such vector (MLA).
        rope_dimensions: `rope.dimension_count`.
        state_bytes: What the recurrent layers of a hybrid keep for each slot.
        recurrent: Whether it has recurrent layers.
        embeds: Whether it makes embeddings; it has one slot then.
        experts_used: Of `experts`, for one token.
        options: `PARAMETER`s of its Modelfile; they are stronger than the environment.
        model_format: `gguf`, or `safetensors` for the MLX engine.
    """

    name: str
    digest: str = ""
    size: Whole | None = None
    model_format: str = "gguf"
    architecture: str | None = None
    quantization: str | None = None
    parameters: Whole | None = None
    layers: Layers | None = None
    heads: Count | None = None
    kv_heads: tuple[Whole, ...] | None = None
    key_length: Count | None = None
    value_length: Count | None = None
    embedding_length: Count | None = None
    trained_context: Count | None = None
    sliding_window: Count | None = None
    global_every: Count | None = None
    windowed: tuple[bool, ...] | None = None
    window_key_length: Count | None = None
    window_value_length: Count | None = None
    latent: Count | None = None
    rope_dimensions: Count | None = None
    state_bytes: Whole | None = None
    recurrent: bool = False
    embeds: bool = False
    vision: bool = False
    experts: Count | None = None
    experts_used: Count | None = None
    options: dict[str, Any] = {}


class Loaded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model in memory, as `/api/ps` describes it.

    Attributes:
        size: All it takes, as Ollama counts it.
        size_vram: Of that on GPUs.
        context: Tokens of one slot.
        expires_at: RFC 3339.
    """

    name: str
    size: Whole = 0
    size_vram: Whole = 0
    context: Whole = 0
    expires_at: str = ""


class Unknown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that could not be found out.

    Attributes:
        what: Dotted path of the field: `cpu.physical_cores`, `models.llama3.1:8b.layers`.
        why: What was tried.
        give: How a person can give it.
    """

    what: str
    why: str
    give: str


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that advice is made from.

    Attributes:
        gpus: Those that Ollama computes on. None: not known; empty: there is none.
        unused_gpus: Integrated ones that Ollama leaves alone unless OLLAMA_IGPU_ENABLE is set.
        source: Where it is from: `this machine`, a path, a profile.
    """

    v: Literal[1] = 1
    source: str = "this machine"
    os: Os | None = None
    os_name: str | None = None
    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    gpus: tuple[Gpu, ...] | None = None
    unused_gpus: tuple[Gpu, ...] = ()
    ollama: Ollama = Ollama()
    models: tuple[ModelFacts, ...] = ()
    loaded: tuple[Loaded, ...] = ()
    unknown: tuple[Unknown, ...] = ()
