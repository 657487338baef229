"""Says what would be changed, and changes nothing."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from aegis_llm.bootstrap.advice import ModelPlan
from aegis_llm.bootstrap.applying.by_hand import by_hand
from aegis_llm.bootstrap.applying.change import Change, Command, difference, without_secrets
from aegis_llm.bootstrap.applying.files import existing
from aegis_llm.bootstrap.applying.journal import Entry, Journal, check_unedited
from aegis_llm.bootstrap.applying.others import conflicts
from aegis_llm.bootstrap.applying.ours import read_ours
from aegis_llm.bootstrap.applying.places import Place, env_files, place_of, text_of
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing import address
from aegis_llm.bootstrap.probing.processes import port_of
from aegis_llm.bootstrap.rendering import Form, launchd, parse, render
from aegis_llm.config import safe_url
from aegis_llm.errors import ChangeError

_FORMS: dict[str, Form] = {"system": "systemd", "user": "systemd", "launchd": "launchd"}


def plan_change(
    facts: Facts,
    environment: Mapping[str, str],
    *,
    root: Path = Path("/"),
    reasons: Mapping[str, str] | None = None,
    models: Sequence[ModelPlan] = (),
) -> Change:
    """Return what `apply` would do.

    Args:
        facts: The machine; `facts.ollama` tells how Ollama is run and which unit it is.
        environment: What the service is to have.
        root: Below which the files of the machine lie.
        reasons: By variable, for the comments.
        models: For the notes on memory, where a person has to set a limit.

    Raises:
        ConfigError: A variable cannot be written, or looks like a secret.
        ChangeError: The place is not ours to write: a file of someone else, a link, no unit. Or
            the service listens elsewhere than where its server is asked.
    """
    without_secrets(environment)
    root = root.absolute()
    place = place_of(facts, root)
    if place is None:
        form, steps = by_hand(facts)
        text = render(environment, form, reasons=reasons, models=models, facts=facts)
        notes = _kept(facts, environment)
        return Change(way=facts.ollama.installed, form=form, root=str(root), after=text,
                      steps=steps, notes=notes, url=facts.ollama.url)  # fmt: skip
    _check_port(facts, place)
    form = _FORMS[place.scope]
    text = render(environment, form, reasons=reasons, facts=facts)
    before = _ours(place, root)
    same = before is not None and parse(before, form) == dict(environment)
    nothing = same or (before is None and not environment)
    return _change(facts, root, place, before, before if nothing else text, environment)


def _check_port(facts: Facts, place: Place) -> None:
    """Refuse an address at which the service will never answer: each change would be undone."""
    ollama = facts.ollama
    if ollama.environment is None or ollama.running:
        return
    listens = address(ollama.environment.get("OLLAMA_HOST"))
    if port_of(listens) != port_of(ollama.url):
        msg = (
            f"nothing answers at {safe_url(ollama.url)}, and {place.unit} listens on port"
            f" {port_of(listens)}; give --url {listens}"
        )
        raise ChangeError(msg)


def _kept(facts: Facts, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note on the variables that the server has now and that the text does not set."""
    present = facts.ollama.environment or {}
    kept = [f"{name}={value}" for name, value in present.items() if name not in environment]
    if not kept:
        return ()
    return (f"It has {', '.join(sorted(kept))} now: keep what you have set on purpose.",)


def plan_revert(facts: Facts, *, root: Path = Path("/")) -> Change:
    """Return what `revert` would do: take the last change back, finished or cut off.

    Raises:
        ChangeError: As for `plan_change`; or the file was edited since.
    """
    root = root.absolute()
    place = place_of(facts, root)
    if place is None:
        return Change(way=facts.ollama.installed, form="shell", root=str(root),
                      steps=("Nothing was written for it here; take the variables away where you"
                             " have put them.",), url=facts.ollama.url)  # fmt: skip
    now = _read(place)
    last = Journal(place.path, place.unit, root).last
    after = None
    if last is not None and (now is not None or last.state == "begun"):
        check_unedited(place.path, now, last)
        after = last.before
    return _change(facts, root, place, now, after, {})


