"""The servers of a simulation."""

from __future__ import annotations

from dataclasses import dataclass

from aegis_llm.config.checks import check_range, check_whole
from aegis_llm.simulate.speed import Speed

_COUNT = "a whole number, 1 or more"
_FOREVER = float("inf")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Servers, all alike, and the settings that Ollama has for them.

    Attributes:
        speed: What one model does on one server.
        parallel: Slots of a model (OLLAMA_NUM_PARALLEL).
        servers: Number of servers.
        load_s: Seconds to load a model.
        keep_alive_s: Seconds a model stays loaded after its last use.
        max_loaded_models: Models that one server keeps loaded.
        max_queue: Requests that may wait for a model to be loaded; one more is refused.
        num_batch: Prompt tokens read in one step. While a prompt is read, each answer that is
            being written gets one token a step. 0: reading does not slow writing.
        host_cache_tokens: Tokens in the prompt cache in host memory; 0 turns it off.
        hit_s: Seconds that an answer from the cache of this package takes.
    """

    speed: Speed
    parallel: int = 1
    servers: int = 1
    load_s: float = 0.0
    keep_alive_s: float = 300.0
    max_loaded_models: int = 3
    max_queue: int = 512
    num_batch: int = 512
    host_cache_tokens: int = 65_536
    hit_s: float = 0.002

    def __post_init__(self) -> None:
        check_whole("parallel", self.parallel, 1, 1024, "a whole number of slots, 1 to 1,024")
        check_whole("servers", self.servers, 1, 1024, "a whole number of servers, 1 to 1,024")
        check_range("load_s", self.load_s, 0, 1e6, "seconds, 0 or more")
        check_range("keep_alive_s", self.keep_alive_s, 0, _FOREVER, "seconds, 0 or more")
        check_whole("max_loaded_models", self.max_loaded_models, 1, 1 << 20, _COUNT)
        check_whole("max_queue", self.max_queue, 0, 1 << 30, "a whole number, 0 or more")
        check_whole("num_batch", self.num_batch, 0, 1 << 20, "a whole number of tokens")
        check_whole("host_cache_tokens", self.host_cache_tokens, 0, 1 << 50, "tokens, 0 or more")
        check_range("hit_s", self.hit_s, 0, 1e6, "seconds, 0 or more")
