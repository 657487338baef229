"""Calls at the same time share requests: few round trips, each text once, each caller its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from aegis_llm.errors import TextTooLongError
from aegis_llm.testing import MiniLM, OllamaSimulator
from langchain_aegis import AegisEmbeddings
from tests.langchain.embeddings_kit import LONG, PATH, Makes, make
from tests.langchain.kit import until

__all__ = ["make"]
MANY = 64
TEXTS = [f"What does article {number} say?" for number in range(MANY)]
Ways = Callable[[AegisEmbeddings, list[str]], list[Any]]


def in_threads(made: AegisEmbeddings, texts: list[str]) -> list[Any]:
    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(lambda text: caught(made.embed_query, text), texts))


def in_tasks(made: AegisEmbeddings, texts: list[str]) -> list[Any]:
    async def all_of_them() -> list[Any]:
        calls = [made.aembed_query(text) for text in texts]
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(all_of_them())


def in_both(made: AegisEmbeddings, texts: list[str]) -> list[Any]:
    """In threads, and in the tasks of two event loops."""
    parts = texts[::3], texts[1::3], texts[2::3]
    ways: tuple[Ways, ...] = (in_threads, in_tasks, in_tasks)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda way, part: way(made, part), ways, parts))
    return [done[at % 3][at // 3] for at in range(len(texts))]


def caught(call: Callable[[str], Any], text: str) -> Any:
    try:
        return call(text)
    except TextTooLongError as exc:
        return exc


@pytest.fixture(params=[in_threads, in_tasks, in_both])
def ask(request: pytest.FixtureRequest) -> Ways:
    way: Ways = request.param
    return way


@pytest.fixture
def busy(ollama: OllamaSimulator, make: Makes) -> Iterator[Callable[..., Any]]:
    """Asks many texts while a first request is under way; returns once all are answered."""
    with ThreadPoolExecutor(2) as pool:

        def ask_while_busy(
            made: AegisEmbeddings,
            ask: Ways,
            texts: list[str],
            *,
            left: int,
            sent: int = 1,
            calls: int | None = None,
        ) -> list[Any]:
            """Ask; `left` calls wait until the first of the `sent` requests comes back."""
            claims: list[int] = []
            work: Any = made._vectors._work
            claim = work.claim
            work.claim = lambda *given: claims.append(1) or claim(*given)
            ollama.faults.hang(path=PATH)
            first = pool.submit(made.embed_query, "the first")
            ollama.wait_for(1, PATH)
            many = pool.submit(ask, made, texts)
            gathering: Any = made._vectors.gathers
            until(lambda: len(claims) == 1 + (calls or len(texts)))
            until(lambda: ollama.count(PATH) == sent and gathering.waiting == left)
            ollama.faults.release()
            first.result(30)
            return many.result(30)

        yield ask_while_busy
        ollama.faults.release()


def right(vectors: list[Any], texts: list[str]) -> bool:
    return np.allclose(vectors, MiniLM().embed(texts), atol=1e-5)


def patient(make: Makes, **given: Any) -> AegisEmbeddings:
    """One whose window does not end while a test runs."""
    return make(window_ms=60_000, **given)


def test_sixty_four_callers_are_three_requests(
    make: Makes, busy: Callable[..., Any], ask: Ways
) -> None:
    vectors = busy(patient(make), ask, TEXTS[1:], left=31, sent=2)
    assert right(vectors, TEXTS[1:])
    assert [len(texts) for texts in make.sent] == [1, 32, 31]
    assert sorted(text for texts in make.sent[1:] for text in texts) == sorted(TEXTS[1:])


def test_sixty_four_callers_need_a_fifth_of_the_requests(make: Makes, ask: Ways) -> None:
    """As they come, with the settings as they are."""
    apart = make(schedule=False, namespace="apart")
    assert right(ask(apart, TEXTS), TEXTS)
    one_by_one = len(make.sent)
    assert right(ask(make(), TEXTS), TEXTS)
    assert one_by_one == MANY
    assert 5 * (len(make.sent) - one_by_one) <= one_by_one


def test_the_same_text_is_computed_once(make: Makes, ask: Ways) -> None:
    made = make()
    vectors = ask(made, ["a", "b"] * (MANY // 2))
    assert right(vectors, ["a", "b"] * (MANY // 2))
    assert Counter(text for texts in make.sent for text in texts) == {"a": 1, "b": 1}


@pytest.mark.parametrize("kept", [True, False])
def test_the_same_text_under_way_is_not_asked_for_again(
    make: Makes, busy: Callable[..., Any], ask: Ways, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is kept, because the digest is not known."""
    made = patient(make)
    if not kept:
        monkeypatch.setattr(type(made._vectors.kept.digests), "known", lambda *_: None)
        monkeypatch.setattr(
            type(made._vectors.kept.digests), "look", lambda *_, **__: (None, None)
        )
    vectors = busy(made, ask, ["the first"] * 8, left=0)
    assert right(vectors, ["the first"] * 8)
    assert make.sent == [["the first"]]


