"""What the pages show and do, over real HTTP on a real Redis."""

from __future__ import annotations

import html
import re

import httpx
import pytest
import redis

from aegis_llm import codec
from aegis_llm.browsing import Browser
from aegis_llm.browsing.figures import Figures
from aegis_llm.config import AegisConfig
from aegis_llm.names import names_of
from aegis_llm.plan import Put
from aegis_llm.stores.document_commands import records
from aegis_llm.stores.redis_commands import set_exact
from aegis_llm.testing import OllamaSimulator
from aegis_llm.ui.serving import Page
from aegis_llm.values import Answer, ToolCall
from tests.browsing.kit import entry, key_of, store
from tests.contracts.topologies import cluster
from tests.redis_server import RedisServer
from tests.ui.conftest import Serve
from tests.ui.visitor import Visitor, text_of

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"


def left(url: str, namespace: str) -> list[str]:
    browser = Browser(AegisConfig().with_options(redis_url=url, namespace=namespace))
    found = browser.search("", everywhere=True)
    browser.close()
    return sorted(one.entry.question or "" for one in found.entries)


def counted(visitor: Visitor, page: Page) -> str:
    """Return the source of the overview once everything is counted."""
    visitor.read("/")
    page.overview.stocktaking.wait(10)
    return visitor.read("/")


def test_the_overview_tells_what_is_stored(
    visitor: Visitor, page: Page, redis_url: str, namespace: str
) -> None:
    store(redis_url, namespace, *map(entry, range(3)))
    told = text_of(counted(visitor, page))
    assert "entries 3" in told
    assert "--metrics" in told
    assert "llama3.1:8b 3" in told


def test_the_overview_tells_how_it_goes(serve: Serve) -> None:
    figures = Figures(
        outcomes={"hit_local": 60, "miss": 20, "hit_semantic": 20},
        lookup={0.001: 90, 0.01: 100},
        waiting=3, in_flight=2, slots=4, saved_s=7200.0, saved_tokens=1234,
    )  # fmt: skip
    page = serve(source=lambda: figures)
    with httpx.Client(follow_redirects=True) as client:
        told = text_of(client.get(page.url).text)
    for each in ("hit rate 80.0%", "waiting 3", "slots 4", "time of the model 2 h", "1,234"):
        assert each in told
    assert "hit local 60%" in told


def test_entries_are_paged_and_searched(visitor: Visitor, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, *map(entry, range(60)))
    first = visitor.read("/entries")
    assert "60 found, newest first" in text_of(first)
    assert "part 24 " in text_of(first)
    assert "part 25 " not in text_of(first)
    following = first.partition('rel="next"')[2].partition('href="')[2].partition('"')[0]
    place = following.replace("&amp;", "&").partition("/entries")[2]
    assert "part 25 " in visitor.seen(f"/entries{place}")
    assert "1 found" in visitor.seen("/entries?q=part+42")
    assert "20 found" in visitor.seen("/entries?q=doc:doc-1")
    assert "Answer 42." in visitor.seen("/entries?q=answer+42&everywhere=1")
    assert "Nothing is found" in visitor.seen("/entries?q=zzz")
    assert "names no page" in visitor.seen("/entries?page=x", 400)


def test_one_entry_is_shown_whole(visitor: Visitor, redis_url: str, namespace: str) -> None:
    one = entry(0)
    store(redis_url, namespace, one)
    with redis.Redis.from_url(redis_url) as client:
        client.hset(f"aegis:v1:{namespace}:n:hits", one.key, 41)
    told = visitor.seen(f"/entries/{one.key}")
    for each in ("How does part 0 work?", "Answer 0.", "hits 41", "doc-0", "tag 0", one.key):
        assert each in told
    assert "no such entry" in visitor.seen("/entries/" + "0" * 64, 404)
    assert "no such entry" in visitor.seen("/entries/*", 404)


def test_an_entry_is_rejected(visitor: Visitor, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, entry(0), entry(1))
    path = f"/entries/{entry(0).key}"
    assert "removed" in visitor.sent(f"{path}/reject", asked="What is a part?")
    assert left(redis_url, namespace) == [entry(1).question]
    assert visitor.client.get(path).status_code == 404
    assert visitor.send(f"{path}/reject").status_code == 404


def test_documents_and_tags_are_invalidated(
    visitor: Visitor, redis_url: str, namespace: str
) -> None:
    store(redis_url, namespace, *map(entry, range(6)), index=False)
    with redis.Redis.from_url(redis_url) as client:
        for one in map(entry, range(6)):
            key = key_of(namespace, one)
            put = Put(key, codec.encode(one), 9999999, names=names_of(one.documents, one.tags))
            for command in records(namespace, put, [key], one.created_ms):
                client.execute_command(*command)
    assert "2 answers removed" in visitor.sent("/invalidate", document=["doc-1"])
    assert "2 answers removed" in visitor.sent("/invalidate", tag=["tag 1"])
    assert left(redis_url, namespace) == [entry(0).question, entry(2).question]
    reply = visitor.send("/invalidate")
    assert reply.status_code == 400
    assert "no document and no tag" in reply.text


