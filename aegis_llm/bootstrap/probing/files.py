"""Reads small files of a machine below a root; what is absent or unreadable is None."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_LARGEST = 1 << 20


class Tree:
    """The files of a machine.

    Args:
        root: Where they are; `/` for this machine.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def here(self) -> bool:
        """Return whether it is the running machine itself."""
        return self.root == Path("/")

    def at(self, path: str) -> Path:
        """Return where an absolute path of the machine is found."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str | None:
        """Return the beginning of a file, 1 MiB at most; bytes that are no text are replaced.

        A pipe is not read: it may never say anything.
        """
        try:
            if self.at(path).is_fifo():
                return None
            with self.at(path).open("rb") as file:
                return file.read(_LARGEST).decode(errors="replace")
        except (OSError, ValueError):
            return None

    def number(self, path: str) -> int | None:
        """Return the whole number that a file holds, in decimal."""
        text = self.text(path)
        try:
            return int(text) if text is not None else None
        except ValueError:
            return None

    def has(self, path: str) -> bool:
        """Return whether there is such a file or folder that may be seen."""
        try:
            return self.at(path).exists()
        except OSError:
            return False

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none when it cannot be listed."""
        try:
            return sorted(one.name for one in self.at(path).iterdir())
        except OSError:
            return []

    def matching(self, folder: str, pattern: str) -> Iterator[str]:
        """Yield the paths in a folder whose names match, sorted by name."""
        try:
            found = sorted(self.at(folder).glob(pattern))
        except OSError:
            return
        for one in found:
            yield f"{folder.rstrip('/')}/{one.relative_to(self.at(folder))}"


def numbers_of(listed: str) -> list[int]:
    """Return the numbers of a kernel list, `0-3,8`; none when it is no such list."""
    found: list[int] = []
    try:
        for part in listed.strip().split(","):
            low, _, high = part.partition("-")
            if part:
                first, last = int(low), int(high or low)
                if last - first > 1 << 16:
                    return []
                found += range(first, last + 1)
    except ValueError:
        return []
    return found
