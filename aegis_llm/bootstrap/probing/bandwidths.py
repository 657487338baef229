"""Published memory bandwidth by the name of a device. Pure."""

from __future__ import annotations

import re

_GB = 1_000_000_000
_SPECS = "https://www.nvidia.com/en-us/geforce/graphics-cards"
_DATA_CENTER = "https://www.nvidia.com/en-us/data-center"
_APPLE = "https://support.apple.com/specs"

_PUBLISHED: tuple[tuple[str, float, str], ...] = (
    (r"GB10", 273, "https://www.nvidia.com/en-us/products/workstations/dgx-spark"),
    (r"Thor", 273, "https://www.nvidia.com/en-us/autonomous-machines/embedded-systems"),
    (r"AGX Orin", 204.8, "https://www.nvidia.com/en-us/autonomous-machines/embedded-systems"),
    (r"RTX 5090(?! .*Laptop)", 1792, f"{_SPECS}/50-series/rtx-5090"),
    (r"RTX 5080(?! .*Laptop)", 960, f"{_SPECS}/50-series/rtx-5080"),
    (r"RTX 5070 Ti(?! .*Laptop)", 896, f"{_SPECS}/50-series/rtx-5070-family"),
    (r"RTX 5070(?! Ti| .*Laptop)", 672, f"{_SPECS}/50-series/rtx-5070-family"),
    (r"RTX 4090(?! D| .*Laptop)", 1008, f"{_SPECS}/40-series/rtx-4090"),
    (r"RTX 4080 SUPER", 736, f"{_SPECS}/40-series/rtx-4080-family"),
    (r"RTX 4080(?! SUPER| .*Laptop)", 717, f"{_SPECS}/40-series/rtx-4080-family"),
    (r"RTX 4070(?! Ti| SUPER| .*Laptop)", 504, f"{_SPECS}/40-series/rtx-4070-family"),
    (r"RTX 4060 Ti", 288, f"{_SPECS}/40-series/rtx-4060-4060ti"),
    (r"RTX 3090 Ti", 1008, f"{_SPECS}/30-series/rtx-3090-3090ti"),
    (r"RTX 3090(?! Ti)", 936, f"{_SPECS}/30-series/rtx-3090-3090ti"),
    (r"RTX A6000", 768, "https://www.nvidia.com/en-us/products/workstations/rtx-a6000"),
    (r"RTX 6000 Ada", 960, "https://www.nvidia.com/en-us/products/workstations/rtx-6000"),
    (r"\bH200\b(?! NVL)", 4800, f"{_DATA_CENTER}/h200"),
    (r"H100 80GB HBM3|H100 SXM", 3350, f"{_DATA_CENTER}/h100"),
    (r"H100 NVL", 3900, f"{_DATA_CENTER}/h100"),
    (r"H100 PCIe", 2000, f"{_DATA_CENTER}/h100"),
    (r"A100.*SXM4?-80GB", 2039, f"{_DATA_CENTER}/a100"),
    (r"A100.*80GB PCIe|A100-PCIE-80GB", 1935, f"{_DATA_CENTER}/a100"),
    (r"A100.*40GB", 1555, f"{_DATA_CENTER}/a100"),
    (r"L40S", 864, f"{_DATA_CENTER}/l40s"),
    (r"\bL4\b", 300, f"{_DATA_CENTER}/l4"),
    (r"\bA10\b", 600, f"{_DATA_CENTER}/products/a10-gpu"),
    (r"\bT4\b", 320, f"{_DATA_CENTER}/tesla-t4"),
    (r"gfx1151", 256, "https://www.amd.com/en/products/processors/laptop/ryzen/ai-300-series"),
    (r"Apple M1$", 68.25, _APPLE),
    (r"Apple M1 Pro", 200, _APPLE),
    (r"Apple M1 Max", 400, _APPLE),
    (r"Apple M1 Ultra", 800, _APPLE),
    (r"Apple M2$", 100, _APPLE),
    (r"Apple M2 Pro", 200, _APPLE),
    (r"Apple M2 Max", 400, _APPLE),
    (r"Apple M2 Ultra", 800, _APPLE),
    (r"Apple M3$", 100, _APPLE),
    (r"Apple M3 Pro", 150, _APPLE),
    (r"Apple M3 Max \(30 cores\)", 300, _APPLE),
    (r"Apple M3 Max \(40 cores\)", 400, _APPLE),
    (r"Apple M3 Ultra", 819, _APPLE),
    (r"Apple M4$", 120, _APPLE),
    (r"Apple M4 Pro", 273, _APPLE),
    (r"Apple M4 Max \(32 cores\)", 410, _APPLE),
    (r"Apple M4 Max \(40 cores\)", 546, _APPLE),
)  # fmt: skip
"""Pattern of the name, GB (10^9) a second, and where the maker says so."""


def bandwidth_of(name: str) -> float | None:
    """Return the bytes a second that the maker gives for a device; None: not in the table."""
    plain = re.sub(r" \(\d+ cores\)", "", name) if " Max" not in name else name
    for pattern, rate, _ in _PUBLISHED:
        if re.search(pattern, plain):
            return rate * _GB
    return None
