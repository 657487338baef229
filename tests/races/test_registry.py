"""The queues of a process: one for each server, whoever asks first."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest

from aegis_llm.config import SchedulerConfig
from aegis_llm.scheduler.registry import Registry
from tests.races.kit import done, start

URLS = ("http://localhost:11434", "http://127.0.0.1:11434/", "http://[::1]:11434")


def test_many_threads_that_ask_at_once_share_one_queue() -> None:
    registry = Registry()
    asking = [
        start(partial(registry.dispatcher, URLS[number % 3], SchedulerConfig()))
        for number in range(60)
    ]
    assert len(set(map(id, done(asking)))) == 1
    assert len(registry.states()) == 1


@pytest.mark.parametrize("first", [SchedulerConfig(), SchedulerConfig(num_parallel=2)])
def test_the_first_settings_that_are_not_the_usual_ones_hold(
    first: SchedulerConfig, caplog: Any
) -> None:
    registry = Registry()
    caplog.set_level(logging.WARNING)
    own, other = SchedulerConfig(num_parallel=2), SchedulerConfig(num_parallel=8)
    queue = registry.dispatcher(URLS[0], first)
    done([start(partial(registry.dispatcher, URLS[1], own)) for _ in range(20)])
    assert queue.config.num_parallel == 2
    assert caplog.records == []
    done([start(partial(registry.dispatcher, URLS[2], c)) for c in (SchedulerConfig(), other)])
    assert queue.config.num_parallel == 2
