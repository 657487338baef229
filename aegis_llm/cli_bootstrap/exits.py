"""Exit statuses that the commands share; docs/tuning.md explains them."""

from __future__ import annotations

OK = 0
FAILED = 1
"""Something could not be done: a server does not answer, a right is missing, a disk is full."""
USAGE = 2
"""Something that was given is not usable."""
NOT_SO = 3
"""All was done, and something is not as it should be: a setting is not in force, does not fit."""
ROLLED_BACK = 4
"""The server did not come up with the new settings; the old ones are back."""
