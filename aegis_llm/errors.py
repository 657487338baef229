"""Every exception that aegis-llm raises.

```
AegisError
├── ConfigError          a setting is wrong: raised at construction, says what to do
├── MissingExtraError    an optional dependency is absent: names the extra to install
├── NotCachedError       cache_control(only_if_cached=True) and there is no entry
├── QueueFullError       as many requests wait as `max_queue` allows
├── QueueTimeoutError    no slot came free before `queue_timeout_s` or the deadline
├── ChangeError          the configuration of a server could not be changed; it is as it was
├── NotWarmError         a warm-up with strict=True left something cold: tells what, and what to do
├── EmbeddingError       the server's reply holds no usable vectors
│   └── TextTooLongError a text is longer than the embedding model reads
└── Trouble              (internal) a part did not answer; the request goes on without it
    ├── StoreTrouble     Redis: down, slow, refused, full
    ├── EmbedTrouble     the embedder: failed, slow, unusable vector
    └── JudgeTrouble     the judge: failed, slow, no clear reply
```

Trouble never reaches the caller of a model: the plan turns it into a miss with a reason.
"""

import contextlib
from importlib import metadata
from typing import Any

_SHOWN = 40
_DISTRIBUTION = "aegis-llm"


class AegisError(Exception):
    """Base of every exception that aegis-llm raises."""


class ConfigError(AegisError, ValueError):
    """A setting is wrong; the message says which, why, and what to write instead."""


class MissingExtraError(AegisError, ImportError):
    """An optional dependency is absent; the message names the extra to install."""

    def __init__(self, needed_for: str, extra: str) -> None:
        named = " ".join(f"'{one}'" for one in _required_by(extra)) or f"'.[{extra}]'"
        super().__init__(f"{needed_for} needs the extra {extra}: pip install {named}")


class NotCachedError(AegisError, LookupError):
    """The request was made with `cache_control(only_if_cached=True)` and no entry answers it."""


class QueueFullError(AegisError, RuntimeError):
    """As many requests wait for the server as `max_queue` allows.

    Attributes:
        waiting: Requests that wait.
        expected_wait_s: Seconds after which a slot may be expected; 0 when nothing is known.
    """

    def __init__(self, server: str, waiting: int, expected_wait_s: float) -> None:
        when = f"; try again in about {expected_wait_s:.1f} s" if expected_wait_s else ""
        super().__init__(f"{waiting} requests wait for {server} already (max_queue){when}")
        self.waiting = waiting
        self.expected_wait_s = expected_wait_s


class QueueTimeoutError(AegisError, TimeoutError):
    """No slot came free in time: `queue_timeout_s`, or the deadline of the request, has passed."""


class ChangeError(AegisError, RuntimeError):
    """The configuration of a server could not be changed; the message says what is in the way."""


class NotWarmError(AegisError, RuntimeError):
    """A warm-up with `strict=True` found problems.

    Attributes:
        warmed: What was done all the same, a `Warmed`.
    """

    def __init__(self, warmed: Any) -> None:
        super().__init__("; ".join(warmed.problems))
        self.warmed = warmed

    def __reduce__(self) -> tuple[Any, ...]:
        """Be the same in the process that waits for a worker."""
        return type(self), (self.warmed,)


class EmbeddingError(AegisError, RuntimeError):
    """What the server replied are not the vectors of the texts that were sent."""


class TextTooLongError(EmbeddingError, ValueError):
    """A text is longer than the embedding model reads, and cutting it was not asked for.

    Attributes:
        index: Its place among the texts of the call.
        characters: Its length.
    """

    def __init__(self, model: str, text: str, index: int, count: int) -> None:
        place = f"text {index + 1} of {count}" if count > 1 else "the text"
        shown = text[:_SHOWN] + "..." if len(text) > _SHOWN else text
        super().__init__(
            f"{place} ({shown!r}, {len(text)} characters) is longer than {model} reads: split it,"
            " raise num_ctx if the model can, or give truncate=True to embed its beginning only"
        )
        self.index = index
        self.characters = len(text)
        self._given = model, text, index, count

    def __reduce__(self) -> tuple[Any, ...]:
        """Be the same in the process that waits for a worker."""
        return type(self), self._given


class Trouble(AegisError):  # noqa: N818 - it is no error of the caller's
    """A part of the cache did not answer; `reason` is the short name put into the outcome."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class StoreTrouble(Trouble):
    """Redis did not answer in time, refused, or is gone."""


class EmbedTrouble(Trouble):
    """The embedder failed, took too long, or returned no usable vector."""


class JudgeTrouble(Trouble):
    """The model that judges failed, took too long, or gave no clear reply."""


def _required_by(extra: str) -> list[str]:
    """Return what an extra of this installation requires, with what that requires of others.

    The distributions and not `aegis-llm[extra]`: that name is another project's on PyPI, and an
    installer that looks there would bring it.
    """
    found: list[str] = []
    with contextlib.suppress(metadata.PackageNotFoundError):
        for line in metadata.requires(_DISTRIBUTION) or ():
            required, _, marker = line.partition(";")
            if f"extra == '{extra}'" not in marker.replace('"', "'"):
                continue
            name, _, others = required.strip().removesuffix("]").partition("[")
            if name == _DISTRIBUTION:
                found += [one for other in others.split(",") for one in _required_by(other)]
            else:
                found.append(required.strip())
    return found