def _change(
    facts: Facts,
    root: Path,
    place: Place,
    before: str | None,
    after: str | None,
    environment: Mapping[str, str],
) -> Change:
    path = str(place.path)
    warnings, notes = _said(place, environment, root)
    if facts.ollama.installed == "snap":
        notes.append("The snap's own settings (`snap get ollama`) are set later and win.")
    if place.scope == "launchd" and "OLLAMA_CONTEXT_LENGTH" in environment:
        warnings.append(
            "The context length in the app's own settings is stronger than OLLAMA_CONTEXT_LENGTH:"
            " set it there too."
        )
    commands = _commands(place, before, after)
    if place.scope != "launchd" and facts.ollama.running is False:
        then = "the restart will start it"
        if before == after:
            then = f"start it with `{shlex.join(commands[-1])}`"
        notes.append(f"The server does not answer now; {then}.")
    if "OLLAMA_HOST" in environment:
        where = safe_url(facts.ollama.url)
        warnings.append(f"OLLAMA_HOST may move the server; after the restart {where} is asked.")
    return Change(
        way=facts.ollama.installed,
        form=_FORMS[place.scope],
        path=path,
        root=str(root),
        scope=place.scope,
        unit=place.unit,
        before=before,
        after=after,
        diff=difference(before, after, path),
        changes=before != after,
        commands=commands,
        steps=tuple(shlex.join(command) for command in commands),
        needs_root=place.scope == "system" and not os.access(existing(place.path.parent), os.W_OK),
        unfinished=Journal(place.path, place.unit, root).unfinished,
        warnings=tuple(warnings),
        notes=tuple(notes),
        url=facts.ollama.url,
    )


def _ours(place: Place, root: Path) -> str | None:
    """Return our file as it will be once a change that was cut off is undone."""
    now = _read(place)
    last: Entry | None = Journal(place.path, place.unit, root).last
    return last.before if last is not None and last.state == "begun" else now


def _read(place: Place) -> str | None:
    found = read_ours(place.path)
    return found.text if found is not None else None


def _said(place: Place, environment: Mapping[str, str], root: Path) -> tuple[list[str], list[str]]:
    """Return the warnings and notes on the files of others."""
    texts = [(path, text_of(path)) for path in place.others]
    unit, drop_ins = texts[:1], texts[1:]
    earlier = [(str(p), t) for p, t in drop_ins if t is not None and p.name < place.path.name]
    later = [(str(p), t) for p, t in drop_ins if t is not None and p.name > place.path.name]
    units = [(str(p), t) for p, t in unit if t is not None]
    files = [(str(p), t) for p, t in env_files(place.others, root)]
    warnings, notes = conflicts(environment, [*units, *earlier], later, files)
    warnings += [
        f"{path} cannot be read, so what it sets is not known."
        for path, text in texts
        if text is None
    ]
    return warnings, notes


def _commands(place: Place, before: str | None, after: str | None) -> tuple[Command, ...]:
    if place.scope != "launchd":
        systemctl = ("systemctl", "--user") if place.scope == "user" else ("systemctl",)
        return (*systemctl, "daemon-reload"), (*systemctl, "restart", place.unit)
    domain = f"gui/{os.getuid()}"
    had = parse(before, "launchd") if before is not None else {}
    has = parse(after, "launchd") if after is not None else {}
    return (
        *((("launchctl", "bootout", f"{domain}/{launchd.LABEL}"),) if before is not None else ()),
        *(("launchctl", "unsetenv", name) for name in had if name not in has),
        *((("launchctl", "bootstrap", domain, str(place.path)),) if after is not None else ()),
        ("osascript", "-e", 'quit app "Ollama"'),
        ("open", "-a", "Ollama"),
    )
