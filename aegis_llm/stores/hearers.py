"""Those who hear the events of a namespace in this process, none of them kept alive by it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakMethod

from aegis_llm.quiet import Quiet

log = logging.getLogger("aegis_llm")
_quiet = Quiet()


class Hearers:
    """Methods that are called with every event; one that fails does not cost the others theirs."""

    def __init__(self) -> None:
        self._methods: tuple[WeakMethod[Callable[[bytes], None]], ...] = ()

    def add(self, handler: Callable[[bytes], None]) -> None:
        """Call a bound method from now on, as long as its object lives."""
        living = tuple(method for method in self._methods if method() is not None)
        self._methods = (*living, WeakMethod(handler))

    def tell(self, event: bytes) -> None:
        """Call all of them."""
        for method in self._methods:
            handler = method()
            if handler is None:
                continue
            try:
                handler(event)
            except Exception as exc:
                if _quiet.may_say(f"hearing {type(exc)}"):
                    log.error("an event of the cache could not be handled", exc_info=exc)
