"""What a results file says of the machine and the model: of what a probe found. Pure."""

from __future__ import annotations

from aegis_llm.bench.values import Machine, Model
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.keys import normal_model


def machine_of(facts: Facts, *, package: str, python: str, redis: str | None = None) -> Machine:
    """Return the machine that facts describe."""
    gpus = None if facts.gpus is None else tuple(gpu.name for gpu in facts.gpus)
    return Machine(
        os=facts.os_name or facts.os,
        cpu=facts.cpu.name,
        cores=facts.cpu.physical_cores,
        memory=facts.memory.total,
        gpus=gpus,
        url=facts.ollama.url,
        ollama=facts.ollama.version,
        environment=facts.ollama.environment,
        package=package,
        python=python,
        redis=redis,
    )


def model_of(facts: Facts, name: str, embedder: str | None = None) -> Model:
    """Return the model that is asked; its context is that of the loaded one, where it is."""
    wanted = normal_model(name)
    found = next((one for one in facts.models if normal_model(one.name) == wanted), None)
    loaded = next((one for one in facts.loaded if normal_model(one.name) == wanted), None)
    described = found or ModelFacts(name=name)
    return Model(
        name=name,
        digest=described.digest,
        size=described.size,
        parameters=described.parameters,
        quantization=described.quantization,
        context=loaded.context if loaded and loaded.context else None,
        embedder=embedder,
    )


def has(facts: Facts, name: str) -> bool:
    """Return whether the server has the model, as far as it was told."""
    return any(normal_model(one.name) == normal_model(name) for one in facts.models)


def embedding_model(facts: Facts) -> str | None:
    """Return an embedding model of the server, all-minilm before others; None: it has none."""
    names = [one.name for one in facts.models if one.embeds]
    return next((name for name in names if "minilm" in name), names[0] if names else None)
