"""Labels of hits, right or wrong: pooled estimates, a sliding window, an alarm on drift. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from aegis_llm.bounds import incomplete_beta, lower_bound, upper_bound

Source = Literal["shadow", "check", "reject"]
WINDOW = 200
"""Labels that the alarm looks at."""
LOG = 2000
"""Labels kept, for the estimates of single entries."""
_CONFIDENCE = 0.99
_LEAST = 20  # labels before the window says anything
_STRENGTH = 20.0  # labels that a prior weighs
_DOUBT = 0.05


class Label(msgspec.Struct, frozen=True, array_like=True):
    """Whether one hit, or would-be hit, was right.

    `source` says how it came: in `shadow`, by a `check`, or because a user did `reject` it. The
    time is milliseconds since the epoch.
    """

    entry_id: str
    right: bool
    source: Source
    at_ms: int = 0


class Counts(msgspec.Struct, frozen=True):
    """How many labels said right, and how many wrong."""

    right: int = 0
    wrong: int = 0

    @property
    def total(self) -> int:
        """All labels."""
        return self.right + self.wrong

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.right + other.right, self.wrong + other.wrong)


class Labels(msgspec.Struct, frozen=True):
    """What the labels of a namespace say about its semantic hits.

    `expected` is the wrong share as estimated from the labels of this namespace and, while those
    are few, of all namespaces. `window` counts the last 200 labels that were drawn blindly (by
    checks and in shadow mode; users reject only what is wrong), whose share of wrong ones lies
    above `lower` and below `upper`, each with 99 % confidence. `drift` tells that it lies above
    `promised` for sure: nothing is served by meaning until the window is back under it.
    `distrusted` are entries with so many wrong labels of their own that they are not either.
    """

    right: int
    wrong: int
    expected: float
    window: Counts
    lower: float
    upper: float
    promised: float
    drift: bool
    distrusted: int


class Ledger:
    """The labels of one namespace, the latest `LOG` of them one by one.

    Args:
        promised: The share of hits that may be wrong.
    """

    def __init__(self, promised: float) -> None:
        self.promised = promised
        self.drift = False
        self._alarm = False
        self.distrusted: frozenset[str] = frozenset()
        self._totals = Counts()
        self._others = Counts()
        self._log: deque[Label] = deque(maxlen=LOG)
        self._window: deque[bool] = deque(maxlen=WINDOW)
        self._entries: Counter[tuple[str, bool]] = Counter()

    def add(self, label: Label) -> None:
        """Take in a label."""
        self._totals += Counts(int(label.right), int(not label.right))
        if len(self._log) == LOG:
            oldest = self._log[0]
            self._entries[oldest.entry_id, oldest.right] -= 1
        self._log.append(label)
        self._entries[label.entry_id, label.right] += 1
        self._slide(label)
        self.drift = self._alarm
        if not label.right and self._doubtful(label.entry_id):
            self.distrusted |= {label.entry_id}

    def replace(self, totals: Counts, everywhere: Counts, log: Iterable[Label]) -> None:
        """Take over what all processes together know; `log` is in the order of time.

        `everywhere` counts the labels of all namespaces, this one included.
        """
        self._log = deque(log, maxlen=LOG)
        self._totals = totals
        self._others = Counts(
            max(0, everywhere.right - totals.right), max(0, everywhere.wrong - totals.wrong)
        )
        self._window.clear()
        self._alarm = False
        for label in self._log:
            self._slide(label)
        self.drift = self._alarm  # in one step: others read it meanwhile
        self._entries = Counter((label.entry_id, label.right) for label in self._log)
        wrong = {entry for (entry, right), count in self._entries.items() if count and not right}
        self.distrusted = frozenset(entry for entry in wrong if self._doubtful(entry))

    @property
    def window(self) -> Counts:
        """The labels that the alarm looks at."""
        right = sum(self._window)
        return Counts(right, len(self._window) - right)

    @property
    def expected(self) -> float:
        """The wrong share: the promise, moved by all labels, moved by those of the namespace."""
        return _moved(_moved(self.promised, self._others), self._totals)

    def summary(self) -> Labels:
        """Return what the labels say."""
        window = self.window
        return Labels(
            right=self._totals.right,
            wrong=self._totals.wrong,
            expected=self.expected,
            window=window,
            lower=lower_bound(window.wrong, window.total, _CONFIDENCE),
            upper=upper_bound(window.wrong, window.total, _CONFIDENCE),
            promised=self.promised,
            drift=self.drift,
            distrusted=len(self.distrusted),
        )

    def _slide(self, label: Label) -> None:
        """Move the window on; the alarm goes on by a sure excess and off under the promise."""
        if label.source == "reject":
            return
        self._window.append(label.right)
        seen = self.window
        above = seen.wrong > self.promised * seen.total
        if above and not self._alarm and seen.total >= _LEAST:
            self._alarm = lower_bound(seen.wrong, seen.total, _CONFIDENCE) > self.promised
        elif not above:
            self._alarm = False

    def _of(self, entry_id: str) -> Counts:
        return Counts(self._entries[entry_id, True], self._entries[entry_id, False])

    def _doubtful(self, entry_id: str) -> bool:
        """Return whether the entry's own labels outweigh what is expected of all of them.

        That is what the namespace shows, moved from what all namespaces show; never more wrong
        than was promised, or one label would be enough in a bad namespace.
        """
        own = self._of(entry_id)
        mean = min(self.expected, self.promised)
        wrong = _STRENGTH * mean + own.wrong
        right = _STRENGTH * (1.0 - mean) + own.right
        return incomplete_beta(wrong, right, self.promised) < _DOUBT


def _moved(mean: float, seen: Counts) -> float:
    """Return the mean of a Beta prior after it has seen labels."""
    return (_STRENGTH * mean + seen.wrong) / (_STRENGTH + seen.total)
