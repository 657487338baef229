"""`aegis-llm cache export` and `import`."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import msgspec
import typer

from aegis_llm.browsing import Imported
from aegis_llm.browsing.lines import LONGEST
from aegis_llm.cli_browsing.parts import (
    AsJson,
    Yes,
    agree,
    browsing,
    print_json,
    say,
    to_the_end,
    where,
)
from aegis_llm.cli_options import Namespace, RedisUrl
from aegis_llm.cli_parts import refuse
from aegis_llm.errors import ConfigError

_PRIVATE = 0o600


def export(
    file: Annotated[Path, typer.Argument(help="Where to; - is standard output.")],
    vectors: Annotated[
        bool, typer.Option(help="With what a reworded question is found by.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
) -> None:
    """Write every entry as a line of JSON; what it holds is as secret as the answers are."""
    with browsing(redis_url, namespace) as browser:
        lines = browser.export(vectors=vectors)
        first = next(lines)  # before a file is made: Redis answers
        with (
            to_the_end("The export did not come to its end; there is no file with all of it."),
            _written(file, force=force) as out,
        ):
            out.write(first)
            count = sum(out.write(line) > 0 for line in lines) - 1  # the last one is no entry
        if str(file) != "-":
            say(f"{count:,} entries of {where(browser)} are in {file}.")


def take_in(
    file: Annotated[Path, typer.Argument(help="What `export` wrote; - is standard input.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="In place of entries that are there.")
    ] = False,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Store the entries of an export, each until the time at which it was to expire.

    Each line is checked, and what is no entry is refused. What an answer says cannot be checked:
    import what you trust.

    Exit status: 3 when lines were refused, or the end of the export is missing.
    """
    with browsing(redis_url, namespace) as browser, _read(file) as source:
        if overwrite:
            agree(f"Write over entries of {where(browser)}?", yes=yes)
        with to_the_end("The import did not come to its end: do it again, to no harm."):
            done = browser.take_in(_lines(source, file), overwrite=overwrite)
        if as_json:
            print_json({"v": 1, **msgspec.to_builtins(done)})
        else:
            _tell(done, where(browser))
    if done.refused or not done.whole:
        raise typer.Exit(3)


def _tell(done: Imported, place: str) -> None:
    say(f"{done.stored:,} entries stored in {place}.")
    notes = (
        (done.kept, "were there already (--overwrite takes the new ones)"),
        (done.expired, "had expired"),
        (done.invalidated, "rest on what was invalidated after the export"),
        (done.refused, "lines were refused"),
    )
    for count, note in notes:
        if count:
            say(f"{count:,} {note}.")
    if not done.whole:
        say("The end of the export is missing: it was cut off, and there was more.")
    for number, why in done.told:
        say(f"  line {number}: {why}")


def _lines(source: IO[bytes], file: Path) -> Iterator[bytes]:
    """Yield lines; of one that is too long to be an entry, no more than that is kept."""
    while True:
        try:
            line = source.readline(LONGEST)
            rest = line
            while len(rest) >= LONGEST and not rest.endswith(b"\n"):
                rest = source.readline(LONGEST)
        except OSError as exc:
            msg = f"{file} cannot be read: {exc.strerror}"
            raise ConfigError(msg) from exc
        if not line:
            return
        yield line


@contextlib.contextmanager
def _written(file: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Open a file that only its owner may read; it bears its name once it is whole."""
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if file.exists() and not force:
        refuse(f"{file} is there already; --force writes over it.")
    whole = file.is_file() or not file.exists()  # else a device or a pipe, which stays what it is
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}") if whole else file
    try:
        with _opened(part, anew=whole) as out:
            yield out
        if whole:
            part.replace(file)
    except OSError as exc:
        refuse(f"{file} cannot be written: {exc.strerror}.")
    finally:
        if whole:
            part.unlink(missing_ok=True)


def _opened(file: Path, *, anew: bool) -> IO[bytes]:
    how = os.O_WRONLY | (os.O_CREAT | os.O_EXCL if anew else 0)
    return os.fdopen(os.open(file, how, _PRIVATE), "wb")


@contextlib.contextmanager
def _read(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        source = file.open("rb")
    except OSError as exc:
        refuse(f"{file} cannot be read: {exc.strerror}.")
    with source:
        yield source
