"""The metrics for OpenTelemetry (extra `metrics`): a span and measurements for every request.

Names are those of the GenAI conventions, and `aegis.*` for what those do not know. No prompt, no
answer, no tenant and no user is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

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


class _Instrumented:
    """What OpenTelemetry is told of through one pair of providers, by however many calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.listen: Callable[[Call], None] | None = None


_lock = threading.Lock()
_told_by: dict[tuple[Any, Any], _Instrumented] = {}
_observing: dict[Any, list[bool]] = {}


def instrument(tracer_provider: Any = None, meter_provider: Any = None) -> Callable[[], None]:
    """Tell OpenTelemetry of every request from now on; return what ends that.

    A request is a span of kind client, made when it is over, under the span in which it began. The
    counts of `snapshot()` are observed under their Prometheus names with dots. Without providers
    the global ones are used. Called again for the same providers, it tells nothing twice, and it
    ends when each call has been ended.

    Raises:
        MissingExtraError: `opentelemetry-api` is not installed.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError as exc:
        needed_for = "telling OpenTelemetry of requests"
        raise MissingExtraError(needed_for, "metrics") from exc
    tracers = None if tracer_provider is trace.get_tracer_provider() else tracer_provider
    meters = None if meter_provider is metrics.get_meter_provider() else meter_provider
    with _lock:
        one = _told_by.setdefault((tracers, meters), _Instrumented())
        one.calls += 1
        if one.listen is None:
            meter = metrics.get_meter(_SCOPE, meter_provider=meters)
            one.listen = _listener(trace.get_tracer(_SCOPE, tracer_provider=tracers), meter)
            if meters not in _observing:  # a meter makes an instrument once, and for good
                _observing[meters] = []
                _observe(meter, _observing[meters])
            _observing[meters].append(True)
            METRICS.listeners = (*METRICS.listeners, one.listen)
    ended: list[bool] = []

    def stop() -> None:
        with _lock:
            if ended:
                return
            ended.append(True)
            one.calls -= 1
            if not one.calls:
                METRICS.listeners = tuple(each for each in METRICS.listeners if each != one.listen)
                one.listen = None
                _observing[meters].pop()

    return stop


def _listener(tracer: Any, meter: Any) -> Callable[[Call], None]:
    """Return what makes a span of a request, and measures it."""
    from opentelemetry import trace

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

    def listen(call: Call) -> None:
        end_ns = time.time_ns()
        inside = call.operation == "invoke_workflow"
        span = tracer.start_span(
            f"{call.operation} {call.model}".rstrip(),
            kind=trace.SpanKind.INTERNAL if inside else trace.SpanKind.CLIENT,
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

    return listen


def _observe(meter: Any, living: list[bool]) -> None:
    """Have the counts observed; while the list is empty, nothing is told."""
    from opentelemetry.metrics import Observation

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


def _dotted(family: Family, labels: Iterable[str]) -> dict[str, str]:
    return {f"aegis.{name}": value for name, value in zip(family.labels, labels, strict=True)}


def _outcome(call: Call) -> str:
    return "failed" if call.origin is None else call.origin.outcome


def _attributes(call: Call) -> dict[str, Any]:
    """Return what spans and measurements have in common."""
    told: dict[str, Any] = {"gen_ai.operation.name": call.operation}
    if call.model:  # else a workflow, or a model of whatever kind behind `AegisCache`
        told["gen_ai.provider.name"] = "ollama"
        told["gen_ai.request.model"] = call.model
    if call.framework:
        told["aegis.framework"] = call.framework
    if call.operation != "embeddings":
        told["aegis.cache.outcome"] = _outcome(call)
    if call.error:
        told["error.type"] = call.error
    return told


def _span_attributes(call: Call) -> Mapping[str, Any]:
    told, origin = _attributes(call), call.origin
    if call.input_tokens or call.output_tokens:
        told["gen_ai.usage.input_tokens"] = call.input_tokens
        told["gen_ai.usage.output_tokens"] = call.output_tokens
    if call.finish_reasons:
        told["gen_ai.response.finish_reasons"] = call.finish_reasons
    if origin is None:
        return told
    known = {
        **_address(origin.server),
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


def _address(url: str) -> Mapping[str, Any]:
    """Return where a call was sent, in the words of the conventions; nothing where none was."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return {}
    return {"server.address": parts.hostname, "server.port": port} if parts.hostname else {}
