"""AegisMiddleware: the model calls of a LangChain agent, answered from Redis where they repeat.

The request keeps its course: the agent gets a copy of its model that asks the cache itself, so
that whatever other middleware changes is part of the key, and structured output and streams stay
LangChain's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.embeddings import Embeddings

from aegis_llm.config import AegisConfig
from aegis_llm.control import cache_control
from aegis_llm.errors import ConfigError
from aegis_llm.quiet import Quiet
from aegis_llm.wiring import say_once
from langchain_aegis.caches import AegisCache
from langchain_aegis.chat_models import ChatAegis

log = logging.getLogger("aegis_llm")
_quiet = Quiet()


class AegisMiddleware(AgentMiddleware[Any, Any, Any]):
    """Caches the model calls of an agent made with `create_agent`; sync, async and streamed.

    A step of the loop is served when model, settings, tools, response format and all messages,
    results of tools included, are the same: tools then run again as the answer asks. By meaning
    only an agent without tools is served, and never once tools have run. Put it last in
    `middleware=[...]`, so that it sees the model that others chose. Redis down, hung or full: the
    model is asked. A `ChatAegis`, a model bound to a cache and one with `cache=False` keep to
    their own ways.

    Args:
        cache: The cache to use; made from the other arguments when None.
        redis_url: Where answers are kept; see `CacheConfig.redis_url`.
        embeddings: Embeds questions for the semantic tier.
        config: All other settings.
        tenant: Names the tenant from the run's context (`agent.invoke(..., context=...)`).
            Entries are shared only inside a tenant; a call without one, or for which the function
            fails, is neither looked up nor stored.
        options: Single settings, by their names in `CacheConfig`.

    Raises:
        ConfigError: An option does not exist or its value is not usable.
    """

    def __init__(
        self,
        cache: AegisCache | None = None,
        *,
        redis_url: str | None = None,
        embeddings: Embeddings | None = None,
        config: AegisConfig | None = None,
        tenant: Callable[[Any], str | None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        usable = tenant is None or callable(tenant)
        if not usable:
            msg = f"tenant={tenant!r} is not usable; give a function of the run's context"
            raise ConfigError(msg)
        if cache is None:
            cache = AegisCache(
                redis_url=redis_url, embeddings=embeddings, config=config, **options
            )
        elif options or any(one is not None for one in (redis_url, embeddings, config)):
            msg = "a cache and settings of one are given; put the settings into the cache"
            raise ConfigError(msg)
        self.cache = cache
        self._tenant = tenant

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Ask the cache before the model."""
        with self._partition(request):
            return handler(self._cached(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Like `wrap_model_call`, awaited."""
        with self._partition(request):
            return await handler(self._cached(request))

    def _cached(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """Return the request with a copy of its model that asks the cache.

        The copy is made for each call: a model that was changed since has another identity.
        """
        model = request.model
        cache = getattr(model, "cache", None)
        if isinstance(model, ChatAegis) or isinstance(cache, AegisCache) or cache is False:
            return request
        try:
            return request.override(model=self.cache.bind(model))
        except TypeError:
            say_once(
                f"a {type(model).__name__} states no identity: the agent's calls are not cached"
            )
            return request

    def _partition(self, request: ModelRequest[Any]) -> AbstractContextManager[Any]:
        if self._tenant is None:
            return nullcontext()
        try:
            tenant: object = self._tenant(getattr(request.runtime, "context", None))
        except Exception as exc:  # noqa: BLE001 - the user's code; nobody else's entry may be met
            if _quiet.may_say(f"tenant {type(exc)}"):
                log.warning("an agent's call is not cached: tenant failed: %r", exc)
            tenant = None
        if isinstance(tenant, str) and tenant:
            return cache_control(tenant=tenant)
        return cache_control(bypass=True)
