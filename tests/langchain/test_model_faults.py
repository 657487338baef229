"""Ollama in trouble: the very error of the stock model, nothing kept, the next call works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from aegis_llm.testing import OllamaSimulator
from tests.langchain.kit import Kit, error_awaited, flying, outcome, reason
from tests.langchain.test_calls import WEATHER
from tests.langchain.ways import WAYS

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

ASKED = "What is the capital of France?"
CHAT = "/api/chat"

Plan = Callable[[OllamaSimulator], None]
FAULTS: dict[str, Plan] = {
    "error line first": lambda sim: sim.faults.midstream_error("boom", after=0, path=CHAT),
    "error line later": lambda sim: sim.faults.midstream_error("boom", after=3, path=CHAT),
    "reset first": lambda sim: sim.faults.reset(after=0, path=CHAT),
    "reset later": lambda sim: sim.faults.reset(after=3, path=CHAT),
    "400": lambda sim: sim.faults.status(400, {"error": "bad"}, path=CHAT),
    "404": lambda sim: sim.faults.status(404, {"error": "model 'x' not found"}, path=CHAT),
    "500": lambda sim: sim.faults.status(500, {"error": "broken"}, path=CHAT),
    "503": lambda sim: sim.faults.status(503, {"error": "server busy"}, path=CHAT),
    "502 as text": lambda sim: sim.faults.status(502, "<html>bad gateway</html>", path=CHAT),
    "no end": lambda sim: sim.faults.no_done(after=3, path=CHAT),
    "nothing at all": lambda sim: sim.faults.no_done(after=0, path=CHAT),
    "empty answer": lambda sim: sim.faults.empty(path=CHAT),
}


TRIED_AGAIN = ("reset first", "503", "502 as text")
"""Faults before the first token that may be over at the next try."""


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


def keys(kit: Kit) -> list[bytes]:
    with redis.Redis.from_url(kit.redis_url) as client:
        return list(client.scan_iter(f"aegis:v1:{kit.namespace}:[xs]:*"))


async def result_of(way: Any, model: Any) -> Any:
    """Return the text and metadata of an answer, or the class and text of an error."""
    told: list[Any] = []

    async def ask() -> None:
        answer = await way(model, ASKED)
        told.append((answer.text, answer.response_metadata.get("done_reason")))

    return await error_awaited(ask) or told[0]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_what_it_is_without_us(akit: Kit, way: Any, fault: str) -> None:
    FAULTS[fault](akit.ollama)
    expected = await result_of(way, akit.stock())
    model = akit.aegis()
    for _ in range(3 if fault in TRIED_AGAIN else 1):
        FAULTS[fault](akit.ollama)
    assert await result_of(way, model) == expected
    assert akit.ollama.faults.pending == 0
    assert flying(model) == 0
    assert keys(akit) == []
    good = await way(model, ASKED)
    assert outcome(good) == "miss"
    assert outcome(await way(model, ASKED)) == "hit_local"
    assert good.text != expected[0]


async def test_a_cut_answer_is_not_kept(akit: Kit, way: Any) -> None:
    expected = await result_of(way, akit.stock(num_predict=3))
    model = akit.aegis(num_predict=3)
    answer: Any = None
    for _ in range(2):
        assert await result_of(way, model) == expected
        answer = await way(model, ASKED)
        assert answer.response_metadata["done_reason"] == "length"
        assert outcome(answer) == "miss"
    assert "done_reason_length" in reason(answer)
    assert keys(akit) == []


async def test_an_answer_that_is_no_json_is_not_kept(akit: Kit, way: Any) -> None:
    model = akit.aegis(format="json", num_predict=2)
    await way(model, ASKED)
    assert keys(akit) == []


async def test_a_server_that_is_down(kit: Kit, way: Any) -> None:
    with OllamaSimulator() as gone:
        url = gone.base_url
    stock, model = kit.stock(base_url=url), kit.aegis(base_url=url, embeddings=None)
    expected = await error_awaited(lambda: way(stock, ASKED))
    assert expected is not None
    for _ in range(2):
        assert await error_awaited(lambda: way(model, ASKED)) == expected
    assert keys(kit) == []
    await stock._async_client.close()


async def test_a_failed_tool_call_is_not_kept(kit: Kit, way: Any) -> None:
    model = kit.aegis().bind_tools([WEATHER])
    asked = "What is the weather in Paris?"
    kit.ollama.faults.no_done(after=1, path=CHAT)
    await error_awaited(lambda: way(model, asked))
    assert keys(kit) == []
    assert (await way(model, asked)).tool_calls
    assert outcome(await way(model, asked)) == "hit_local"


async def test_one_failure_in_a_batch(akit: Kit) -> None:
    model = akit.aegis()
    akit.ollama.faults.status(500, {"error": "boom"}, path=CHAT)
    asked = [f"How much is {number} + 1?" for number in range(4)]
    answers = await model.abatch(asked, return_exceptions=True)
    assert sum(isinstance(answer, Exception) for answer in answers) == 1
    answers = model.batch(asked)
    assert [answer.text for answer in answers] == [f"{n} + 1 is {n + 1}." for n in range(4)]


async def test_with_retry_and_fallbacks(akit: Kit) -> None:
    model = akit.aegis()
    akit.ollama.faults.status(500, {"error": "boom"}, path=CHAT)
    retried = model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert outcome(retried.invoke(ASKED)) == "miss"
    assert outcome(retried.invoke(ASKED)) == "hit_local"
    other = akit.aegis(model="nobody").with_fallbacks([model])
    assert outcome(other.invoke(ASKED)) == "hit_local"
    assert outcome(await other.ainvoke(ASKED)) == "hit_local"


async def test_a_call_that_takes_too_long(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.faults.hang(after=1, path=CHAT)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(model.ainvoke(ASKED), 0.2)
    kit.ollama.faults.release()
    assert flying(model) == 0
    assert outcome(await model.ainvoke(ASKED)) == "miss"
