"""The in-process copy: bounded in bytes and in age, and never older than Redis would be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.stores.local import LocalCopy
from aegis_llm.testing import ManualClock

OVERHEAD = 256


def copy_of(max_bytes: int = 10_000, max_age_s: float = 30.0) -> tuple[LocalCopy, ManualClock]:
    clock = ManualClock()
    return LocalCopy(max_bytes, max_age_s, clock.monotonic), clock


def test_what_was_put_is_there_until_it_is_too_old() -> None:
    local, clock = copy_of(max_age_s=30)
    local.put("k", b"v", 3600)
    clock.advance(29.9)
    assert local.get("k") == b"v"
    clock.advance(0.1)
    assert local.get("k") is None
    assert (len(local), local.size_bytes) == (0, 0)


def test_it_never_outlives_the_entry() -> None:
    local, clock = copy_of(max_age_s=30)
    local.put("k", b"v", 5)
    clock.advance(5)
    assert local.get("k") is None


def test_reading_does_not_make_it_younger() -> None:
    local, clock = copy_of(max_age_s=30)
    local.put("k", b"v", 3600)
    for _ in range(3):
        clock.advance(10)
        local.get("k")
    assert local.get("k") is None


def test_the_bytes_are_bounded_with_what_an_entry_costs_beside_them() -> None:
    local, _ = copy_of(max_bytes=3 * (OVERHEAD + 2))
    for name in "abcd":
        local.put(name, b"x", 60)
    assert [local.get(name) for name in "abcd"] == [None, b"x", b"x", b"x"]
    assert local.size_bytes == 3 * (OVERHEAD + 2)


def test_the_one_longest_not_used_goes_first() -> None:
    local, _ = copy_of(max_bytes=3 * (OVERHEAD + 2))
    for name in "abc":
        local.put(name, b"x", 60)
    local.get("a")
    local.put("b", b"y", 60)
    local.put("d", b"x", 60)
    assert [local.get(name) for name in "abcd"] == [b"x", b"y", None, b"x"]


def test_a_value_put_again_replaces_the_old_one() -> None:
    local, clock = copy_of()
    local.put("k", b"old", 5)
    local.put("k", b"newer", 60)
    clock.advance(10)
    assert local.get("k") == b"newer"
    assert local.size_bytes == OVERHEAD + 1 + 5


def test_a_value_that_cannot_be_kept_still_ends_the_old_one() -> None:
    """A refreshed answer that is too big must not leave its predecessor here."""
    local, _ = copy_of(max_bytes=1000)
    local.put("k", b"old", 60)
    local.put("k", b"x" * 1000, 60)
    assert local.get("k") is None
    local.put("k", b"old", 60)
    local.put("k", b"new", 0)
    assert local.get("k") is None
    assert local.size_bytes == 0


def test_a_value_that_cannot_be_kept_drives_out_no_other() -> None:
    local, _ = copy_of(max_bytes=1000)
    local.put("a", b"1", 60)
    local.put("big", b"x" * 1000, 60)
    local.put("late", b"x" * 600, 0)
    assert local.get("a") == b"1"


def test_a_value_that_just_fits_is_kept() -> None:
    local, _ = copy_of(max_bytes=OVERHEAD + 1 + 100)
    local.put("k", b"x" * 100, 60)
    assert local.get("k") == b"x" * 100


def test_nothing_is_kept_with_no_bytes_or_no_age() -> None:
    for local, _ in (copy_of(max_bytes=0), copy_of(max_age_s=0)):
        local.put("k", b"", 60)
        assert local.get("k") is None
        assert local.size_bytes == 0


def test_what_is_deleted_is_gone() -> None:
    local, _ = copy_of()
    local.put("a", b"1", 60)
    local.put("b", b"2", 60)
    local.delete("a")
    local.delete("never there")
    assert (local.get("a"), local.get("b")) == (None, b"2")
    local.clear()
    assert (local.get("b"), len(local), local.size_bytes) == (None, 0, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abcde"), st.binary(max_size=300)),
        st.tuples(st.just("get"), st.sampled_from("abcde")),
        st.tuples(st.just("delete"), st.sampled_from("abcde")),
        st.tuples(st.just("wait"), st.integers(0, 20)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS, st.integers(0, 1500))
def test_it_is_never_wrong_and_never_too_big(steps: list[tuple], max_bytes: int) -> None:
    local, clock = copy_of(max_bytes=max_bytes, max_age_s=30)
    latest: dict[str, tuple[bytes, float]] = {}
    for kind, *rest in steps:
        if kind == "put":
            name, data = rest
            local.put(name, data, 25)
            latest[name] = (data, clock.monotonic() + 25)
        elif kind == "get":
            data = local.get(rest[0])
            if data is not None:
                assert data == latest[rest[0]][0]
                assert clock.monotonic() < latest[rest[0]][1]
        elif kind == "delete":
            local.delete(rest[0])
            latest.pop(rest[0], None)
        else:
            clock.advance(rest[0])
        assert 0 <= local.size_bytes <= max_bytes
        assert bool(len(local)) is bool(local.size_bytes)
