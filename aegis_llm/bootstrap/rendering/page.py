"""What every form is rendered from, and what all forms share: names, values, comments. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aegis_llm.bootstrap.advice import ModelPlan
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.errors import ConfigError

MARK = "managed-by: aegis-llm"
"""By this a file is recognised as written here, whatever its name."""
_WRITER = f"Written by aegis-llm tune ({MARK})."
_MANAGED = (
    "The next apply writes it anew, revert takes it back: keep settings of your own elsewhere."
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFUSED = {
    "Cc": "a control character",
    "Cs": "a lone surrogate",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
_VERSION = re.compile(r"\d+\.\d+\.\d+(-rc\d+)?")


@dataclass(frozen=True, slots=True)
class Page:
    """What is rendered.

    Attributes:
        models: What each model gets; for the note on memory, and the model of a Modelfile.
        reasons: By variable, one sentence.
        facts: The machine; without it no GPU, version or name of a container is known.
        options: Request options by model, for a Modelfile.
    """

    environment: Mapping[str, str]
    models: Sequence[ModelPlan] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: Facts | None = None
    options: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def header(self, prefix: str = "# ", *, managed: bool = False) -> list[str]:
        """Return the lines that say who wrote it; `managed`: and who will write it again."""
        return [prefix + line for line in (_WRITER, _MANAGED)[: 1 + managed]]

    def reason(self, name: str) -> str:
        """Return the reason of a variable on one line, empty when none was given."""
        return one_line(self.reasons.get(name, ""))

    def comment(self, name: str, prefix: str = "# ") -> list[str]:
        """Return the comment line of a variable, or no line."""
        reason = self.reason(name)
        return [prefix + reason] if reason else []

    def comments(self, prefix: str = "# ") -> list[str]:
        """Return a comment line for each variable, for forms that take none in between."""
        return [
            f"{prefix}{name}: {self.reason(name)}"
            for name in self.environment
            if self.reason(name)
        ]

    @property
    def gpu(self) -> str | None:
        """Return `nvidia` or `amd` when the machine has such a GPU that containers can use."""
        gpus = (self.facts.gpus if self.facts else None) or ()
        return next((gpu.vendor for gpu in gpus if gpu.vendor in ("nvidia", "amd")), None)

    @property
    def image(self) -> str:
        """Return the image of the version that runs now, so that tuning is no upgrade."""
        version = (self.facts.ollama.version if self.facts else None) or ""
        tag = version if _VERSION.fullmatch(version) and version != "0.0.0" else ""
        if self.gpu == "amd":
            tag = f"{tag}-rocm" if tag else "rocm"
        return f"ollama/ollama:{tag}" if tag else "ollama/ollama"

    @property
    def container(self) -> str:
        """Return the name of the container, `ollama` where none is known."""
        ollama = self.facts.ollama if self.facts else None
        known = ollama.unit if ollama and ollama.installed == "docker" else None
        return known if known and re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", known) else "ollama"


def checked(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment.

    Raises:
        ConfigError: A name is none of a variable, or a value cannot be kept in every form.
    """
    for name, value in environment.items():
        if not _NAME.fullmatch(name):
            msg = (
                f"{name!r} is no name of an environment variable; use letters, digits and _,"
                " and no digit at the start"
            )
            raise ConfigError(msg)
        for character in value:
            what = refused(character)
            if what:
                msg = (
                    f"the value of {name} holds {what} (U+{ord(character):04X}), which no service"
                    " configuration can hold; remove it"
                )
                raise ConfigError(msg)
    return dict(environment)


def refused(character: str) -> str | None:
    """Return what a character is that no value may hold; None: it may."""
    code = ord(character)
    if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return "a code point that is no character"
    if code == 0xFEFF:
        return "a byte order mark"
    return _REFUSED.get(unicodedata.category(character))


def one_line(text: str) -> str:
    """Return a text as one line that no syntax takes for a continued one."""
    plain = "".join(" " if refused(c) else c for c in text)
    return " ".join(plain.split()).rstrip("\\^ ")
