"""Axes in the units that people write: what range to show, where the ticks are, which side misses a limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis import quantity

WIDE = 20.0  # from this ratio of largest to smallest on, an axis is logarithmic


@dataclass(frozen=True)
class Span:
    """What an axis shows: bounds in base units, and whether it is logarithmic."""

    low: float
    high: float
    log: bool = False

    def holds(self, x: float) -> bool:
        """Say whether `x` can be seen."""
        return self.low <= x <= self.high

    def share(self, x: float) -> float:
        """Return where `x` stands: 0 at the left edge, 1 at the right, beyond them where it cannot be seen."""
        if self.log:
            return math.log(max(x, 1e-300) / self.low) / math.log(self.high / self.low)
        return (x - self.low) / (self.high - self.low)


def cover(core: Sequence[float], limits: Sequence[float] = (), *, ends: Sequence[float] = (),
          zero: bool = False) -> Span:
    """Return a span that shows all of `core`, and what lies near it of `limits` and of the `ends` of intervals.

    An end far out would squeeze everything else; it is cut off, and whoever draws it must say so.
    """
    numbers = [x for x in core if math.isfinite(x)] or [x for x in (*ends, *limits) if math.isfinite(x)] or [0.0, 1.0]
    numbers += [0.0] if zero else []
    low, high = min(numbers), max(numbers)
    inner = [x for x in (low, high, *ends) if math.isfinite(x)]
    log = min(inner) > 0 and max(inner) / min(inner) > WIDE
    reach = _reach(low, high, log)
    low, high = min(low, max(min(inner), reach[0])), max(high, min(max(inner), reach[1]))
    near = _reach(low, high, log)
    for limit in limits:
        if near[0] <= limit <= near[1]:
            low, high = min(low, limit), max(high, limit)
    return _padded(low, high, log and low > 0)


def across(axes: Axes, span: Span, unit: str, label: str = "") -> None:
    """Set up the x axis for a span of values in `unit`."""
    axes.set_xscale("log" if span.log else "linear")
    axes.set_xlim(span.low, span.high)
    name = ticks(axes.xaxis, span, unit)
    axes.grid(axis="x")
    axes.set_xlabel(_named(label, name), labelpad=3)


def upright(axes: Axes, span: Span, unit: str, label: str = "", most: int = 6) -> None:
    """Set up the y axis for a span of values in `unit`."""
    axes.set_yscale("log" if span.log else "linear")
    axes.set_ylim(span.low, span.high)
    axes.set_ylabel(_named(label, ticks(axes.yaxis, span, unit, most)))


def ticks(side: Axis, span: Span, unit: str, most: int = 6) -> str:
    """Place and label the ticks of a value axis; return their unit, or "" where each bears its own."""
    if not span.log:
        side.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
        chosen = quantity.scale((span.low, span.high), unit)
        side.set_major_formatter(FuncFormatter(lambda x, _: chosen.short(x)))
        return chosen.name
    side.set_major_locator(LogLocator(subs=_marks(span.high / span.low), numticks=12))
    side.set_minor_locator(NullLocator())
    side.set_minor_formatter(NullFormatter())
    side.set_major_formatter(FuncFormatter(lambda x, _: quantity.single(x, unit)))
    return ""


def _marks(ratio: float) -> tuple[float, ...]:
    return (1.0,) if ratio > 3e3 else (1.0, 3.0) if ratio > 100 else (1.0, 2.0, 5.0)


def _named(label: str, unit: str) -> str:
    return f"{label} ({unit})" if label and unit else label or unit


def missed(op: str, limits: Sequence[float], span: Span) -> list[tuple[float, float]]:
    """Return the parts of the span in which a value would miss the requirement."""
    if not limits:
        return []
    low, high = min(limits), max(limits)
    parts = {">": [(span.low, low)], "<": [(high, span.high)]}.get(op[:1], [(span.low, low), (high, span.high)])
    clipped = [(max(a, span.low), min(b, span.high)) for a, b in parts]
    return [(a, b) for a, b in clipped if a < b]


def _reach(low: float, high: float, log: bool) -> tuple[float, float]:
    """Return how far beyond low and high an axis may go."""
    if log:
        factor = max(high / low, 3.0) ** 1.5
        return low / factor, high * factor
    room = 1.5 * (high - low) or 0.5 * abs(low) or 1.0
    return low - room, high + room


def _padded(low: float, high: float, log: bool) -> Span:
    if log:
        grow = (high / low) ** 0.05
        return Span(low / grow, high * grow, True)
    pad = 0.05 * (high - low) or 0.05 * abs(low) or 1.0
    return Span(low - pad, high + pad)
