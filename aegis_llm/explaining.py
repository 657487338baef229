"""`explain` and `aexplain`, as a service offers them."""

from __future__ import annotations

import logging
from typing import Any

from aegis_llm.control import current_control
from aegis_llm.drivers import arun, run
from aegis_llm.explanation import Explanation
from aegis_llm.plan import Rules, explain_plan
from aegis_llm.quiet import Quiet
from aegis_llm.values import Request

log = logging.getLogger("aegis_llm")
_quiet = Quiet()


class Explaining:
    """Tells what would become of a request."""

    rules: Rules

    def perform(self, effect: Any) -> Any:
        """Perform one effect, blocking."""
        raise NotImplementedError

    async def aperform(self, effect: Any) -> Any:
        """Like `perform`, awaited."""
        raise NotImplementedError

    def explain(
        self, request: Request, *, elsewhere: int = 0, all_tenants: bool = False
    ) -> Explanation:
        """Tell what would become of a request, without serving, storing or asking the model.

        Where its scope has no entry, the `elsewhere` nearest entries of other scopes are told, of
        the same tenant unless `all_tenants`. Trouble is told, never raised.
        """
        plan = explain_plan(
            request, current_control(), self.rules, elsewhere, all_tenants=all_tenants
        )
        try:
            return run(plan, self.perform)
        except Exception as exc:  # noqa: BLE001 - as a request would go on without the cache
            return _unexplained(exc)

    async def aexplain(
        self, request: Request, *, elsewhere: int = 0, all_tenants: bool = False
    ) -> Explanation:
        """Like `explain`, awaited."""
        plan = explain_plan(
            request, current_control(), self.rules, elsewhere, all_tenants=all_tenants
        )
        try:
            return await arun(plan, self.aperform)
        except Exception as exc:  # noqa: BLE001 - as `explain`
            return _unexplained(exc)


def _unexplained(error: Exception) -> Explanation:
    if _quiet.may_say(f"explaining {type(error)}"):
        log.error("the cache failed on an explanation", exc_info=error)
    return Explanation("bypass", "internal_error")
