"""Which layers of which architectures keep a window only, as llama.cpp decides it. Pure.

Read in llama.cpp's `src/models/*.cpp` (`load_swa_pattern`, `set_swa_pattern`) at 0c1e57098. An
architecture that is not here is given the whole context in each layer, as llama.cpp does even
where the file names a window (Mistral, Qwen2, Phi3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Pattern(NamedTuple):
    """What llama.cpp takes where the file does not say it.

    Attributes:
        every: Each so many-th layer has the whole context; 0: none has; None: the file says which.
        first: Whether the first of so many has it, not the last.
        window: Tokens, where the file names none; None: there is no window then.
        fixed: Whether that is taken whatever the file names.
        layers: Only for models of so many layers.
    """

    every: int | None
    first: bool = False
    window: int | None = None
    fixed: bool = False
    layers: int | None = None


class Windows(NamedTuple):
    """The windows of one model; `every` and `which` as `global_every` and `windowed` say it."""

    window: int | None = None
    every: int | None = None
    which: tuple[bool, ...] | None = None


PATTERNS = {
    "gemma2": Pattern(2, window=4096),
    "gemma3": Pattern(6),
    "gemma3n": Pattern(5),
    "gemma4": Pattern(None),
    "gpt-oss": Pattern(2),
    "gptoss": Pattern(2),  # Ollama's own name of the same
    "cohere2": Pattern(4),
    "cohere2moe": Pattern(4, first=True),
    "llama4": Pattern(4, window=8192, fixed=True),
    "exaone4": Pattern(4, window=4096, layers=64),
    "exaone-moe": Pattern(4, window=128),
    "olmo2": Pattern(4),
    "olmo3": Pattern(4),  # Ollama's own name; loaded as olmo2
    "plamo3": Pattern(8),
    "afmoe": Pattern(4),
    "mellum": Pattern(4),
    "muse-glimmer": Pattern(4),
    "laguna": Pattern(4, first=True),
    "smallthinker": Pattern(4, first=True, window=None),
    "mimo2": Pattern(None),
    "step35": Pattern(None),
    "granite_swa": Pattern(None),
    "lfm2": Pattern(0),
}


def windows_of(
    architecture: str, layers: int, named: int | None, told: int | Sequence[bool] | None
) -> Windows:
    """Return which layers keep a window.

    Args:
        architecture: `general.architecture`.
        layers: How many there are.
        named: `attention.sliding_window`; None: absent.
        told: `attention.sliding_window_pattern`: each so many-th layer, or each layer's own.
    """
    pattern = PATTERNS.get(architecture)
    if pattern is None or pattern.layers not in (None, layers) or named == 0:
        return Windows()
    window = pattern.window if pattern.fixed or named is None else named
    if architecture == "smallthinker" and named:
        window = 4096  # whatever the file names
    if window is None:
        return Windows()
    if isinstance(told, Sequence):
        return _reduced(window, tuple(told)[:layers])
    every = told if told is not None else pattern.every
    if every is None or every == 1:
        return Windows()
    if every == 0:
        return Windows(window)
    if pattern.first:
        return _reduced(window, tuple(layer % every != 0 for layer in range(layers)))
    return Windows(window, every)


def _reduced(window: int, which: tuple[bool, ...]) -> Windows:
    """Return the shorter form of a list of layers where there is one."""
    if not any(which):
        return Windows()
    if all(which):
        return Windows(window)
    every = which.index(False) + 1
    if which == tuple((layer + 1) % every != 0 for layer in range(len(which))):
        return Windows(window, every)
    return Windows(window, None, which)
