"""Fresh locks in a forked child: the threads that held the old ones did not come along."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Holds locks, or work that a thread of the parent will end and no thread of the child."""

    def renew(self) -> None:
        """Make the locks anew and forget the parent's work."""


_living: WeakSet[Forkable] = WeakSet()


def renew_in_child(owner: Forkable) -> None:
    """Call `owner.renew()` in every child that is forked while `owner` lives."""
    _living.add(owner)


def _renew_all() -> None:
    for owner in list(_living):
        owner.renew()


os.register_at_fork(after_in_child=_renew_all)
