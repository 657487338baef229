"""What quantization is known to do to answers: measured by llama.cpp's own tool. Pure."""

from __future__ import annotations

import msgspec

SOURCE = (
    "llama.cpp, tools/perplexity/README.md: Llama-3-8B (Llama 3, not 3.1), Wikitext-2, against "
    "f16; bits: tools/quantize/README.md, Llama-3.1-8B"
)
_BASE = 6.231636  # perplexity of f16, without the rounding of the stored logits


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What one quantization did to one model, Llama-3-8B.

    Attributes:
        imatrix: Whether an importance matrix was used; files of Ollama's library have none.
        perplexity: Against 6.232 of f16.
        increase: Of it, over that of f16.
        divergence: Mean Kullback-Leibler divergence of the next token's probabilities.
        rms: Root mean square of the change of the right token's probability.
        increase_70b: Of perplexity in Llama-2-70B; None: not published.
    """

    imatrix: bool
    perplexity: float
    increase: float
    divergence: float
    rms: float
    increase_70b: float | None = None


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One quantization.

    Attributes:
        label: As Ollama and llama.cpp write it.
        bits: For each weight of Llama-3.1-8B.
        loss: None: nothing is published for it.
    """

    label: str
    bits: float
    loss: Loss | None = None


def _kind(
    label: str,
    bits: float,
    perplexity: float,
    change: float,
    divergence: float,
    rms: float,
    increase_70b: float | None = None,
    *,
    imatrix: bool = False,
) -> Kind:
    loss = Loss(
        imatrix=imatrix,
        perplexity=perplexity,
        increase=round(change / _BASE, 5),
        divergence=divergence,
        rms=rms,
        increase_70b=increase_70b,
    )
    return Kind(label=label, bits=bits, loss=loss)


KINDS: tuple[Kind, ...] = (
    Kind(label="F32", bits=32.0),
    Kind(label="BF16", bits=16.0005),
    _kind("F16", 16.0005, 6.233160, 0.001524, 0.000551, 0.00787),
    _kind("Q8_0", 8.5008, 6.234284, 0.002650, 0.001355, 0.01198),
    _kind("Q6_K", 6.5633, 6.253382, 0.021748, 0.005452, 0.02295, 0.0016),
    _kind("Q5_1", 6.04, 6.337857, 0.106223, 0.018045, 0.04123),
    _kind("Q5_K_M", 5.7036, 6.288607, 0.056974, 0.010762, 0.03160, 0.0040),
    _kind("Q5_K_S", 5.5704, 6.336598, 0.104964, 0.016595, 0.03918, 0.0050),
    _kind("Q5_0", 5.57, 6.363224, 0.131591, 0.022239, 0.04634, 0.0126),
    _kind("Q4_1", 5.11, 6.682737, 0.451103, 0.071683, 0.08512, 0.0237),
    _kind("Q4_K_M", 4.8944, 6.407115, 0.175482, 0.031273, 0.05519, 0.0120),
    _kind("IQ4_NL", 4.6818, 6.455593, 0.223959, 0.035742, 0.05998, imatrix=True),
    _kind("Q4_K_S", 4.6672, 6.500529, 0.268895, 0.043136, 0.06562, 0.0157),
    _kind("Q4_0", 4.64, 6.700147, 0.468514, 0.071940, 0.08434, 0.0361),
    _kind("IQ4_XS", 4.4597, 6.459705, 0.228071, 0.036334, 0.06044, imatrix=True),
    _kind("Q3_K_L", 4.2979, 6.787876, 0.556242, 0.087176, 0.09432, 0.0380),
    _kind("Q3_K_M", 3.9960, 6.888498, 0.656864, 0.101913, 0.10203, 0.0472),
    _kind("IQ3_M", 3.7628, 6.898327, 0.666694, 0.102534, 0.10513, imatrix=True),
    _kind("Q3_K_S", 3.6429, 7.863786, 1.632152, 0.228217, 0.15541, 0.0789),
    _kind("IQ3_XXS", 3.2548, 7.458436, 1.226803, 0.183625, 0.13836, imatrix=True),
    _kind("Q2_K", 3.1593, 9.751568, 3.519934, 0.445132, 0.21421, 0.0882),
    _kind("IQ2_M", 2.9294, 8.600799, 2.369166, 0.325989, 0.18519, imatrix=True),
)
"""From the widest on. Bits of the _0 and _1 kinds: their size in the perplexity table, by 8.03e9
weights. The 70B column is an older table: Llama-2-70B, where Q4_K_M raised perplexity by 1.2 %."""
SHOWN = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
"""Those that are looked at for each model; the installed one is added."""
_ALIASES = {"Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "Q3_K": "Q3_K_M"}
_BY_LABEL = {kind.label: kind for kind in KINDS}


def kind_of(label: str | None) -> Kind | None:
    """Return a quantization by its label, however it is written; None: not in the table."""
    plain = (label or "").strip().upper().replace("-", "_").removeprefix("UD_")
    return _BY_LABEL.get(_ALIASES.get(plain, plain))
