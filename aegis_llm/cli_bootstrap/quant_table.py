"""The quantizations of a model as a table and sentences."""

from __future__ import annotations

from rich import box
from rich.table import Table

from aegis_llm.bootstrap.advising.words import GIB
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.quantizing import Offer, Quantizations
from aegis_llm.cli_parts import console


def show(found: Quantizations, facts: Facts) -> None:
    """Print what was found so that a person can act on it."""
    installed, taken = found.installed, found.recommended
    _say(f"{found.model}: {installed.label or 'no label'}, {installed.remark}.")
    many = "slot" if found.slots == 1 else "slots"
    _say(f"On {facts.source}: {found.slots} {many} of {found.context:,} tokens wanted, "
         f"{found.usable / GIB:,.2f} GiB usable"
         + (f" ({found.room})." if found.room else "."))  # fmt: skip
    if found.offers:
        console.print(_table(found))
        _say("* at hand. needs: weights, the KV cache of all slots, compute buffers. tokens/s: of "
             "one answer, at most / likely. Losses: of Llama-3-8B, i: with an importance "
             "matrix.", style="dim")  # fmt: skip
    _say(f"\n{_headline(found)}", style="bold")
    _say(f"{_capital(taken.reason)}{'' if taken.reason.endswith('.') else '.'}")
    if taken.how:
        _say(f"How: {taken.how}.")
    if found.otherwise:
        _say("\nDecide otherwise when", style="bold")
    for case in found.otherwise:
        _say(f"- {case.when}: take {case.take}; {case.why}.")
    _list("Known of this", (*found.notes, found.active))
    _list("Assumed", found.assumed)
    _list("Not known", tuple(f"{u.what}: {u.why}; {u.give}" for u in found.unknown))
    if any(one.loss for one in found.offers):
        _say(f"\nLosses: {found.source}.", style="dim")


def _headline(found: Quantizations) -> str:
    taken = found.recommended
    if taken.label is None:
        return "Nothing to recommend"
    said = f"{'Keep' if taken.keep else 'Take'} {taken.label}"
    if taken.kv_type == "q8_0":
        said += ", with OLLAMA_KV_CACHE_TYPE=q8_0"
    if taken.slots < found.slots:
        said += f", with OLLAMA_NUM_PARALLEL={taken.slots}"
    return said


def _table(found: Quantizations) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    table.add_column("", no_wrap=True)
    for name in ("bits", "GiB", "needs\nf16", "needs\nq8_0", "fits", "tokens/s", "perpl.", "KL"):
        table.add_column(name, justify="right", no_wrap="\n" not in name)
    for one in found.offers:
        loss = one.loss
        mark = "i" if loss is not None and loss.imatrix else ""
        table.add_row(
            "*" if one.installed else "",
            one.label,
            f"{one.bits:.2f}",
            f"{one.size / GIB:,.2f}",
            f"{one.needs_f16 / GIB:,.2f}",
            "-" if one.needs_q8_0 is None else f"{one.needs_q8_0 / GIB:,.2f}",
            _fits(one, found.slots),
            _speed(one),
            "-" if loss is None else f"{loss.increase:+.1%}",
            "-" if loss is None else f"{loss.divergence:.4f}{mark}",
        )
    return table


def _fits(one: Offer, slots: int) -> str:
    if one.fits is not None:
        return one.fits
    return f"{one.slots} of {slots}" if one.slots else "no"


def _speed(one: Offer) -> str:
    if one.ceiling is None or one.likely is None:
        return "-"
    digits = 0 if one.likely >= 10 else 1
    return f"{one.ceiling:,.{digits}f} / {one.likely:,.{digits}f}"


def _list(title: str, said: tuple[str, ...]) -> None:
    if said:
        _say(f"\n{title}", style="dim")
    for one in said:
        _say(f"- {one}", style="dim")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _say(text: str, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, markup=False)
