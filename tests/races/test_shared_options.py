"""Callers of a model that come at once share the runner options of one of them."""

from __future__ import annotations

import threading

import pytest

from aegis_llm.scheduler.registry import Registry
from tests.races.kit import done, start


@pytest.mark.parametrize("servers", [("a",), ("a", "b")])
def test_the_first_of_many_is_one(servers: tuple[str, ...]) -> None:
    registry, together = Registry(), threading.Barrier(6)

    def settled(caller: int) -> list[int]:
        given = []
        for turn in range(60):
            together.wait(30)
            with registry.agreed(servers[:: 1 if caller % 2 else -1], f"m{turn}") as agreed:
                given.append(agreed.settle({"num_ctx": 2048 + caller}, 10).options["num_ctx"])
        return given

    threads = [start(lambda caller=caller: settled(caller)) for caller in range(6)]
    for given in zip(*done(threads), strict=True):
        assert len(set(given)) == 1


def test_what_failed_is_forgotten_by_all_and_what_works_is_kept() -> None:
    registry, together = Registry(), threading.Barrier(6)

    def settled(caller: int) -> set[int]:
        seen = set()
        for turn in range(200):
            if turn == 0:
                together.wait(30)
            with registry.agreed(("a",), "m") as agreed:
                num_ctx = agreed.settle({"num_ctx": 4096 if caller else 9999}, 10).options[
                    "num_ctx"
                ]
            with registry.agreed(("a",), "m") as agreed:
                (agreed.failed if num_ctx == 9999 else agreed.worked)({"num_ctx": num_ctx})
            if turn >= 100:
                seen.add(num_ctx)
        return seen

    threads = [start(lambda caller=caller: settled(caller)) for caller in range(6)]
    assert set().union(*done(threads)) == {4096}
