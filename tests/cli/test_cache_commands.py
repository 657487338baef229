"""`aegis-llm cache ...`, called as from a shell, on a real Redis."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from rich.console import Console
from typer.testing import CliRunner, Result

from aegis_llm.browsing import Browser, Imported, Seen
from aegis_llm.cli import app
from aegis_llm.cli_browsing import parts
from aegis_llm.cli_browsing.tables import listed
from aegis_llm.config import AegisConfig
from tests.browsing.kit import entry, key_of, now_ms, store
from tests.redis_server import RedisServer

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
    assert "needs a document" in run("invalidate", "--yes", code=2).output


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
    assert "line 4" in done.output
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
    assert "names no page" in run("list", "--page", "x", code=2).output


def test_digits_of_several_entries_are_refused(run: Run, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, *(entry(n, key=f"{n}".rjust(64, "a")) for n in (1, 2)))
    assert "2 entries begin with" in run("show", "a" * 12, code=2).output


def test_what_a_hostile_file_says_tells_the_terminal_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "evil.jsonl"
    header = {"aegis_export": 1, "namespace": "n", "version": 0, "sequence": 0, "exported_ms": 1}
    evil = "\x1b]0;x\x07\u202e\x9b31m"
    file.write_text("\n".join(map(json.dumps, (header, {evil: 1}, {"entry": {evil: 1}}))))
    refused = [run("import", str(file), code=3).output]
    for first in ({**header, evil: 1}, {**header, "aegis_export": evil}):
        file.write_text(json.dumps(first))
        refused.append(run("import", str(file), code=2).output)
    for said in refused:
        assert "\ufffd" in said
        assert not any(c in said for c in evil if not c.isprintable())


def test_json_tells_a_terminal_nothing_either(run: Run, redis_url: str, namespace: str) -> None:
    evil = "\x1b[2J\u202e\x9b31m\U000e0001 \u65e5\u672c"
    store(redis_url, namespace, entry(0, question=evil))
    said = run("list", "--json").output
    assert all(c.isprintable() or c == "\n" for c in said)
    assert "\u65e5\u672c" in said
    assert json.loads(said)["entries"][0]["question"] == evil


def test_a_yes_that_comes_by_a_pipe_is_none(
    command: Run, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(redis_url, namespace, entry(0))
    given = ["cache", "clear", "--redis-url", redis_url, "--namespace", namespace]
    done = CliRunner().invoke(app, given, input="y\n")
    assert (done.exit_code, left(redis_url, namespace)) == (1, 1)
    monkeypatch.setattr(parts, "_at_terminal", lambda: True)
    assert CliRunner().invoke(app, given, input="n\n").exit_code == 1
    assert left(redis_url, namespace) == 1
    done = CliRunner().invoke(app, given, input="y\n")
    assert (done.exit_code, left(redis_url, namespace)) == (0, 0)


def test_an_export_that_stops_on_the_way_leaves_what_was_there(
    run: Run, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text("the last one")
    file.chmod(0o644)
    real = Browser.export
    with RedisServer() as server:
        store(server.url, namespace, *map(entry, range(5)))

        def cut(browser: Browser, *, vectors: bool = True) -> Iterator[bytes]:
            lines = real(browser, vectors=vectors)
            yield next(lines)
            server.kill()
            yield from lines

        with monkeypatch.context() as dying:
            dying.setattr(Browser, "export", cut)
            said = run("export", str(file), "--force", url=server.url, code=1).output
        assert "did not come to its end" in said
        assert (file.read_text(), list(tmp_path.iterdir())) == ("the last one", [file])
        server.start()
        run("export", str(file), "--force", url=server.url)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "aegis_export" in file.read_text()
    assert list(tmp_path.iterdir()) == [file]


def test_an_import_that_stops_on_the_way_can_be_done_again(
    run: Run, redis_url: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out.jsonl"
    store(redis_url, namespace, *map(entry, range(300)))
    run("export", str(file))
    real = Browser.take_in
    with RedisServer() as server:

        def dying(browser: Browser, lines: Iterator[bytes], *, overwrite: bool) -> Imported:
            def until(number: int) -> Iterator[bytes]:
                for at, line in enumerate(lines):
                    if at == number:
                        server.kill()
                    yield line

            return real(browser, until(250), overwrite=overwrite)

        with monkeypatch.context() as context:
            context.setattr(Browser, "take_in", dying)
            said = run("import", str(file), url=server.url, code=1).output
        assert "do it again" in said
        server.start()
        assert "300 entries stored" in run("import", str(file), url=server.url).output


def test_what_is_cleared_in_part_is_told(
    run: Run, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Browser.clear
    with RedisServer() as server:
        store(server.url, namespace, entry(0))

        def dying(browser: Browser) -> None:
            browser.store.ready(5)
            server.kill()
            real(browser)

        monkeypatch.setattr(Browser, "clear", dying)
        said = run("clear", "--yes", url=server.url, code=1).output
    assert "in part or not at all" in said
    assert "redis_down" in said


def test_an_export_that_was_cut_off_is_told(
    run: Run, redis_url: str, namespace: str, tmp_path: Path
) -> None:
    file = tmp_path / "out.jsonl"
    store(redis_url, namespace, *map(entry, range(5)))
    run("export", str(file))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:3]))
    done = run("import", str(file), where=f"{namespace}-b", code=3)
    assert "2 entries stored" in done.output
    assert "was cut off" in done.output


def test_a_device_stays_a_device(run: Run, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, entry(0))
    run("export", os.devnull, "--force")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_after_the_last_page_there_is_no_more(run: Run, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, *map(entry, range(3)))
    assert json.loads(run("list", "--json", "--limit", "3").output)["next"] == ""
    place = json.loads(run("list", "--json", "--limit", "2").output)["next"]
    run("clear", "--yes")
    assert "No more entries" in run("list", "--page", place).output


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_list_fits_the_terminal(width: int) -> None:
    one = Seen(entry=entry(0, question="How? " * 30), key="k", size=1)
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(listed([one], now_ms(), width))
    told = capture.get()
    assert max(map(len, told.splitlines())) <= width
    assert one.entry_id[:12] in told
    assert "Answer 0." in told
