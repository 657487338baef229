"""The instrument itself: it finds the slots, rates and load times that a server was made with.

Server and client share a time that passes only when both wait, so nothing here depends on how
fast or how busy the machine is.
"""

from __future__ import annotations

import pytest

from aegis_llm.bench.results import Results, results
from aegis_llm.bench.values import Settings
from aegis_llm.testing import Timing
from tests.bench.virtual_server import MODEL, measured

WITHIN = 0.05
SETTINGS = Settings(
    model=MODEL,
    levels=(4, 8),
    stress=6,
    rounds=2,
    each=1,
    baseline=2,
    prompt_tokens=200,
    output_tokens=16,
    cache=0,
    prefix=3,
    pause_s=7.0,
)
SERVERS = {
    "one slot": (Timing(load=3.0, prefill=1600.0, decode=50.0), 1, 120.0),
    "four slots": (Timing(load=1.5, prefill=2500.0, decode=100.0, contention=0.3), 4, 5.0),
}
Server = tuple[Timing, int, float, Results]
_made: dict[str, Results] = {}


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Server:
    """A server's real figures, and what the bench makes of it."""
    key: str = request.param
    timing, slots, keep_alive = SERVERS[key]
    if key not in _made:
        recorded = measured(SETTINGS, timing, num_parallel=slots, keep_alive=keep_alive)
        _made[key] = results(recorded)
    return timing, slots, keep_alive, _made[key]


def test_all_that_was_planned_is_measured_without_an_error(server: Server) -> None:
    *_, found = server
    planned = sum(one.requests * 2 for one in found.phases if one.kind != "keep_alive") + 2
    assert found.partial == ""
    assert len(found.requests) == planned
    assert not any(one.error for one in found.requests)


def test_the_slots_are_found(server: Server) -> None:
    _, slots, _, found = server
    assert found.knee.slots == slots


def test_the_speed_of_reading_is_found(server: Server) -> None:
    timing, *_, found = server
    measured_at = found.figures[0].prefill
    assert measured_at is not None
    assert measured_at.value == pytest.approx(timing.prefill, rel=WITHIN)


def test_the_speed_of_writing_is_found_alone_and_side_by_side(server: Server) -> None:
    timing, slots, _, found = server
    by_callers = {one.callers: one for one in found.figures if one.kind == "load"}
    alone, full = by_callers[1].stream, by_callers[8].stream
    assert alone is not None
    assert full is not None
    assert alone.value == pytest.approx(timing.decode, rel=WITHIN)
    # With eight callers nearly every answer is begun while all slots are busy.
    assert full.value == pytest.approx(1 / timing.token_time(slots), rel=WITHIN)


def test_the_time_of_a_load_is_found(server: Server) -> None:
    timing, *_, found = server
    assert found.cold is not None
    assert found.cold.load is not None
    assert found.cold.ttft is not None
    assert found.cold.warm_ttft is not None
    assert found.cold.load.value == pytest.approx(timing.load, rel=WITHIN)
    spared = found.cold.ttft.value - found.cold.warm_ttft.value
    assert spared == pytest.approx(timing.load, rel=WITHIN)


def test_the_first_token_is_the_time_to_read_and_to_write_one(server: Server) -> None:
    timing, *_, found = server
    one = found.figures[0]
    expected = one.read / timing.prefill + 1 / timing.decode
    assert one.ttft is not None
    assert one.ttft.p50.value == pytest.approx(expected, rel=WITHIN)


def test_keep_alive_is_found_and_whether_the_model_stayed(server: Server) -> None:
    _, _, keep_alive, found = server
    assert found.keep_alive is not None
    assert found.keep_alive.stays_s == pytest.approx(keep_alive, rel=WITHIN)
    assert found.keep_alive.loaded is (keep_alive > SETTINGS.pause_s)


def test_documents_that_were_read_are_found_to_be_reused(server: Server) -> None:
    *_, found = server
    assert found.prefix is not None
    assert found.prefix.reused is not None
    assert found.prefix.reused > 0.9


@pytest.mark.parametrize("server", ["one slot"], indirect=True)
def test_the_wait_of_one_slot_is_that_of_the_requests_before(server: Server) -> None:
    *_, found = server
    place = next(n for n, one in enumerate(found.phases) if one.name == "4 at once")
    sent = [one for one in found.requests if one.phase == place and one.round == 0]
    waits = sorted(one.wait or 0.0 for one in sent)
    own = sum(one.prefill + one.decode for one in sent if one.prefill and one.decode) / 4
    assert waits == pytest.approx([0.0, own, 2 * own, 3 * own], rel=WITHIN, abs=own * WITHIN)


def test_prompts_that_measure_speed_share_nothing_that_a_slot_could_keep(server: Server) -> None:
    timing, *_, found = server
    for one in found.requests:
        if found.phases[one.phase].kind == "load":
            assert one.prefill == pytest.approx(one.read / timing.prefill, rel=WITHIN)
