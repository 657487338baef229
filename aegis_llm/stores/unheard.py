"""Which invalidations this process did not hear of, judged by their numbers. Pure."""

from __future__ import annotations


class Unheard:
    """Numbers that were read and not heard, as long as they may be those of this process.

    Redis counts the invalidations of all processes together. A number that is read while this
    process waits for one of its own may be that one: only the reply tells.
    """

    def __init__(self) -> None:
        self._awaited = 0
        self._unclear: set[int] = set()

    def ask(self) -> None:
        """Note that this process invalidates and waits for the number."""
        self._awaited += 1

    def got(self, number: int) -> bool:
        """Note the number, 0 if no reply came; return whether another one is another process's."""
        self._awaited -= 1
        self._unclear.discard(number)
        return self.passed(0, 0)

    def passed(self, first: int, last: int) -> bool:
        """Note the numbers after `first` up to `last`; return whether one is another process's.

        That is so as soon as they are more than this process waits for.
        """
        if len(self._unclear) + max(0, last - first) > self._awaited:
            self._unclear.clear()
            return True
        self._unclear.update(range(first + 1, last + 1))
        return False
