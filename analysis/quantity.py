"""Numbers as a reader sees them: one scale and one number of decimals for things that are compared.

`harness.units.show` chooses the unit of a single value; here a value, its interval and its limit share one, and the
decimals are raised until the printed numbers compare with the limit exactly as the real ones do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.units import show

MINUS = "\N{MINUS SIGN}"
MOST_DECIMALS = 12
WIDE = 10.0  # from this ratio of its ends on, the width of an interval says nothing about digits
SIGNS = {">=": "≥", "<=": "≤", "between": ""}


@dataclass(frozen=True)
class Scale:
    """One printed unit is `factor` base units; `name` is that unit, such as "ms"."""

    factor: float
    name: str

    def text(self, value: float, decimals: int) -> str:
        """Return `value` (base units) as a number in this scale, without the unit."""
        return _dress(f"{value / self.factor:.{decimals}f}") if math.isfinite(value) else _infinite(value)

    def short(self, value: float, digits: int = 4) -> str:
        """Return `value` with at most `digits` significant digits, for axis ticks and limits."""
        if not math.isfinite(value):
            return _infinite(value)
        text = f"{value / self.factor:.{digits}g}"
        return _dress(f"{float(text):.0f}" if "e+" in text and abs(float(text)) < 1e7 else text)


@dataclass(frozen=True)
class Shown:
    """An estimate ready to print: numbers in one common unit."""

    value: str
    low: str
    high: str
    limit: str
    unit: str

    @property
    def interval(self) -> str:
        """Return the interval as "low … high"."""
        return f"{self.low} … {self.high}"


def scale(values: Iterable[float], unit: str) -> Scale:
    """Return the scale that suits the largest of `values`, as `harness.units.show` would print it."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    power = 10.0 ** math.floor(math.log10(largest)) if largest else 1.0
    number, _, name = show(power, unit, 15).partition(" ")
    return Scale(10.0 ** round(math.log10(power / float(number))), name)


def single(value: float, unit: str, digits: int = 4) -> str:
    """Return one value with its unit: 0.00123 s -> "1.23 ms"."""
    chosen = scale((value,), unit)
    return f"{chosen.short(value, digits)} {chosen.name}".strip()


def requirement(op: str, limits: Sequence[float], unit: str) -> str:
    """Return a requirement as people write it: "≥ 20 k/s", "10 … 20 ms"; "" without a limit."""
    if not limits:
        return ""
    chosen = scale(limits, unit)
    numbers = f"{' … '.join(chosen.short(value, 7) for value in limits)} {chosen.name}".strip()
    return f"{SIGNS.get(op, op)} {numbers}".strip()


def together(value: float, low: float, high: float, *, unit: str, limits: Sequence[float] = ()) -> Shown:
    """Print an estimate, its interval and its limits with two significant digits of the interval's half-width.

    Where the interval spans more than a factor of ten, each number gets two significant digits of its own.
    """
    numbers = (value, low, high)
    chosen = scale((value, *(bound for bound in (low, high) if math.isfinite(bound))), unit)
    decimals = _decimals(value, low, high, chosen.factor)
    more = 0
    while more < MOST_DECIMALS and not _faithful(numbers, limits, chosen, [count + more for count in decimals]):
        more += 1
    texts = [chosen.text(number, count + more) for number, count in zip(numbers, decimals, strict=True)]
    return Shown(texts[0], texts[1], texts[2], " … ".join(chosen.short(limit, 7) for limit in limits), chosen.name)


def _decimals(value: float, low: float, high: float, factor: float) -> tuple[int, int, int]:
    """Return the decimals of value, low and high."""
    if not math.isfinite(high - low) or high <= low:
        return (_places(value / factor, 4),) * 3
    if low * high > 0 and max(high / low, low / high) > WIDE:
        return (_places(value / factor, 2), _places(low / factor, 2), _places(high / factor, 2))
    return (_places((high - low) / 2 / factor, 2),) * 3


def _places(size: float, digits: int) -> int:
    """Return the decimals that show so many significant digits of a number."""
    if not size or not math.isfinite(size):
        return 0
    return min(max(0, digits - 1 - math.floor(math.log10(abs(size)))), MOST_DECIMALS)


def _faithful(numbers: Sequence[float], limits: Sequence[float], chosen: Scale, decimals: Sequence[int]) -> bool:
    """Say whether every printed number stands to every limit as the real number does."""
    def sign(a: float, b: float) -> int:
        return (a > b) - (a < b)

    printed = [(number, round(number / chosen.factor, count)) for number, count in zip(numbers, decimals, strict=True)
               if math.isfinite(number)]
    return all(sign(number, limit) == sign(shown, float(f"{limit / chosen.factor:.7g}"))
               for number, shown in printed for limit in limits if math.isfinite(limit))


def _dress(text: str) -> str:
    return text.replace("-", MINUS) if float(text) else text.lstrip("-")


def _infinite(value: float) -> str:
    return f"{MINUS}∞" if value < 0 else "∞"