def test_a_text_that_is_too_long_fails_its_caller_alone(
    make: Makes, busy: Callable[..., Any], ask: Ways
) -> None:
    texts = [*TEXTS[:20], LONG, *TEXTS[21:31]]
    results = busy(patient(make), ask, texts, left=31)
    error = results.pop(20)
    assert isinstance(error, TextTooLongError)
    assert (error.index, error.characters) == (0, len(LONG))
    assert right(results, texts[:20] + texts[21:])
    assert len(make.sent) == 1 + 6, "one for all, and one for each half without fault"


def test_one_call_alone_is_sent_at_once(make: Makes) -> None:
    made = patient(make)
    for text in TEXTS[:3]:
        made.embed_query(text)
        asyncio.run(made.aembed_query(f"{text}?"))
    assert [len(texts) for texts in make.sent] == [1] * 6


def test_nobody_waits_longer_than_the_window(make: Makes, ollama: OllamaSimulator) -> None:
    made = make(window_ms=20)
    ollama.faults.hang(path=PATH)
    with ThreadPoolExecutor(3) as pool:
        hung = pool.submit(made.embed_query, "a")
        ollama.wait_for(1, PATH)
        others = [pool.submit(made.embed_query, text) for text in TEXTS[:2]]
        assert right([one.result(10) for one in others], TEXTS[:2])
        assert not hung.done()
        ollama.faults.release()


def test_texts_of_one_call_stay_together_and_share_with_others(
    make: Makes, busy: Callable[..., Any]
) -> None:
    def ask(made: AegisEmbeddings, texts: list[str]) -> list[Any]:
        with ThreadPoolExecutor(2) as pool:
            one = pool.submit(made.embed_documents, texts)
            two = pool.submit(lambda: asyncio.run(made.aembed_documents(["other", texts[0]])))
            return [*one.result(30), *two.result(30)]

    texts = TEXTS[:40]
    vectors = busy(patient(make), ask, texts, left=2, calls=2)
    assert right(vectors, [*texts, "other", texts[0]])
    assert len(make.sent) == 2
    assert sorted(make.sent[1]) == sorted([*texts, "other"])


def test_a_blocking_call_on_a_running_loop_waits_for_nobody(make: Makes) -> None:
    made = patient(make)

    async def scenario() -> list[Any]:
        tasks = [asyncio.create_task(made.aembed_query(text)) for text in TEXTS[:8]]
        await asyncio.sleep(0)
        blocking = made.embed_query(TEXTS[8]), made.embed_query(TEXTS[0])
        return [*await asyncio.gather(*tasks), *blocking]

    assert right(asyncio.run(scenario()), [*TEXTS[:9], TEXTS[0]])


def test_models_that_differ_share_no_request(make: Makes, ollama: OllamaSimulator) -> None:
    made = [patient(make), patient(make, dimensions=64), patient(make, keep_alive=9)]
    ollama.faults.hang(path=PATH)
    with ThreadPoolExecutor(2) as pool:
        vectors = [pool.submit(one.embed_query, "a") for one in made[:2]]
        ollama.wait_for(2, PATH)
        ollama.faults.release()
    assert [len(vector.result(30)) for vector in vectors] == [384, 64]
    assert len({id(one._vectors.gathers) for one in made}) == 3
    assert patient(make, namespace="other")._vectors.gathers is made[0]._vectors.gathers


def test_it_can_gather_always(make: Makes, ask: Ways) -> None:
    made = make(window="always", window_ms=30_000, max_batch=16)
    assert right(ask(made, TEXTS), TEXTS)
    assert [len(texts) for texts in make.sent] == [16] * 4
