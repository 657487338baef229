"""What is made from the code and from measured figures is up to date."""

from __future__ import annotations

import itertools
import re
from dataclasses import fields
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from aegis_llm import CacheConfig, SchedulerConfig
from aegis_llm.cli import app
from tests.docs.blocks import ROOT
from tools import configuration, numbers_picture

DOCS = ROOT / "docs"
PAGE = configuration.PAGE.read_text()


def test_the_configuration_page_is_up_to_date() -> None:
    assert configuration.page() == PAGE, "run: python -m tools.configuration"


def test_the_picture_of_the_numbers_is_up_to_date() -> None:
    drawn = numbers_picture.draw(numbers_picture.panels((DOCS / "benchmarks.md").read_text()))
    assert drawn == numbers_picture.PICTURE.read_text(), "run: python -m tools.numbers_picture"


@pytest.mark.parametrize("section", [CacheConfig, SchedulerConfig])
def test_every_setting_says_what_it_takes_and_does(section: type) -> None:
    for field in fields(section):
        (row,) = re.findall(rf"^\| `{field.name}` \|.*$", PAGE, re.MULTILINE)
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        assert all(cells), row


def test_every_flag_on_the_page_is_one_that_the_command_knows() -> None:
    sections = re.split(r"^### aegis-llm ", PAGE, flags=re.MULTILINE)[1:]
    assert sorted(section.partition("\n")[0] for section in sections) == sorted(every_command())
    for section in sections:
        name, _, body = section.partition("\n")
        shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "300"})
        assert shown.exit_code == 0, name
        told = set(re.findall(r"--[a-z][\w-]*", shown.output))
        names = [row.split(" | ")[0] for row in re.findall(r"^\| .*", body, re.MULTILINE)]
        flags = {flag for name in names for flag in re.findall(r"`(--[\w-]+)`", name)}
        assert flags == told & flags, name
        options = set(re.findall(r"^│?\s*\*?\s*(--[a-z][\w-]*)", shown.output, re.MULTILINE))
        assert options - {"--help"} <= flags, name


def every_command() -> list[str]:
    """Return the commands that do something, as the command itself knows them."""
    found = []

    def walk(command: Any, name: str) -> None:
        below = getattr(command, "commands", None)
        if name and (below is None or command.invoke_without_command):
            found.append(name)
        for inner in (below or {}).values():
            walk(inner, f"{name} {inner.name}".strip())

    walk(typer.main.get_command(app), "")
    return found


@pytest.mark.parametrize("name", ["", "cache", *every_command()])
def test_the_help_of_a_command_fits_a_narrow_terminal(name: str) -> None:
    narrow = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "TERM": "dumb", "NO_COLOR": "1"}
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env=narrow).output
    lines = shown.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in shown
    told = [line.strip() for line in shown.partition("╭")[0].splitlines()]
    for line, following in itertools.pairwise(told):
        if line and following:  # the first word of a line would not have fitted before it
            assert len(f" {line} {following.split()[0]} ") > 80, line


def test_no_figure_of_the_picture_is_made_up() -> None:
    picture = numbers_picture.PICTURE.read_text()
    measured = (DOCS / "benchmarks.md").read_text()
    for figure in re.findall(r">(\d+ of \d+)<", picture):
        assert figure in measured
