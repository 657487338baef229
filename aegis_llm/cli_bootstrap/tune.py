"""`aegis-llm tune`: computes, writes and verifies the configuration of an Ollama server."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from aegis_llm.bootstrap.advice import Advice, Goal
from aegis_llm.bootstrap.advising import PROFILES, advise, study_2025
from aegis_llm.bootstrap.applying import Applied, Change, apply, plan_change, plan_revert, revert
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing import probe
from aegis_llm.bootstrap.rendering import Form, render
from aegis_llm.bootstrap.verifying import Verification, verify
from aegis_llm.cli_bootstrap.advice_table import show_advice
from aegis_llm.cli_bootstrap.changes import interruptible, show_applied, show_change, status
from aegis_llm.cli_bootstrap.exits import FAILED, NOT_SO, OK
from aegis_llm.cli_bootstrap.given import check_here, facts_of
from aegis_llm.cli_bootstrap.verify import show as show_verification
from aegis_llm.cli_bootstrap.workloads import names_of, workload_from
from aegis_llm.cli_parts import aside, console, is_text, refuse, sentences
from aegis_llm.errors import ConfigError

Preset = Literal["computed", "study-2025"]


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints; fields are added, never renamed, while `v` stays 1.

    Attributes:
        advice: None when a change is taken back.
        change: What would be, or was, written.
        applied: None: nothing was done yet.
        verification: Of the settings that were applied.
    """

    v: Literal[1] = 1
    advice: Advice | None = None
    change: Change | None = None
    applied: Applied | None = None
    verification: Verification | None = None


