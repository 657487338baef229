"""What OpenTelemetry is told of a request: the GenAI names, and no word of what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aegis_llm import cache_control
from aegis_llm.metrics import instrument
from aegis_llm.metrics.registry import METRICS, Call
from aegis_llm.values import Origin
from tests.metrics.kit import ANSWER, answering, ask, call

SECRET = "Has ACME Ltd. been paid?"


class Told:
    """What an application's OpenTelemetry has heard."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.stop: Callable[[], None] = instrument(self.tracers, self.meters)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def points(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """Return the data points of a metric by their attributes."""
        data = self.reader.get_metrics_data()
        return {
            tuple(sorted(dict(point.attributes or {}).items())): point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.stop()
    made.tracers.shutdown()
    made.meters.shutdown()


def test_a_request_is_a_span_under_the_callers_span(told: Told) -> None:
    cache = answering()
    with told.tracers.get_tracer("app").start_as_current_span("app") as outer:
        assert [call(cache, ask()), call(cache, ask())] == ["miss", "hit_local"]
    miss, hit, _ = told.spans
    for span in (miss, hit):
        assert (span.name, span.kind) == ("chat m", SpanKind.CLIENT)
        assert span.parent is not None
        assert span.parent.span_id == outer.get_span_context().span_id
        assert (span.start_time or 0) < (span.end_time or 0)
    shared = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": "m", "aegis.framework": "langchain",
    }  # fmt: skip
    assert dict(miss.attributes or {}) | {"aegis.cache.lookup_ms": 0} == {
        **shared, "aegis.cache.outcome": "miss", "aegis.cache.reason": "no_entry",
        "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 20,
        "gen_ai.response.finish_reasons": ("stop",),
        "aegis.cache.saved_tokens": 0, "aegis.cache.saved_seconds": 0.0,
        "aegis.cache.lookup_ms": 0,
    }  # fmt: skip
    attributes = dict(hit.attributes or {})
    assert attributes.items() >= {
        **shared, "aegis.cache.outcome": "hit_local", "aegis.cache.saved_tokens": 30,
        "aegis.cache.saved_seconds": 1.5,
    }.items()  # fmt: skip
    assert "gen_ai.usage.input_tokens" not in attributes  # no model computed anything


def test_what_failed_is_an_error_by_its_class(told: Told) -> None:
    def fail() -> Any:
        raise ZeroDivisionError(SECRET)

    with pytest.raises(ZeroDivisionError):
        answering().call(ask(), fail, lambda answer: [answer])
    (span,) = told.spans
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "ZeroDivisionError"
    assert SECRET not in span.to_json()


def test_durations_tokens_and_counts_are_measured(told: Told) -> None:
    cache = answering()
    for _ in range(3):
        call(cache, ask())
    durations = told.points("gen_ai.client.operation.duration")
    assert {dict(key)["aegis.cache.outcome"]: p.count for key, p in durations.items()} == {
        "miss": 1, "hit_local": 2,
    }  # fmt: skip
    tokens = told.points("gen_ai.client.token.usage")
    assert {dict(key)["gen_ai.token.type"]: p.sum for key, p in tokens.items()} == {
        "input": 10, "output": 20,
    }  # fmt: skip
    counts = told.points("aegis.saved_tokens")
    assert [point.value for point in counts.values()] == [60]
    requests = told.points("aegis.requests")
    assert {dict(key)["aegis.outcome"]: p.value for key, p in requests.items()} == {
        "miss": 1, "hit_local": 2,
    }  # fmt: skip


def test_no_word_of_what_was_asked_or_by_whom_is_told(told: Told) -> None:
    with cache_control(tenant="tenant-7", user="user-9", tags=["tag-3"]):
        for _ in range(2):
            call(answering(), ask(SECRET))
    data = told.reader.get_metrics_data()
    shown = "".join(span.to_json() for span in told.spans) + (data.to_json() if data else "")
    assert "gen_ai" in shown
    for secret in (SECRET, "ACME", "tenant-7", "user-9", "tag-3", "Because."):
        assert secret not in shown


