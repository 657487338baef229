"""Advice as tables and sentences, readable at 80 columns and without colour."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from aegis_llm.bootstrap.advice import Advice, BudgetLine
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.cli_parts import console

_GIB = 2**30
_UNSET = "unset"
_NARROW = 72
"""Columns of a terminal below which the tables have no room for their sentences."""
_GOALS = {
    "throughput": "many answers",
    "latency": "fast answers",
    "memory": "little memory",
}


def show_advice(advice: Advice, facts: Facts) -> None:
    """Print advice: settings with reasons, the memory, what the study had, what to know."""
    _say(_asked(advice, facts))
    _list("", [f"! {one}" for one in advice.warnings])
    _head("Settings")
    _show(_settings(advice))
    _head("Models")
    _show(_models(advice))
    _head(_budget_title(advice))
    _show(_budget(advice))
    study = _study(advice)
    if study.row_count:
        _head("What the study of 2025 has, and why it differs")
        _show(study)
    for model, options in advice.options.items():
        shown = ", ".join(f"PARAMETER {name} {value}" for name, value in options.items())
        _say(f"In the Modelfile of {model}: {shown}")
    _list("Assumed", [f"- {one}" for one in advice.assumed])
    _list("Not known", [f"- {one.what}: {one.why}. Give it: {one.give}" for one in advice.unknown])


def _asked(advice: Advice, facts: Facts) -> str:
    w = advice.workload
    requests = "1 request" if w.concurrent == 1 else f"{w.concurrent:,} requests"
    return (
        f"For {facts.source}, Ollama {advice.version}: {requests} at the same time, "
        f"prompts of {w.prompt_tokens:,} and answers of {w.output_tokens:,} tokens "
        f"({w.source}); {', '.join(w.models)}; for {_GOALS[w.goal]}. "
        + ("It fits." if advice.fits else "It does not fit.")
    )


def _settings(advice: Advice) -> Table:
    table = _table()
    table.add_column("setting", no_wrap=True)
    table.add_column("value", no_wrap=True)
    table.add_column("why", ratio=1)
    for one in advice.settings:
        why = escape(one.reason)
        if one.arithmetic:
            why += f"\n[dim]{escape(one.arithmetic)}[/dim]"
        if one.default:
            why += f"\n[dim]Default: {escape(one.default)}.[/dim]"
        table.add_row(one.name, _value(one.value), why)
    return table


def _models(advice: Advice) -> Table:
    table = _table()
    table.add_column("model", overflow="fold")
    for name in ("slots", "tokens each", "KV type", "GiB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why so many slots", ratio=1)
    for one in advice.models:
        kv_type = one.kv_type if one.kv else "-"
        why = escape(one.why_slots)
        size = f"{one.total / _GIB:,.2f}"
        table.add_row(
            escape(one.name), str(one.slots), f"{one.context:,}", kv_type, size, why
        )  # fmt: skip
    return table


def _budget_title(advice: Advice) -> str:
    budget = advice.budget
    where = "GPU memory" if budget.place == "gpu" else "Main memory"
    total = "unknown" if budget.total is None else f"{budget.total / _GIB:,.2f} GiB"
    return (
        f"{where}: {total} in all, {budget.usable / _GIB:,.2f} GiB for models, "
        f"{budget.used / _GIB:,.2f} GiB used"
    )


def _budget(advice: Advice) -> Table:
    table = _table()
    table.add_column("for", overflow="fold")
    table.add_column("GiB", justify="right", no_wrap=True)
    table.add_column("in", no_wrap=True)
    table.add_column("computed", ratio=1)
    for line in advice.budget.lines:
        size = f"{line.bytes / _GIB:,.2f}"
        place = "GPU" if line.place == "gpu" else "main"
        table.add_row(_what(line), size, place, escape(line.arithmetic))
    return table


def _what(line: BudgetLine) -> str:
    return escape(f"{line.what} of {line.model}" if line.model else line.what)


def _study(advice: Advice) -> Table:
    table = _table()
    table.add_column("setting", no_wrap=True)
    table.add_column("study", no_wrap=True)
    table.add_column("here", no_wrap=True)
    table.add_column("why", ratio=1)
    for one in advice.settings:
        if one.study is not None and one.study_differs:
            table.add_row(one.name, one.study, _value(one.value), escape(one.study_differs))
    return table


def _value(value: str | None) -> str:
    return _UNSET if value is None else escape(value)


def _table() -> Table:
    return Table(box=box.HORIZONTALS, expand=True, pad_edge=False)


def _show(table: Table) -> None:
    """Print a table; where it would be cut, each row as lines."""
    if console.width >= _NARROW:
        console.print(table)
        return
    for first, *others in zip(*(column.cells for column in table.columns), strict=True):
        console.print(first, highlight=False)
        for column, cell in zip(table.columns[1:], others, strict=True):
            if cell:
                line = Padding(f"{column.header}: {cell}", (0, 0, 0, 2))
                console.print(line, highlight=False)


def _head(text: str) -> None:
    console.print(f"\n{text}", style="bold", markup=False, highlight=False)


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False)


def _list(title: str, lines: list[str]) -> None:
    if title and lines:
        _head(title)
    for line in lines:
        _say(line)
