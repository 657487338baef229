"""Many inputs at once: as many calls under way as there are inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list

MOST_THREADS = 256


class AllAtOnce(BaseChatModel):
    """A chat model whose `batch` sends all its inputs at once, unless `max_concurrency` is given.

    By default LangChain takes as many threads as the machine has processors, and four more; how
    many requests a model answers at a time is for its server to say.
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
        configs = at_once(config, len(inputs))
        return super().batch(inputs, configs, return_exceptions=return_exceptions, **kwargs)

    def batch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: Any = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, Any]]:
        """Like `batch`, each answer as soon as it is there, with the place of its input."""
        configs = at_once(config, len(inputs))
        yield from super().batch_as_completed(
            inputs, configs, return_exceptions=return_exceptions, **kwargs
        )


def at_once(
    config: RunnableConfig | Sequence[RunnableConfig] | None, count: int
) -> list[RunnableConfig]:
    """Return the config of each input; the first says how many threads there may be."""
    configs = get_config_list(config, count)
    if configs and configs[0].get("max_concurrency") is None:
        configs[0]["max_concurrency"] = min(count, MOST_THREADS)
    return configs
