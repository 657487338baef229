"""The metrics for OpenTelemetry (extra `metrics`): a span and measurements for every request.

Names are those of the GenAI conventions, and `aegis.*` for what those do not know. No prompt, no
answer, no tenant and no user is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from aegis_llm.errors import MissingExtraError
from aegis_llm.metrics.families import Family, families
from aegis_llm.metrics.reasons import not_stored_label, reason_label
from aegis_llm.metrics.registry import METRICS, Call

_SCOPE = "aegis_llm"
_DURATION_S = (
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12,
    10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
_INSTRUMENTED_APART = ("aegis_lookup_seconds", "aegis_queue_wait_seconds")


def instrument(tracer_provider: Any = None, meter_provider: Any = None) -> Callable[[], None]:
    """Tell OpenTelemetry of every request from now on; return what ends that.

    A request is a span of kind client, under the caller's span, that is made when it is over. The
    counts of `snapshot()` are observed under their Prometheus names with dots. Without providers
    the global ones are used.

    Raises:
        MissingExtraError: `opentelemetry-api` is not installed.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError as exc:
        needed_for = "telling OpenTelemetry of requests"
        raise MissingExtraError(needed_for, "metrics") from exc
    tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
    meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
    duration = meter.create_histogram(
        "gen_ai.client.operation.duration",
        unit="s",
        description="GenAI operation duration",
        explicit_bucket_boundaries_advisory=_DURATION_S,
    )
    tokens = meter.create_histogram(
        "gen_ai.client.token.usage",
        unit="{token}",
        description="Number of input and output tokens used",
        explicit_bucket_boundaries_advisory=_TOKENS,
    )
    lookup = meter.create_histogram(
        "aegis.lookup.duration", unit="s", description="Time that the cache took"
    )
    living = _observe(meter)

    def listen(call: Call) -> None:
        end_ns = time.time_ns()
        span = tracer.start_span(
            f"{call.operation} {call.model}".rstrip(),
            kind=trace.SpanKind.CLIENT,
            attributes=_span_attributes(call),
            start_time=end_ns - round(call.seconds * 1e9),
        )
        if call.error:
            span.set_status(trace.Status(trace.StatusCode.ERROR))
        span.end(end_time=end_ns)
        told = _attributes(call)
        duration.record(call.seconds, told)
        if call.origin is not None:
            lookup.record(call.origin.lookup_ms / 1000, {"aegis.cache.outcome": _outcome(call)})
        for kind, count in (("input", call.input_tokens), ("output", call.output_tokens)):
            if count:
                tokens.record(count, {**told, "gen_ai.token.type": kind})

    METRICS.listeners = (*METRICS.listeners, listen)

    def stop() -> None:
        METRICS.listeners = tuple(one for one in METRICS.listeners if one is not listen)
        living.clear()

    return stop


def _observe(meter: Any) -> list[bool]:
    """Have the counts observed; once the list that is returned is empty, nothing is told."""
    from opentelemetry.metrics import Observation

    living = [True]

    def told(name: str, _: Any) -> Iterable[Any]:
        if not living:
            return []
        return [
            Observation(value, _dotted(family, labels))
            for family in families(METRICS.snapshot())
            if family.name == name
            for labels, value in family.values
        ]

    for family in families(METRICS.snapshot()):
        if family.name not in _INSTRUMENTED_APART:
            counter = family.kind == "counter"
            make = meter.create_observable_counter if counter else meter.create_observable_gauge
            name = family.name.replace("_", ".", 1)
            make(name, callbacks=[partial(told, family.name)], description=family.help)
    return living


def _dotted(family: Family, labels: Iterable[str]) -> dict[str, str]:
    return {f"aegis.{name}": value for name, value in zip(family.labels, labels, strict=True)}


def _outcome(call: Call) -> str:
    return "failed" if call.origin is None else call.origin.outcome


def _attributes(call: Call) -> dict[str, Any]:
    """Return what spans and measurements have in common."""
    told: dict[str, Any] = {
        "gen_ai.operation.name": call.operation,
        "gen_ai.provider.name": "ollama",
    }
    if call.model:
        told["gen_ai.request.model"] = call.model
    if call.framework:
        told["aegis.framework"] = call.framework
    if call.operation == "chat":
        told["aegis.cache.outcome"] = _outcome(call)
    if call.error:
        told["error.type"] = call.error
    return told


def _span_attributes(call: Call) -> Mapping[str, Any]:
    told, origin = _attributes(call), call.origin
    if call.input_tokens or call.output_tokens:
        told["gen_ai.usage.input_tokens"] = call.input_tokens
        told["gen_ai.usage.output_tokens"] = call.output_tokens
    if origin is None:
        return told
    known = {
        "aegis.cache.reason": reason_label(origin.reason),
        "aegis.cache.not_stored": not_stored_label(origin.reason),
        "aegis.cache.similarity": origin.similarity,
        "aegis.cache.age": origin.age_s,
        "aegis.cache.entry_id": origin.entry_id,
        "aegis.cache.saved_tokens": origin.saved_tokens,
        "aegis.cache.saved_seconds": origin.saved_s,
        "aegis.cache.lookup_ms": origin.lookup_ms,
        "aegis.queue.wait_ms": origin.queued_ms if origin.server else None,
        "aegis.server": origin.server,
    }
    return {**told, **{name: value for name, value in known.items() if value not in (None, "")}}