def tune(
    concurrent: Annotated[
        int | None, typer.Option(help="Requests at the same time in a busy moment, else 4.")
    ] = None,
    prompt_tokens: Annotated[
        int | None, typer.Option(help="Of a long prompt with its documents, else 3000.")
    ] = None,
    output_tokens: Annotated[
        int | None, typer.Option(help="Of the longest answer, else 500.")
    ] = None,
    models: Annotated[
        str, typer.Option(help="Models, with commas; else those on the server.")
    ] = "",
    goal: Annotated[
        Goal, typer.Option("--for", help="What to weigh when not everything can be had.")
    ] = "throughput",
    prefix_tokens: Annotated[
        int | None, typer.Option(help="Tokens at the start of a prompt that others share.")
    ] = None,
    prefixes: Annotated[
        int | None, typer.Option(help="Different such beginnings in use at a time, else 1.")
    ] = None,
    keep_alive: Annotated[
        str | None, typer.Option(help="How long models stay loaded; else advised.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Learn the workload from a file, see docs/planning.md.")
    ] = None,
    learn: Annotated[
        str | None, typer.Option(help="Or from the answers in this Redis, redis://...")
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="Whose answers.")] = None,
    preset: Annotated[
        Preset, typer.Option(help="study-2025 shows that study's settings, and what they do.")
    ] = "computed",
    url: Annotated[
        str | None, typer.Option(help="The Ollama; else OLLAMA_HOST, else localhost.")
    ] = None,
    host_facts: Annotated[
        Path | None, typer.Option(help="Another machine: what `probe --json` printed there.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help=f"Or a known one: {', '.join(PROFILES)}.")
    ] = None,
    root: Annotated[Path, typer.Option(help="Where the files of the machine are.")] = Path("/"),
    form: Annotated[
        Form | None, typer.Option("--as", help="Print the settings in this form, and no more.")
    ] = None,
    apply_it: Annotated[
        bool, typer.Option("--apply", help="Write them, restart the server, and verify.")
    ] = False,
    revert_it: Annotated[
        bool, typer.Option("--revert", help="Take the last --apply back.")
    ] = False,
    restart: Annotated[
        bool, typer.Option(help="Restart the server, where that can be done here.")
    ] = True,
    wait: Annotated[float, typer.Option(help="Seconds it may take to come up.")] = 60.0,
    deep: Annotated[
        bool, typer.Option("--deep", help="After --apply send short requests, to prove the slots.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute the settings of this Ollama server, and show the change; nothing is changed.

    With --apply it is written, and taken back if the server does not come up with it.

    Exit status: 0 when all is well; 1 when something could not be done, as where no file here can
    set it; 2 when something that was given is not usable; 3 when what is asked for does not fit,
    or is not in force after --apply, the restart being left to you; 4 when the server did not come
    up and the old settings are back.
    """
    if apply_it + revert_it + (form is not None) > 1:
        refuse("Give one of --apply, --revert and --as.")
    if apply_it and preset == "study-2025":
        refuse("--preset study-2025 is there to compare with, not to apply; see its warnings.")
    _check(models, wait, deep=deep and not apply_it)
    wanted = names_of(models)
    with sentences():
        try:
            facts = facts_of(
                url=url, host_facts=host_facts, profile=profile, root=root, models=wanted
            )
            if revert_it:
                made, code = _taken_back(facts, root, restart, wait, as_json)
            else:
                workload = workload_from(
                    goal=goal, trace=trace, learn=learn, namespace=namespace,
                    concurrent=concurrent, prompt_tokens=prompt_tokens,
                    output_tokens=output_tokens, prefix_tokens=prefix_tokens, prefixes=prefixes,
                    keep_alive=keep_alive, models=wanted or None,
                )  # fmt: skip
                advice = (study_2025 if preset == "study-2025" else advise)(facts, workload)
                if form is not None:
                    _print(advice, facts, form)
                    raise typer.Exit(OK if advice.fits else NOT_SO)
                change = plan_change(
                    facts, advice.environment, root=root, reasons=_reasons(advice),
                    models=advice.models,
                )  # fmt: skip
                if not as_json:
                    show_advice(advice, facts)
                    console.print("\nChange", style="bold")
                    show_change(change)
                made, code = Tuned(advice=advice, change=change), OK if advice.fits else NOT_SO
                if apply_it:
                    made, code = _applied(
                        facts, advice, change, root, restart=restart, wait=wait, deep=deep,
                        quiet=as_json,
                    )  # fmt: skip
        except ConfigError as exc:
            refuse(f"{exc}.")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(made), indent=2).decode())
    raise typer.Exit(code)


def _check(models: str, wait: float, *, deep: bool) -> None:
    """Stop where an option cannot be meant."""
    if deep:
        refuse("--deep proves what --apply has done; without it use `aegis-llm verify --deep`.")
    if not (math.isfinite(wait) and wait >= 0):
        refuse(f"--wait {wait:g} is not usable; give seconds, from 0.")
    if not is_text(models):
        refuse("--models holds bytes that are no text in UTF-8; type it anew.")


def _print(advice: Advice, facts: Facts, form: Form) -> None:
    """Print a form, and beside it what a person should know before using it."""
    text = render(
        advice.environment,
        form,
        models=advice.models,
        reasons=_reasons(advice),
        facts=facts,
        options=advice.options,
    )
    typer.echo(text.rstrip("\n"))
    for warning in advice.warnings:
        aside.print(f"! {warning}", markup=False, highlight=False)


def _reasons(advice: Advice) -> dict[str, str]:
    return {one.name: one.reason for one in advice.settings}


def _applied(
    facts: Facts,
    advice: Advice,
    change: Change,
    root: Path,
    *,
    restart: bool,
    wait: float,
    deep: bool,
    quiet: bool,
) -> tuple[Tuned, int]:
    """Make the change that was shown, and verify it where the server runs with it."""
    if not advice.fits:
        said = "What is asked for does not fit, so nothing is applied."
        if not quiet:
            console.print(said, style="red", highlight=False)
        return Tuned(advice=advice, change=change), NOT_SO
    if change.path is not None and root == Path("/") and facts.source != "this machine":
        check_here(facts, probe(change.url))
    with interruptible(change):
        applied = apply(change, restart=restart, wait_s=wait)
    if not quiet:
        console.print()
        show_applied(applied)
    made = Tuned(advice=advice, change=change, applied=applied)
    if applied.outcome == "written" and restart:
        return made, NOT_SO
    if applied.outcome not in ("applied", "unchanged"):
        return made, status(applied)
    now = facts_of(url=change.url, root=root, models=advice.workload.models)
    verification = verify(
        now, advice.environment, root=root, deep=deep, model=_asked(advice) if deep else None
    )
    if not quiet:
        console.print()
        show_verification(verification)
    made = msgspec.structs.replace(made, verification=verification)
    if verification.in_force and not verification.answers:
        return made, FAILED
    return made, OK if verification.in_force else NOT_SO


def _asked(advice: Advice) -> str | None:
    """Return the model that most requests ask, if one of them writes."""
    return next((plan.name for plan in advice.models if plan.kv), None)


def _taken_back(
    facts: Facts, root: Path, restart: bool, wait: float, quiet: bool
) -> tuple[Tuned, int]:
    change = plan_revert(facts, root=root)
    if not quiet:
        show_change(change)
    with interruptible(change):
        applied = revert(change, restart=restart, wait_s=wait)
    made = Tuned(change=change, applied=applied)
    if applied.outcome == "by_hand":
        return made, OK
    if not quiet:
        show_applied(applied)
    left = applied.outcome in ("written", "removed") and restart
    return made, NOT_SO if left else status(applied)
