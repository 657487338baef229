"""`explain()` of ChatAegis and AegisCache: it tells what the next call does, and does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from rich.console import Console

from aegis_llm import Explanation, cache_control
from tests.langchain.kit import Kit, outcome, reason
from tests.redis_server import RedisServer

QUESTION = "How do I water a cactus?"
REWORDED = "How should I water a cactus?"
LOOK_ALIKE = "How do I water 7 cacti?"
FEW = "+ping +hello +client|setinfo +auth +select +info +subscribe +mget"
READS = "+get +ft.search +zrangebyscore +hgetall +lrange"
GATES = {"similarity": 0.9}
"""Settings by which the gates decide alone, whatever the weights of the score."""


@pytest.fixture(params=["blocking", "awaited"])
def explain(request: pytest.FixtureRequest) -> Iterator[Callable[..., Explanation]]:
    """Explains, blocking or awaited."""
    if request.param == "blocking":
        yield lambda model, *args, **given: model.explain(*args, **given)
        return
    with asyncio.Runner() as runner:
        yield lambda model, *args, **given: runner.run(
            model.aexplain(*args, **given), context=copy_context()
        )


def state(redis_server: RedisServer, namespace: str) -> dict[bytes, bytes]:
    """Every key of a namespace with all that is in it, and the indexes."""
    with redis_server.client() as client:
        found = {key: client.dump(key) for key in client.scan_iter(f"aegis:*:{namespace}:*")}
        indexes = [
            name for name in client.execute_command("FT._LIST") if namespace.encode() in name
        ]
        return found | {b"indexes": b" ".join(sorted(indexes))}


@pytest.mark.parametrize("question", [QUESTION, REWORDED, LOOK_ALIKE, "Is Rome in Italy?"])
def test_it_tells_what_the_next_call_does(
    kit: Kit, explain: Callable[..., Explanation], question: str
) -> None:
    model = kit.aegis(judge="off")
    explain(model, question)
    model.invoke(QUESTION)
    for _ in range(2):
        told = explain(model, question)
        calls = kit.calls
        message = model.invoke(question)
        assert (told.outcome, told.reason) == (outcome(message), reason(message))
        assert told.hit is (kit.calls == calls)
        origin = message.response_metadata["aegis"]
        assert told.entry_id == origin["entry_id"]


def test_nothing_is_written_and_no_model_is_asked(
    kit: Kit, explain: Callable[..., Explanation], redis_server: RedisServer, namespace: str
) -> None:
    fresh = kit.aegis(warm=False, judge="off")
    fresh.connect_now()  # the first contact gives the namespace its version
    before = state(redis_server, namespace)
    told = explain(fresh, QUESTION, elsewhere=2)
    assert (told.outcome, told.reason) == ("miss", "no_candidate")
    assert "index_missing" in told.in_the_way
    assert state(redis_server, namespace) == before
    assert {key for key in before if not key.endswith(b":version")} == {b"indexes"}
    kit.aegis(judge="off").invoke(QUESTION)
    before = state(redis_server, namespace)
    assert len(before) >= 3
    calls = kit.calls
    for question in (QUESTION, REWORDED, LOOK_ALIKE, "Is Rome in Italy?"):
        explain(fresh, question, elsewhere=2)
        with cache_control(tenant="acme"):
            explain(fresh, question, elsewhere=2, all_tenants=True)
        with cache_control(refresh=True):
            explain(fresh, question)
    assert state(redis_server, namespace) == before
    assert len(fresh._answering.service.local) == 1
    assert len(fresh._answering.service.flights) == 0
    assert kit.calls == calls


def test_a_user_who_may_only_read_is_enough(
    kit: Kit,
    explain: Callable[..., Explanation],
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not redis_server.private:
        pytest.skip("needs a server of its own, to add a user to it")
    kit.aegis().invoke(QUESTION)
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "resetchannels",
                               "&aegis:*", "-@all", *READS.split(), *FEW.split())  # fmt: skip
    try:
        url = redis_server.url.replace("://", "://reader:secret@")
        reading = kit.aegis(redis_url=url, warm=False, **GATES)
        told = explain(reading, REWORDED)
        assert (told.outcome, told.in_the_way) == ("hit_semantic", ())
        with cache_control(tenant="acme"):
            assert len(explain(reading, REWORDED, elsewhere=1, all_tenants=True).elsewhere) == 1
        assert "redis_no_permission" not in caplog.text
        assert "a right is missing" not in caplog.text
    finally:
        with redis_server.client() as client:
            client.acl_deluser("reader")


def test_entries_of_another_context_and_tenant(
    kit: Kit, explain: Callable[..., Explanation]
) -> None:
    model = kit.aegis(**GATES)
    model.invoke([("system", "Be brief."), ("human", QUESTION)])
    with cache_control(tenant="acme"):
        model.invoke("How should I water my cactus?")
    told = explain(model, REWORDED, elsewhere=5)
    assert told.candidates == ()
    assert [(one.question, one.accept, one.elsewhere) for one in told.elsewhere] == [
        (QUESTION, True, "with another context, system text, history or options")
    ]
    everyone = explain(model, REWORDED, elsewhere=5, all_tenants=True)
    assert {one.elsewhere for one in everyone.elsewhere} == {
        "with another context, system text, history or options",
        "of another tenant or user",
    }
    other = kit.aegis(model="mistral:7b", **GATES)
    assert (
        "of another model, llama3.1:8b"
        in explain(other, REWORDED, elsewhere=5).elsewhere[0].elsewhere
    )


def test_a_chain_is_explained_by_its_messages(
    kit: Kit, explain: Callable[..., Explanation]
) -> None:
    prompt = ChatPromptTemplate.from_template("Context:\n{context}\n\nQuestion: {question}")
    model = kit.aegis(**GATES)
    (prompt | model).invoke({"context": "Cacti want little.", "question": QUESTION})
    value = prompt.invoke({"context": "Cacti want little.", "question": REWORDED})
    assert explain(model, value).outcome == "hit_semantic"
    other = prompt.invoke({"context": "Cacti want a lot.", "question": REWORDED})
    assert explain(model, other).reason == "no_candidate"


@pytest.mark.parametrize("given", ["", "\ud800", "x" * 100_000, "😀" * 5, "مرحبا", QUESTION])
def test_no_input_and_no_trouble_is_an_exception(
    kit: Kit, explain: Callable[..., Explanation], given: str
) -> None:
    model = kit.aegis(redis_url="redis://127.0.0.1:1", redis_connect_timeout_ms=50)
    told = explain(model, given)
    assert told.outcome in ("miss", "bypass")
    assert told.reason
    console = Console(width=100)
    with console.capture() as shown:
        console.print(told)
    shown.get().encode()
    str(told).encode()
    assert len(str(told)) < 2000


def test_a_redis_that_is_not_there_stands_in_the_way(
    kit: Kit, explain: Callable[..., Explanation]
) -> None:
    model = kit.aegis(redis_url="redis://127.0.0.1:1")
    told = explain(model, QUESTION)
    assert (told.outcome, told.reason) == ("miss", "redis_down")
    assert told.in_the_way == ("redis_down",)
    assert "Redis does not answer" in str(told)
    assert explain(kit.aegis(embeddings=None), QUESTION).in_the_way == ("no_embeddings",)


def test_the_table_names_every_veto(kit: Kit, explain: Callable[..., Explanation]) -> None:
    model = kit.aegis(similarity=0.5)
    model.invoke("Can I [bold]return[/bold] a kettle within 30 days?")
    told = explain(model, "Can I [bold]return[/bold] a kettle within 60 days?")
    assert told.reason == "veto_numbers"
    console = Console(width=140)
    with console.capture() as shown:
        console.print(told)
    for word in ("[bold]return[/bold]", "veto_numbers (other numbers)", "no_candidate"):
        assert (word in shown.get()) is (word != "no_candidate")


def test_the_cache_of_any_model(kit: Kit, explain: Callable[..., Explanation]) -> None:
    cache = kit.cache(**GATES)
    model: Any = cache.bind(FakeListChatModel(responses=["Rarely."]))
    assert explain(cache, QUESTION, model).reason == "no_candidate"
    model.invoke(QUESTION)
    assert explain(cache, QUESTION, model).outcome == "hit_local"
    assert explain(cache, REWORDED, model).outcome == "hit_semantic"
    assert explain(cache, QUESTION, kit.stock()).reason == "model_unnamed"
    assert explain(cache, QUESTION, kit.aegis()).reason == "chat_aegis"
    with pytest.raises(TypeError, match="takes a chat model"):
        explain(cache, QUESTION, 5)


def test_the_score_and_what_it_needs_are_shown(
    kit: Kit, explain: Callable[..., Explanation]
) -> None:
    model = kit.aegis()
    model.invoke(QUESTION)
    [one] = explain(model, REWORDED).candidates
    assert one.score is not None
    assert one.threshold is not None
    assert 0 < one.score <= 1
    assert one.accept is (one.score >= one.threshold)
    assert f"score {one.score:.3f} of {one.threshold:.3f}" in str(explain(model, REWORDED))
    [vetoed] = explain(model, LOOK_ALIKE).candidates
    assert (vetoed.score, "veto_numbers" in vetoed.vetoes) == (None, True)


def test_a_judge_that_would_be_asked_is_not(
    kit: Kit, explain: Callable[..., Explanation], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = kit.aegis(judge="serve")
    model.invoke(QUESTION)
    matcher = model._answering.service.rules.matcher
    monkeypatch.setattr(matcher, "threshold", 1.1)
    monkeypatch.setattr(matcher, "_grey", 0.0)
    calls = kit.calls
    told = explain(model, REWORDED)
    assert (told.outcome, told.reason) == ("miss", "judge_would_decide")
    assert (told.candidates[0].grey, kit.calls) == (True, calls)
    model.invoke(REWORDED)
    assert kit.calls > calls


def test_a_rejected_answer_is_told(kit: Kit, explain: Callable[..., Explanation]) -> None:
    model = kit.aegis(**GATES)
    model.invoke(QUESTION)
    served = model.invoke(REWORDED)
    assert outcome(served) == "hit_semantic"
    model.reject(served)
    model.invoke(QUESTION)
    told = explain(model, REWORDED)
    assert (told.outcome, told.reason) == ("miss", "pair_refused")
    assert (told.candidates[0].known, told.candidates[0].accept) == ("different", False)
    elsewhere = kit.aegis(**GATES)
    assert explain(elsewhere, REWORDED).reason == "pair_refused"
