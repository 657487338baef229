"""The notebooks run from a clean kernel, end with a picture, and show what is true."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.notebooks.conftest import HERE, NAMES, Executed

Executing = Callable[[str], Executed]
CODE_LINES = 60
WHITE = (1.0, 1.0, 1.0)


def cells(name: str) -> list[dict[str, Any]]:
    return list(json.loads((HERE / f"{name}.ipynb").read_text(encoding="utf8"))["cells"])


def test_every_notebook_is_run_here() -> None:
    assert tuple(path.stem for path in sorted(HERE.glob("*.ipynb"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_thin_and_kept_without_outputs(name: str) -> None:
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []
    lines = [line for cell in code for line in cell["source"] if line.strip()]
    assert len(lines) <= CODE_LINES
    assert cells(name)[0]["cell_type"] == "markdown"


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_ends_with_a_picture(name: str, executed: Executing) -> None:
    import matplotlib.image

    done = executed(name)
    first, second = done.printed.splitlines()[:2]
    assert first.startswith("no Ollama answers at OLLAMA_HOST=http://127.0.0.1:")
    assert first.endswith(": simulated model, invented timings")
    assert second.startswith("Redis at ")
    assert len(done.pictures) == 1
    image = matplotlib.image.imread(io.BytesIO(done.pictures[0]), format="png")
    height, width = image.shape[:2]
    assert width >= 800
    assert height >= 300
    corners = itertools.product((2, height - 3), (2, width - 3))
    assert {tuple(image[y, x, :3]) for y, x in corners} == {WHITE}
    assert 0.005 < (image[:, :, :3] < 1).any(axis=2).mean() < 0.9  # drawn on, and not covered
    assert all(axes["title"] for axes in done.axes)
    assert done.axes[-1]["across"]


@pytest.mark.parametrize("name", NAMES[:2])
def test_repeats_are_hits_and_look_alikes_are_not(name: str, executed: Executing) -> None:
    done = executed(name)
    rows = {label: rest for label, *rest in done.values}
    first = rows["first time"]
    assert {label: row[1] for label, row in rows.items()} == {
        "first time": "miss",
        "again": "hit_exact",
        "in other words": "hit_semantic",
        "look-alike": "miss",
        "again, streamed": "hit_exact",
    } | (
        {}
        if name == NAMES[0]
        else {"again, whole engine": "hit_exact", "document changed": "miss"}
    )
    for label, (answer, outcome, *_) in rows.items():
        if outcome.startswith("hit"):
            assert answer == first[0], label
    assert rows["look-alike"][2].startswith("veto_")


@pytest.mark.parametrize("name", NAMES[:2])
def test_the_times_in_the_picture_are_those_that_were_measured(
    name: str, executed: Executing
) -> None:
    done = executed(name)
    (axes,) = done.axes
    assert "in ms" in axes["across"]
    for (label, answer, outcome, reason, taken, looked), text in zip(
        done.values, axes["texts"], strict=True
    ):
        said, _, figures = text.partition(": ")
        assert said == (f"{outcome}, {reason}" if reason else outcome), label
        shown = [float(one.replace(",", "")) for one in figures.split() if one[0].isdigit()]
        assert shown == pytest.approx([taken, looked][: len(shown)], rel=0.06, abs=0.06)
        assert f"{taken:,.1f} ms: {answer}" in done.printed


def test_a_number_that_differs_gets_another_answer(executed: Executing) -> None:
    rows = {label: rest for label, *rest in executed("1_quick_start").values}
    assert "60" in rows["look-alike"][0]
    assert "60" not in rows["first time"][0]
    assert "veto_numbers (other numbers)" in executed("1_quick_start").printed


def test_a_document_that_changed_changes_the_answer(executed: Executing) -> None:
    done = executed("2_llama_index")
    rows = {label: rest for label, *rest in done.values}
    assert "five years" in rows["first time"][0]
    assert "two years" in rows["document changed"][0]
    assert "3 answers were removed" in done.printed
