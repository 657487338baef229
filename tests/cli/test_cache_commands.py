"""`aegis-llm cache ...`, called as from a shell, on a real Redis."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import Result

from aegis_llm.browsing import Browser
from aegis_llm.config import AegisConfig
from tests.browsing.kit import entry, key_of, store

Run = Callable[..., Result]


@pytest.fixture
def run(command: Run, redis_url: str, namespace: str) -> Run:
    """Runs one of the commands on the test's namespace."""

    def run(
        *arguments: str, code: int = 0, where: str = namespace, url: str = redis_url
    ) -> Result:
        done = command("cache", *arguments, "--redis-url", url, "--namespace", where)
        assert done.exit_code == code, done.output
        return done

    return run


def left(redis_url: str, namespace: str) -> int:
    browser = Browser(AegisConfig().with_options(redis_url=redis_url, namespace=namespace))
    found = browser.search("", everywhere=True).entries
    browser.close()
    return len(found)


def test_stats_counts(run: Run, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, *map(entry, range(5)))
    told = " ".join(run("stats").output.split())
    for each in ("entries 5", "found by rewording 5", "hits unknown", "llama3.1:8b 5", "right 0"):
        assert each in told
    data = json.loads(run("stats", "--json").output)
    assert (data["v"], data["stock"]["entries"], data["stock"]["hits"]) == (1, 5, None)


def test_list_pages_and_searches(run: Run, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, *map(entry, range(5)))
    first = json.loads(run("list", "--json", "--limit", "3").output)
    assert [one["answer"] for one in first["entries"]] == [f"Answer {n}." for n in range(3)]
    more = json.loads(run("list", "--json", "--page", first["next"]).output)
    assert [one["answer"] for one in more["entries"]] == ["Answer 3.", "Answer 4."]
    told = run("list", "--search", "part 4").output
    assert "How does part 4 work?" in told
    assert "part 3" not in told
    assert "Answer 2." in run("list", "--search", "answer 2", "--everywhere").output
    assert "Nothing is found" in run("list", "--search", "zzz").output
    assert "Nothing is cached" in run("list", where=f"{namespace}-x").output


def test_a_terminal_is_not_told_what_to_do_by_an_answer(
    run: Run, redis_url: str, namespace: str
) -> None:
    store(
        redis_url, namespace, entry(0, question="\x1b]0;x\x07[red]a[/red]", documents=("\x1b[2J",))
    )
    for told in (run("list").output, run("show", entry(0).key).output):
        assert "\x1b" not in told
        assert "[red]a[/red]" in told


def test_show_by_the_first_digits(run: Run, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, entry(0))
    told = " ".join(run("show", entry(0).key[:12]).output.split())
    for each in ("How does part 0 work?", "Answer 0.", "documents doc-0", "hits unknown"):
        assert each in told
    data = json.loads(run("show", entry(0).key, "--json").output)
    assert data["entry_id"] == entry(0).key
    assert "no entry" in run("show", "f" * 64, code=2).output


def test_clear_asks_and_deletes_this_namespace_alone(
    run: Run, command: Run, redis_url: str, namespace: str
) -> None:
    other = f"{namespace}-other"
    store(redis_url, namespace, *map(entry, range(5)))
    store(redis_url, other, entry(0))
    assert "Nothing was changed" in run("clear", code=1).output
    assert left(redis_url, namespace) == 5
    assert "is deleted" in run("clear", "--yes").output
    assert (left(redis_url, namespace), left(redis_url, other)) == (0, 1)


def test_invalidate_asks_and_needs_a_name(run: Run, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, entry(0))
    assert "Nothing was changed" in run("invalidate", "--document", "d", code=1).output
    assert "0 answers removed" in run("invalidate", "--tag", "t", "--yes").output
    assert "needs a document" in run("invalidate", "--yes", code=1).output


def test_what_is_exported_is_imported(
    run: Run, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    file, other = tmp_path / "out.jsonl", f"{namespace}-b"
    store(redis_url, namespace, *map(entry, range(5)))
    assert "5 entries" in run("export", str(file)).output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "--force" in run("export", str(file), code=2).output
    run("export", str(file), "--force")
    assert "5 entries stored" in run("import", str(file), where=other).output
    assert "5 were there already" in run("import", str(file), where=other).output
    with redis.Redis.from_url(redis_url) as client:
        assert client.get(key_of(other, entry(3))) == client.get(key_of(namespace, entry(3)))
    assert "Nothing was changed" in run("import", str(file), "--overwrite", code=1).output


def test_a_broken_line_is_told_and_the_status_says_so(
    run: Run, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    file, other = tmp_path / "out.jsonl", f"{namespace}-b"
    store(redis_url, namespace, entry(0))
    run("export", str(file))
    with file.open("ab") as out:
        out.write(b'{"entry":\n' + b"x" * 17_000_000 + b"\n" + b"\n")
    done = run("import", str(file), where=other, code=3)
    assert "1 entries stored" in done.output
    assert "2 lines were refused" in done.output
    assert "line 3" in done.output
    data = json.loads(run("import", str(file), "--json", where=other, code=3).output)
    assert (data["kept"], data["refused"]) == (1, 2)


def test_what_cannot_be_read_or_written_is_a_sentence(run: Run, tmp_path: Path) -> None:
    assert "cannot be read" in run("import", str(tmp_path / "none"), code=2).output
    assert "cannot be read" in run("import", str(tmp_path), code=2).output
    assert "cannot be written" in run("export", str(tmp_path / "no" / "x"), code=2).output
    (tmp_path / "empty").touch()
    assert "no export" in run("import", str(tmp_path / "empty"), code=2).output


@pytest.mark.parametrize(
    "arguments", [["stats"], ["list"], ["show", "a" * 64], ["clear", "--yes"], ["export", "-"]]
)
def test_redis_down_is_one_sentence_without_the_password(run: Run, arguments: list[str]) -> None:
    said = run(*arguments, url="redis://:hunter2@127.0.0.1:1", code=1).output
    assert "redis_down" in said
    assert "hunter2" not in said


def test_memory_and_a_bad_url_are_refused(run: Run) -> None:
    assert "its own process" in run("list", url="memory://x", code=2).output
    assert "start it with" in run("list", url="http://x", code=2).output


def test_an_unknown_page_is_refused(run: Run) -> None:
    done: Any = run("list", "--page", "x", code=1)
    assert "names no page" in done.output
