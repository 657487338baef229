"""Speeds of machines that somebody measured and published; nothing here is estimated."""

from __future__ import annotations

from dataclasses import dataclass

from aegis_llm.errors import ConfigError
from aegis_llm.simulate.speed import Speed

_GB10 = (
    "llama.cpp benches/dgx-spark.md: llama-batched-bench on a DGX Spark (GB10), build 6918, "
    "n_ubatch 2048, flash attention on, 2 November 2025"
)
_SLOTS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Machine:
    """A machine with a model.

    Attributes:
        about: What it is.
        source: Where the figures are from.
        measured: Tokens of context -> prompt tokens a second, and the answer tokens a second of
            1, 2, 4, 8, 16 and 32 slots together.
    """

    about: str
    source: str
    measured: dict[int, tuple[float, tuple[float, ...]]]

    def speed(self, context: int) -> Speed:
        """Return the speed with so many tokens in each slot.

        Between two measured contexts it is interpolated, beyond them the nearest is taken.
        """
        depths = sorted(self.measured)
        upper = next((depth for depth in depths if depth >= context), depths[-1])
        lower = max((depth for depth in depths if depth <= context), default=depths[0])
        part = (context - lower) / (upper - lower) if upper > lower else 0.0
        (prefill, decode), (deeper, slower) = self.measured[lower], self.measured[upper]
        pairs = zip(_SLOTS, decode, slower, strict=True)
        return Speed(
            prefill=prefill + part * (deeper - prefill),
            decode=tuple((slots, one + part * (other - one)) for slots, one, other in pairs),
            source=f"{self.about}; {self.source}",
        )


MACHINES = {
    "dgx-spark": Machine(
        "DGX Spark, Qwen2.5-Coder-7B Q8_0 (dense)",
        _GB10,
        {
            512: (2356.86, (29.24, 54.46, 104.33, 195.67, 335.01, 593.27)),
            4096: (2275.04, (28.42, 51.35, 93.86, 163.10, 252.80, 377.05)),
            8192: (2196.49, (27.50, 48.39, 84.71, 138.88, 196.21, 268.20)),
        },
    ),
    "dgx-spark-gemma-3-4b": Machine(
        "DGX Spark, Gemma 3 4B QAT Q4_0 (dense)",
        _GB10,
        {
            512: (6077.05, (78.38, 126.21, 231.11, 369.93, 550.47, 801.81)),
            4096: (5907.20, (70.44, 112.12, 191.68, 287.46, 389.48, 498.18)),
            8192: (5831.66, (68.51, 101.53, 161.74, 220.10, 275.70, 325.48)),
        },
    ),
    "dgx-spark-gpt-oss-20b": Machine(
        "DGX Spark, gpt-oss-20b MXFP4 (mixture of experts)",
        _GB10,
        {
            512: (3994.63, (81.11, 95.00, 151.90, 254.09, 400.94, 614.82)),
            4096: (3532.17, (77.97, 87.18, 139.90, 216.70, 310.48, 422.45)),
            8192: (3337.67, (72.07, 82.98, 127.28, 191.33, 262.36, 341.16)),
        },
    ),
    "dgx-spark-gpt-oss-120b": Machine(
        "DGX Spark, gpt-oss-120b MXFP4 (mixture of experts)",
        _GB10,
        {
            512: (1997.01, (57.28, 60.35, 95.08, 146.65, 220.02, 312.56)),
            4096: (1830.43, (54.18, 57.02, 86.83, 128.22, 176.49, 230.99)),
            8192: (1750.33, (51.01, 54.13, 79.74, 114.91, 149.74, 196.60)),
        },
    ),
    "dgx-spark-qwen3-coder-30b": Machine(
        "DGX Spark, Qwen3-Coder-30B-A3B Q8_0 (mixture of experts)",
        _GB10,
        {
            512: (3371.40, (57.63, 64.11, 102.01, 154.91, 232.98, 345.01)),
            4096: (3104.75, (48.67, 56.48, 85.69, 119.87, 162.55, 207.80)),
            8192: (2893.42, (42.56, 50.51, 72.59, 96.39, 121.64, 143.06)),
        },
    ),
}
"""Machines by name. Prefill is that of 8 prompts at once, decode that of 32 tokens each."""


def machine(name: str) -> Machine:
    """Return a machine by its name.

    Raises:
        ConfigError: There is none of that name; the message lists those there are.
    """
    found = MACHINES.get(name)
    if found is None:
        msg = (
            f"no machine {name!r} is known; give one of {', '.join(MACHINES)}, or your own figures"
        )
        raise ConfigError(msg)
    return found
