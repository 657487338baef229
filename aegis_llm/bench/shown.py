"""Figures as people read them. Pure."""

from __future__ import annotations

from aegis_llm.bench.statistics import Estimate
from aegis_llm.simulate.words import per_s

_GIB = 1 << 30
_MIB = 1 << 20


def seconds(value: float) -> str:
    """Return a time: `85 us`, `3.4 ms`, `240 ms`, `2.35 s`, `12.1 min`."""
    if value < 0.00009995:
        return f"{value * 1e6:.0f} us"
    if value < 0.009995:
        return f"{value * 1000:.2f} ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 119.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    return f"{value / 60:,.1f} min"


def percent(share: float) -> str:
    """Return a share: `83 %`, `0.4 %`."""
    return (
        f"{share:.1%}".replace("%", " %")
        if 0 < share < 0.01
        else f"{share:.0%}".replace("%", " %")
    )


def size(value: int | None) -> str:
    """Return bytes: `4.58 GiB`, `310 MiB`."""
    if value is None:
        return "unknown"
    return f"{value / _GIB:.2f} GiB" if value >= _GIB / 10 else f"{value / _MIB:.1f} MiB"


def times(found: Estimate | None) -> str:
    """Return a time and its interval; a dash where there is none."""
    return _with(found, seconds)


def rates(found: Estimate | None) -> str:
    """Return a rate and its interval; a dash where there is none."""
    return _with(found, per_s)


def _with(found: Estimate | None, show: object) -> str:
    if found is None or not callable(show):
        return "-"
    text = str(show(found.value))
    if found.low is None or found.high is None:
        return f"{text} (n={found.n})"
    return f"{text} ({show(found.low)} to {show(found.high)})"
