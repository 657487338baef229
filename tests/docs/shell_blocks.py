"""Runs the commands of shell blocks; those that would change a machine are only read."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis
import typer.main
from typer.testing import CliRunner, Result

from aegis_llm.cli import app
from tests.docs.blocks import ROOT, Block

FINE = (0, 3)
"""Done, or done and something is not as it should be (the machine of a test is no server)."""
NOT_HERE = "cannot be read from here"
"""What `lint` and `verify` say, with status 1, on a machine without an Ollama of its own."""
CHANGES = {"--apply", "--revert", "sudo"}
LONG = {"bench", "demo", "top", "ui"}
"""Commands with tests of their own that take long, or run until they are stopped."""
ASKS = {("cache", "clear"), ("cache", "import"), ("cache", "invalidate")}
_WIDTH = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
_computed: dict[tuple[str, ...], Result] = {}


@dataclass(frozen=True)
class Line:
    """One command, and the lines that a `console` block shows under it."""

    block: Block
    number: int
    text: str
    output: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Its place, as editors open it."""
        return f"{self.block.page}:{self.number}"


def lines_of(block: Block) -> list[Line]:
    """Return the commands of a block; a backslash joins lines, `$ ` begins one in `console`."""
    prompt = "$ " if block.language == "console" else ""
    found: list[Line] = []
    joined = ""
    for number, raw in enumerate(block.code.splitlines(), block.line):
        if not joined and not raw.startswith(prompt):
            if found and raw.strip():
                found[-1] = Line(block, found[-1].number, found[-1].text, (*found[-1].output, raw))
            continue
        joined += raw.removeprefix(prompt) if not joined else " " + raw.strip()
        if joined.endswith("\\"):
            joined = joined[:-1]
        else:
            found.append(Line(block, number, joined))
            joined = ""
    return [line for line in found if line.text.partition("#")[0].strip()]


def check(line: Line, edit: Callable[[str], str]) -> str:
    """Run or read one line, and return which of both was done."""
    done = subprocess.run(["bash", "-n", "-c", line.text], capture_output=True, check=False)
    assert done.returncode == 0, f"{line.where}: {done.stderr.decode()}"
    hows = [_check(line, words, edit) for words in _commands(line.text)]
    assert hows, f"{line.where}: no command"
    return hows[-1]


def _commands(text: str) -> list[list[str]]:
    """Return the words of each command of a line; assignments before a command are dropped."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if re.fullmatch(r"[|&;]+", word):
            found.append([])
        elif found[-1] or not re.match(r"[A-Z_]+=", word):
            found[-1].append(word)
    return [words for words in found if words]


def _check(line: Line, words: list[str], edit: Callable[[str], str]) -> str:
    bare = [word for word in words if word != "sudo"]
    if bare[0] == "aegis-llm":
        return _aegis(line, words, edit)
    if bare[0] == "redis-cli":
        return _redis(bare, edit)
    checker = {"pip": _pip, "make": _make, "python": _python}.get(bare[0])
    assert checker, f"{line.where}: say above the block why `{bare[0]}` is not run"
    checker(line.where, bare)
    return "read"


def _aegis(line: Line, words: list[str], edit: Callable[[str], str]) -> str:
    target, arguments = "", [word for word in words if word != "sudo"][1:]
    if ">" in arguments:
        target, arguments = arguments[-1], arguments[: arguments.index(">")]
    named = any(re.fullmatch(r"[A-Z]{3,}", word) for word in arguments)  # ENTRY, FILE
    long = arguments[:1] and arguments[0] in LONG
    if named or long or CHANGES & set(words) or tuple(arguments[:2]) in ASKS:
        read(arguments, line.where)
        return "read"
    result = _invoked(tuple(edit(word) for word in arguments))
    fine = result.exit_code in FINE or (result.exit_code == 1 and NOT_HERE in result.output)
    assert fine, f"{line.where}: {result.exit_code}\n{result.output}"
    if target:
        Path(target).write_text(result.stdout)
    _compare(line, result.output)
    return "run"


def _invoked(arguments: tuple[str, ...]) -> Result:
    """Run a command; a simulation of the same load is the same wherever it stands."""
    if arguments in _computed:
        return _computed[arguments]
    result = CliRunner().invoke(app, list(arguments), env=_WIDTH)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if arguments[:1] == ("simulate",):
        _computed[arguments] = result
    return result


def read(arguments: list[str], where: str) -> None:
    """Parse the arguments of a command as it would, without calling it."""
    command = typer.main.get_command(app)
    if not arguments:
        return
    found = command.commands.get(arguments[0])  # type: ignore[attr-defined]
    assert found is not None, f"{where}: there is no command {arguments[0]!r}"
    if len(arguments) > 1 and arguments[1] in getattr(found, "commands", ()):
        found, arguments = found.commands[arguments[1]], arguments[1:]
    with found.make_context(arguments[0], list(arguments[1:])):
        pass


def _compare(line: Line, output: str) -> None:
    """Compare what a block shows with what the command says: in order, line breaks are free."""
    rest = _plain(output)
    for shown in line.output:
        if wanted := _plain(shown):
            _, found, rest = rest.partition(wanted)
            assert found, f"{line.where}: it does not say {shown!r}, but:\n{output}"


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[─━]+", " ", text).split())


def _redis(words: list[str], edit: Callable[[str], str]) -> str:
    with redis.Redis.from_url(edit("redis://localhost:6379")) as client:
        client.execute_command(*words[1:])
    return "run"


def _pip(where: str, words: list[str]) -> None:
    assert words[1] == "install", where
    project = (ROOT / "pyproject.toml").read_text()
    named = " ".join(words)
    assert "aegis-llm" not in named, f"{where}: on the index that is another project"
    for extra in re.findall(r"\.\[([\w,-]+)\]", named):
        for name in extra.split(","):
            assert re.search(rf"^{name} = \[", project, re.MULTILINE), f"{where}: no extra {name}"


def _make(where: str, words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in (word for word in words[1:] if "=" not in word):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{where}: no target {target}"


def _python(where: str, words: list[str]) -> None:
    if words[1] == "-m":
        assert importlib.util.find_spec(words[2]), f"{where}: no module {words[2]}"
    else:
        assert (ROOT / words[1]).is_file(), f"{where}: no file {words[1]}"