def test_a_call_of_an_embeddings_model_is_a_span_too(told: Told) -> None:
    METRICS.tell(Call("embeddings", "", "all-minilm", 0.25))
    (span,) = told.spans
    assert span.name == "embeddings all-minilm"
    assert (span.end_time or 0) - (span.start_time or 0) == 250_000_000


def test_instrumented_twice_nothing_is_told_twice(told: Told) -> None:
    again = instrument(told.tracers, told.meters)
    call(answering(), ask())
    assert len(told.spans) == 1
    again()
    again()
    call(answering(), ask())
    assert len(told.spans) == 2  # the other goes on
    assert sum(p.value for p in told.points("aegis.requests").values()) == 2


def test_begun_again_after_its_end_everything_is_told(told: Told) -> None:
    told.stop()
    told.stop = instrument(told.tracers, told.meters)
    call(answering(), ask())
    assert len(told.spans) == 1
    assert [point.value for point in told.points("aegis.requests").values()] == [1]


def whole(chunks: list[str]) -> list[Any]:
    return [ANSWER] if chunks == ["a", "b"] else []


def test_a_stream_that_ends_elsewhere_is_under_the_span_in_which_it_began(told: Told) -> None:
    cache, tracer = answering(), told.tracers.get_tracer("app")
    with tracer.start_as_current_span("asked") as asked:
        chunks = cache.stream(cache.service.open(ask(), stream="x"), lambda: iter("ab"), whole)
        next(chunks)
    with tracer.start_as_current_span("read"):
        list(chunks)
    (span,) = [span for span in told.spans if span.name == "chat m"]
    assert span.parent is not None
    assert span.parent.span_id == asked.get_span_context().span_id


async def test_each_task_has_its_spans_under_its_own(told: Told) -> None:
    cache, tracer = answering(), told.tracers.get_tracer("app")

    async def upstream() -> AsyncIterator[str]:
        for chunk in "ab":
            await asyncio.sleep(0)
            yield chunk

    async def read(number: int) -> None:
        with tracer.start_as_current_span(f"{number}"):
            lookup = await cache.service.aopen(ask(f"{number % 8}"), stream="x")
            async for _ in cache.astream(lookup, upstream, whole):
                pass

    await asyncio.gather(*(read(number) for number in range(32)))
    outer = {s.get_span_context().span_id: s for s in told.spans if s.name != "chat m"}
    inner = [span for span in told.spans if span.name == "chat m"]
    assert len(outer) == 32
    assert {span.parent.span_id for span in inner if span.parent} == set(outer)
    assert len(inner) == 32


def test_a_workflow_tells_no_tokens_that_its_models_tell(told: Told) -> None:
    chain = msgspec.structs.replace(ask(), model="", operation="invoke_workflow")
    call(answering(), chain)
    (span,) = told.spans
    assert (span.name, span.kind) == ("invoke_workflow", SpanKind.INTERNAL)
    attributes = dict(span.attributes or {})
    assert attributes["aegis.cache.outcome"] == "miss"
    assert not attributes.keys() & {"gen_ai.usage.input_tokens", "gen_ai.provider.name"}
    assert told.points("gen_ai.client.token.usage") == {}


@pytest.mark.parametrize(
    ("server", "address", "port"),
    [("http://localhost:11434", "localhost", 11434), ("https://a.example", "a.example", 443)],
)
def test_where_a_call_was_sent_is_told(told: Told, server: str, address: str, port: int) -> None:
    METRICS.tell(Call("chat", "", "m", 0.1, Origin("miss", "no_entry", server=server)))
    (span,) = told.spans
    attributes = span.attributes or {}
    assert (attributes["server.address"], attributes["server.port"]) == (address, port)


def test_after_the_end_nothing_is_told(told: Told) -> None:
    told.stop()
    call(answering(), ask())
    assert told.spans == ()
    assert not told.points("aegis.requests")
    assert METRICS.listeners == ()
