"""Many inputs at once: as many calls under way as the scheduler can put in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from functools import partial
from typing import Any

from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list

from aegis_llm.scheduler.fleet import Fleet
from langchain_aegis._gate import Gate


class AllAtOnce(BaseChatModel):
    """A chat model whose `batch` hands all its inputs to the scheduler at once, if it has one.

    By default LangChain takes as many threads as the machine has processors, and four more; how
    many requests a model answers at a time is for its server to say. Until that is known as many
    calls are under way as LangChain would have, and one more with each that ends. It is as in
    LangChain without a schedule, or when `max_concurrency` is given.
    """

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Like the model's, with up to 256 calls under way."""
        configs = get_config_list(config, len(inputs))
        gate = self._gate(configs, kwargs)
        if gate is None:
            return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)
        call = partial(self._call, gate, kwargs, return_exceptions)
        with gate.executor() as executor:
            return list(executor.map(call, inputs, configs))

    def batch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: Any = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, Any]]:
        """Like `batch`, each answer as soon as it is there, with the place of its input."""
        configs = get_config_list(config, len(inputs))
        gate = self._gate(configs, kwargs)
        if gate is None:
            yield from super().batch_as_completed(
                inputs, configs, return_exceptions=return_exceptions, **kwargs
            )
            return
        call = partial(self._call, gate, kwargs, return_exceptions)
        with gate.executor() as executor:
            places = {
                executor.submit(call, *given): place
                for place, given in enumerate(zip(inputs, configs, strict=False))
            }
            try:
                for future in as_completed(places):
                    yield places[future], future.result()
            finally:
                for future in places:
                    future.cancel()

    def _gate(self, configs: Sequence[RunnableConfig], kwargs: Mapping[str, Any]) -> Gate | None:
        """Return what the calls of a batch go through; None: LangChain's own batch will do."""
        fleet: Fleet | None = (self.__pydantic_private__ or {}).get("_fleet")
        first = usual_threads()
        if fleet is None or not fleet.config.schedule or len(configs) <= first:
            return None
        if configs[0].get("max_concurrency") is not None:
            return None
        model = kwargs.get("model") or self.__dict__["model"]
        return Gate(first, len(configs), partial(fleet.knows_slots, model))

    def _call(
        self,
        gate: Gate,
        kwargs: Mapping[str, Any],
        return_exceptions: bool,
        asked: LanguageModelInput,
        config: RunnableConfig,
    ) -> Any:
        with gate:
            try:
                return self.invoke(asked, config, **kwargs)
            except Exception as exc:
                if not return_exceptions:
                    raise
                return exc


def usual_threads() -> int:
    """Return how many threads an executor has when nobody says."""
    return min(32, (os.cpu_count() or 1) + 4)