def test_what_is_stored_is_text_and_never_markup(
    visitor: Visitor, page: Page, redis_url: str, namespace: str
) -> None:
    answers = (Answer(EVIL, thinking=EVIL, tool_calls=(ToolCall(EVIL),)),)
    one = entry(
        0, question=EVIL, answers=answers, documents=(EVIL,), tags=(EVIL,), model=EVIL
    )  # fmt: skip
    store(redis_url, namespace, one)
    sources = [visitor.read("/entries"), visitor.read("/entries?everywhere=1&q=script")]
    sources += [visitor.read(f"/entries/{one.key}"), visitor.read(f"/why?entry={one.key}")]
    fields = {"question": EVIL, "model": EVIL, "system": EVIL, "tenant": EVIL}
    sources.append(visitor.send("/why", **fields).text)
    sources.append(visitor.send("/why", entry=one.key, question=EVIL).text)
    sources.append(visitor.send("/try", asked=EVIL, other=EVIL).text)
    sources.append(counted(visitor, page))
    for source in sources:
        assert "<script" not in source
        assert "<img" not in source
        assert "alert(2)>49" not in html.unescape(source)  # no template of its own
        assert "&lt;script&gt;" in source


def test_nothing_stored_turns_the_letters_round(
    visitor: Visitor, page: Page, redis_url: str, namespace: str
) -> None:
    evil = "invoice\u202egnp.exe"
    one = entry(
        0, question=evil, answers=(Answer(evil),), documents=(evil,), tags=("t",), model=evil
    )
    store(redis_url, namespace, one)
    sources = [visitor.read("/entries"), visitor.read(f"/why?entry={one.key}")]
    sources += [counted(visitor, page), visitor.read(f"/entries/{one.key}")]
    for source in sources:
        assert "invoice\ufffdgnp.exe" in source
        assert "\u202e" not in re.sub(r'value="[^"]*"', "", source)
    assert f'value="{evil}"' in sources[-1]  # it is that document which is invalidated


def test_a_search_is_shown_as_text(visitor: Visitor) -> None:
    source = visitor.client.get("/entries", params={"q": EVIL, "page": ""}).text
    assert "<script" not in source
    assert "alert(1)" in source


def test_why_an_entry_answers(visitor: Visitor, redis_url: str, namespace: str) -> None:
    one = entry(0, question="How do I reset my password?")
    store(redis_url, namespace, one)
    assert "How do I reset my password?" in visitor.seen(f"/why?entry={one.key}")
    told = visitor.sent("/why", entry=one.key, question="How can I reset my password?")
    assert "would be served for the other" in told
    told = visitor.sent("/why", entry=one.key, question="How do I reset my router?")
    assert "would not be served" in told


def test_why_without_the_embedder_tells_what_the_gates_say(
    visitor: Visitor, ollama: OllamaSimulator, redis_url: str, namespace: str
) -> None:
    store(redis_url, namespace, entry(0, question="Are dogs allowed in the hotel?"))
    ollama.faults.status(500, n=9)
    told = visitor.sent("/why", entry=entry(0).key, question="Are dogs not allowed in the hotel?")
    assert "would not be served" in told


def test_a_request_is_explained(visitor: Visitor) -> None:
    told = visitor.sent(
        "/why", question="What time is it?", model="llama3.1:8b", system="Be brief."
    )
    assert "The model would be asked" in told
    assert "route" in told
    assert "is empty" in visitor.send("/why", question=" ", model="m").text
    assert "is empty" in visitor.send("/why", question="x", model=" ").text


def test_two_questions_are_tried(visitor: Visitor) -> None:
    same = visitor.sent(
        "/try", asked="How can I reset my password?", other="How do I reset my password?"
    )
    assert "would be served for the other" in same
    assert "similarity" in same
    other = visitor.sent(
        "/try", asked="Is the museum open on Monday?", other="Is the museum open on Sunday?"
    )
    assert "would not be served" in other


def test_redis_down_is_a_page_that_says_so(serve: Serve) -> None:
    with RedisServer() as server:
        page = serve(url=server.url)
        with httpx.Client(follow_redirects=True) as client:
            assert client.get(page.url).status_code == 200
            server.kill()
            base = page.base
            overview = client.get(f"{base}/")
            entries = client.get(f"{base}/entries")
    assert overview.status_code == 200
    assert "Redis does not answer" in text_of(overview.text)
    assert entries.status_code == 503
    assert "Redis does not answer (redis_down)" in text_of(entries.text)


def test_a_cluster_is_listed_and_cared_for(serve: Serve, namespace: str) -> None:
    with cluster() as (node,):
        page = serve(url=f"redis+cluster://127.0.0.1:{node.port}")
        with node.client() as client:
            for one in map(entry, range(30)):
                client.execute_command(*set_exact(key_of(namespace, one), codec.encode(one), 9999))
        base = page.base
        with httpx.Client(base_url=base, follow_redirects=True) as client:
            visitor = Visitor(client)
            visitor.read(page.url)
            assert "in no order: 25 on this page" in visitor.seen("/entries")
            assert "Answer 7." in visitor.seen(f"/entries/{entry(7).key}")
            assert "removed" in visitor.sent(f"/entries/{entry(7).key}/reject")
            assert "no such entry" in visitor.seen(f"/entries/{entry(7).key}", 404)
            assert "entries 29" in text_of(counted(visitor, page))


@pytest.mark.parametrize("path", ["/", "/entries", "/why", "/try"])
def test_every_page_has_a_name_a_language_and_labels(visitor: Visitor, path: str) -> None:
    source = visitor.read(path)
    assert '<html lang="en">' in source
    assert 'aria-current="page"' in source
    ids = set(re.findall(r'<label for="(\w+)"', source))
    named = re.findall(r'<(?:input|textarea) id="(\w+)"', source)
    assert set(named) == ids
