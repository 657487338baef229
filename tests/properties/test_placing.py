"""Several servers: nobody is much busier than the others, and nothing goes where it cannot."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.batching.jobs import Job
from aegis_llm.batching.placing import BOUND, Load, Placing
from tests.properties.test_queue import prompt

slots = st.lists(st.integers(1, 4), min_size=2, max_size=4)
asked = st.tuples(
    st.integers(0, 3),  # whose context
    st.sampled_from(["a", "b"]),
    st.booleans(),  # whether a request ends first
)


@given(slots, st.lists(asked, min_size=1, max_size=80), st.data())
@settings(max_examples=200)
def test_no_server_is_much_busier_than_the_average_unless_it_has_a_free_slot(
    slots, entries, data
) -> None:
    placing, busy = Placing(len(slots)), [0] * len(slots)
    for number, (group, model, ends) in enumerate(entries):
        if ends and sum(busy):
            busy[data.draw(st.sampled_from([p for p, n in enumerate(busy) if n]))] -= 1
        loads = [Load(count, each) for count, each in zip(busy, slots, strict=True)]
        chosen = placing.choose(Job(model, 0.0, prompt(group, number)), loads)
        busy[chosen] += 1
        if busy[chosen] <= slots[chosen]:
            continue
        average = sum(busy) / sum(slots)
        least = min(load.share for load in loads)
        assert busy[chosen] / slots[chosen] <= BOUND * average or loads[chosen].share == least


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"])),
        min_size=2,
        max_size=4,
    ),
    st.lists(
        st.tuples(st.sampled_from(["ask", "fail", "work", "check"]), st.integers(0, 3)),
        max_size=60,
    ),
    st.sampled_from(["a", "b", "c"]),
)
@settings(max_examples=200)
def test_a_request_goes_to_a_server_in_service_that_has_its_model_while_there_is_one(
    models, steps, model
) -> None:
    placing, now, out = Placing(len(models)), 0.0, set()
    for place, each in enumerate(models):
        placing.told(place, each, ())
    digest = next((each[model] for each in models if model in each), None)
    able = {p for p, each in enumerate(models) if each.get(model) == digest}
    loads = [Load(0, 1)] * len(models)
    for step, which in steps:
        place = which % len(models)
        now += 0.7
        if step == "fail":
            placing.failed(place, now)
            out.add(place)
        elif step == "work":
            placing.worked(place)
            out.discard(place)
        elif step == "check":
            assert set(placing.to_check(now)) <= out
        chosen = placing.choose(Job(model, now), loads)
        assert chosen in able
        assert chosen not in out or able <= out
        assert set(placing.out()) == out
