"""What a person removes is no longer served by processes that run: their copies go, too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aegis_llm.browsing import Browser
from aegis_llm.config import AegisConfig
from aegis_llm.control import cache_control
from aegis_llm.service import Service
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build
from tests.contracts.kit import until

PATIENT: dict[str, Any] = {"redis_timeout_ms": 2000, "redis_connect_timeout_ms": 2000}
Opened = Callable[..., Browser]


def request(text: str = "Which?") -> Request:
    return Request("m", ({"role": "user", "content": text},), identity="x")


@pytest.fixture
def service(redis_url: str, namespace: str) -> Iterator[Service]:
    """A process that has answers in its own copy: one for each of two tenants."""
    config = AegisConfig().with_options(redis_url=redis_url, namespace=namespace, **PATIENT)
    service = build(config)
    with contextlib.closing(service.store):
        service.store.ready(5)
        for tenant in ("a", "b"):
            with cache_control(tenant=tenant, documents=["d"], tags=[f"of {tenant}"]):
                service.open(request()).store(Answer(f"For {tenant}.", done_reason="stop"))
                assert outcome(service, tenant) == "hit_local"
        yield service


def outcome(service: Service, tenant: str) -> str:
    with cache_control(tenant=tenant):
        return service.open(request()).origin.outcome


def id_of(service: Service, tenant: str) -> str:
    with cache_control(tenant=tenant):
        return service.open(request()).origin.entry_id or ""


def test_a_rejected_entry_is_served_no_more_and_that_of_another_tenant_is(
    service: Service, browser: Browser
) -> None:
    assert browser.reject(id_of(service, "a"))
    until(lambda: outcome(service, "a") == "miss")
    assert outcome(service, "b") == "hit_local"


def test_a_tag_is_invalidated_for_its_tenant_alone(service: Service, browser: Browser) -> None:
    assert browser.invalidate([], ["of a"]) == 1
    until(lambda: outcome(service, "a") == "miss")
    until(lambda: outcome(service, "b") in ("hit_local", "hit_exact"))


def test_what_is_cleared_is_served_no_more_and_another_namespace_is(
    service: Service, browser: Browser, open_namespace: Opened, namespace: str
) -> None:
    open_namespace(f"{namespace}-other").clear()
    assert outcome(service, "a") == "hit_local"
    browser.clear()
    until(lambda: {outcome(service, "a"), outcome(service, "b")} == {"miss"})
    assert browser.page().entries == ()
