"""Quantities with units: what a user writes ("4KiB", "30s", "1Gbit/s") and the base units used inside.

Base units everywhere inside: s, B, B/s, 1/s, 1. A bare number where a quantity is due is refused, because
"30" is thirty of something. The classes are the types of parameter fields; `codec` decodes into them.
"""

from __future__ import annotations

import math
import re
from typing import ClassVar

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S.*?)?\s*")
_SI = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_BYTES = {p + "B": f for p, f in (_SI | _BINARY).items()}
_BITS = {p + "bit": f / 8 for p, f in _SI.items()}
_PREFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Quantity(float):
    """A non-negative finite number in base units, read from text with a unit."""

    base: ClassVar[str] = "1"
    units: ClassVar[dict[str, float]] = {"": 1.0}
    example: ClassVar[str] = "1"

    @classmethod
    def read(cls, text: object) -> Quantity:
        """Read `text`, such as "30s"; ValueError says what is allowed."""
        match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
        if not match or (match[2] or "") not in cls.units:
            allowed = ", ".join(unit for unit in cls.units if unit)
            raise ValueError(f"{text!r} is no quantity in {cls.base}; write, say, {cls.example!r}; units: {allowed}")
        value = float(match[1]) * cls.units[match[2] or ""]
        if value < 0 or not math.isfinite(value):
            raise ValueError(f"{text!r} must be finite and not negative")
        return cls(value)


class Seconds(Quantity):
    """A duration in s."""

    base, units, example = "s", _SECONDS, "30s"


class Bytes(Quantity):
    """A size in B; whole bytes."""

    base, units, example = "B", _BYTES, "4KiB"

    @classmethod
    def read(cls, text: object) -> Quantity:
        """Read a size; a fraction of a byte is refused."""
        value = super().read(text)
        if not value.is_integer():
            raise ValueError(f"{text!r} is not a whole number of bytes")
        return value


class Bandwidth(Quantity):
    """A data rate in B/s."""

    base, units, example = "B/s", {u + "/s": f for u, f in (_BYTES | _BITS).items()}, "1Gbit/s"


class Rate(Quantity):
    """Events per second in 1/s."""

    base, units, example = "1/s", {p + "/s": f for p, f in _SI.items()} | {"1/s": 1.0, "IOPS": 1.0, "Hz": 1.0}, "1000/s"


class Share(Quantity):
    """A share of a whole, in 1."""

    base, units, example = "1", {"%": 0.01, "ppm": 1e-6, "": 1.0}, "5%"


class Points(Quantity):
    """A number in a unit that only the tool knows which printed it."""

    base, units, example = "points", {"points": 1.0}, "100points"


BY_BASE: dict[str, type[Quantity]] = {kind.base: kind for kind in (Seconds, Bytes, Bandwidth, Rate, Share, Points)}


def show(value: float, unit: str, digits: int = 4) -> str:
    """Return a value in base units as people write it: 0.00123 s -> "1.23 ms", 1.2e9 B/s -> "1.2 GB/s"."""
    if not math.isfinite(value):
        return f"{'-' if value < 0 else ''}∞ {unit}".strip() if not math.isnan(value) else f"nan {unit}".strip()
    if unit == "1":
        return f"{value * 100:.{digits}g} %"
    if unit == "points":
        return f"{value:.{digits}g} points"
    if unit == "s":
        steps = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
        scale, name = next(((f, u) for u, f in steps if abs(value) >= f), (1e-9, "ns"))
        return f"{value / scale:.{digits}g} {name if value else 's'}"
    scale, prefix = next(((f, p) for p, f in _PREFIXES if abs(value) >= f), (1.0, ""))
    text = {"1/s": f"{prefix}/s" if prefix else "/s"}.get(unit, f"{prefix}{unit}")
    return f"{value / scale:.{digits}g} {text}"
