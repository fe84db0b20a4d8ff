"""Where a latency falls in a histogram: log-linear bins with exact integer edges, as fio and HdrHistogram lay them out.

The one thing to know: both tools use the same scheme. Below 2**(bits+1) units every integer has a bin of its own;
above, each octave is cut into 2**bits bins of equal width. They differ in `bits`, in the unit and in the length.
Edges are integers (nanoseconds throughout virtmark), so that merging and re-reading never lose a count.

Source: fio stat.h (6 bits, 29 groups); HdrHistogram (bits follow from the significant digits).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
CHUNK = 1 << 16     # values binned at a time: the buffers stay in the cache
EXACT_FLOAT = 1 << 52


@dataclass(frozen=True)
class Layout:
    """Log-linear bins: 2**bits per octave, `unit` low bits ignored, `size` bins, the last one open to the right."""

    bits: int
    unit: int
    size: int

    @property
    def clamp_index(self) -> int:
        """Return the index of the last bin, which also takes everything above it."""
        return self.size - 1

    @cached_property
    def highest(self) -> int:
        """Return the highest value whose bin is not a matter of clamping alone."""
        lo, width = self.edges(self.clamp_index)
        return int(lo + width - 1)

    def index(self, v_ns: Any) -> Any:
        """Return the bin of each value: int for an int, int64 array for an integer array. Negative: ValueError."""
        values = integers(v_ns)
        if values.ndim == 0:
            return int(_bins(self, values.reshape(1))[0])
        out = np.empty(values.shape, dtype=np.int64)
        flat, target = values.reshape(-1), out.reshape(-1)
        for start in range(0, flat.size, CHUNK):
            target[start:start + CHUNK] = _bins(self, flat[start:start + CHUNK])
        return out

    def edges(self, i: Any) -> tuple[Any, Any]:
        """Return (lowest value, width) of bin `i`; the bin holds the integers lo .. lo + width - 1."""
        at = np.asarray(i, dtype=np.int64)
        if at.size and (at.min() < 0 or at.max() >= self.size):
            raise ValueError(f"histogram: no bin {i}; this layout has bins 0 to {self.size - 1}")
        octave = np.maximum((at >> self.bits) - 1, 0)
        lo = (at - (octave << self.bits)) << (octave + self.unit)
        width = np.left_shift(np.int64(1), octave + self.unit)
        return (int(lo), int(width)) if at.ndim == 0 else (lo, width)

    def key(self, i: Any) -> Any:
        """Return the value that stands for bin `i`: lo + width // 2, as fio prints it in json+."""
        lo, width = self.edges(i)
        return lo + width // 2

    def count(self, values: Counts) -> Counts:
        """Return how many of the integer values fall into each bin; 1e8 values take about half a second."""
        keys = np.zeros(_key_count(self), dtype=np.int64)
        for start in range(0, values.size, CHUNK):
            keys += np.bincount(_float_keys(self, values[start:start + CHUNK]), minlength=keys.size)
        counts = np.zeros(self.size, dtype=np.int64)
        np.add.at(counts, _bin_of_key(self), keys)
        return counts


@dataclass(frozen=True)
class FioLayout(Layout):
    """The bins of fio >= 3.0: 1856 of them, in ns, at most 1/64 wide; from 17 045 651 456 ns on all is one bin."""

    bits: int = field(init=False, default=6)
    unit: int = field(init=False, default=0)
    size: int = field(init=False, default=1856)
    version: str = field(default="3.33", compare=False)

    def __post_init__(self) -> None:
        found = re.match(r"(?:fio-)?(\d+)\.", self.version + ".")
        if not found or int(found[1]) < 3:
            raise ValueError(f"fio version {self.version!r}: its histogram is not that of fio 3 (other bins, in µs); "
                             "needed is fio >= 3.0")


@dataclass(frozen=True)
class HdrLayout(Layout):
    """The bins of an HdrHistogram(lo, hi, sig): values up to `hi`, told apart to `sig` significant digits."""

    bits: int = field(init=False)
    unit: int = field(init=False)
    size: int = field(init=False)
    lo: int = field(default=1, compare=False)
    hi: int = field(default=3_600_000_000_000, compare=False)
    sig: int = field(default=3, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.sig <= 5:
            raise ValueError(f"histogram: {self.sig} significant digits; allowed are 1 to 5")
        if self.lo < 1 or self.hi < 2 * self.lo or self.hi >= 1 << 62:
            raise ValueError(f"histogram: range {self.lo} to {self.hi}; needed is 1 <= lo <= hi / 2, hi < 2**62")
        bits = (2 * 10**self.sig - 1).bit_length() - 1
        unit = self.lo.bit_length() - 1
        octaves = 1
        while (2 << bits + unit) << (octaves - 1) <= self.hi:
            octaves += 1
        for name, value in (("bits", bits), ("unit", unit), ("size", (octaves + 1) << bits)):
            object.__setattr__(self, name, value)


def integers(v: Any) -> Counts:
    """Return `v` as int64 without rounding; refuse anything that is not a non-negative integer below 2**63."""
    values = np.asarray(v)
    if values.size and (values.dtype.kind not in "iu" or (values.dtype == np.uint64 and int(values.max()) >> 63)):
        raise ValueError(f"histogram: values of type {values.dtype}; needed are integers (nanoseconds) below 2**63")
    values = values.astype(np.int64, copy=False)
    if values.size and int(values.min()) < 0:
        raise ValueError(f"histogram: negative value {int(values.min())}; latencies start at 0")
    return values


def _float_keys(layout: Layout, values: Counts) -> Counts:
    """Return a number per value that is the same exactly for values of the same bin, clamped above.

    It is the head of the bit pattern of float64(v + 1/2): exponent, then the leading `bits` binary digits. The half
    gives zero an exponent and keeps the small integers apart, so no value needs a branch.
    """
    top = layout.highest
    if values.size and int(values.max()) > top:
        values = np.minimum(values, top)
    scaled = values >> layout.unit if layout.unit else values
    if top >> layout.unit >= EXACT_FLOAT:   # else the conversion could round up into the next bin
        scaled = np.where(scaled >= EXACT_FLOAT, scaled & ~np.int64(2047), scaled)
    keys = np.add(scaled, 0.5, dtype=np.float64).view(np.int64)
    keys >>= 52 - layout.bits
    keys -= 1022 << layout.bits
    return keys


def _bins(layout: Layout, values: Counts) -> Counts:
    found: Counts = _bin_of_key(layout)[_float_keys(layout, values)]
    return found


def _key_count(layout: Layout) -> int:
    """Return how many float keys there are: one octave below 1, then one per binary digit of the highest value."""
    return (1 + (layout.highest >> layout.unit).bit_length()) << layout.bits


@lru_cache(maxsize=16)
def _bin_of_key(layout: Layout) -> Counts:
    """Return the bin for every float key; keys that no integer can have lead to the bin just below."""
    keys = np.arange(_key_count(layout), dtype=np.int64)
    floats = ((keys + (1022 << layout.bits)) << (52 - layout.bits)).view(np.float64)
    bins = np.where(floats < 1 << layout.bits, floats.astype(np.int64), keys - (layout.bits << layout.bits))
    return np.minimum(bins, layout.size - 1)


__all__ = ["CHUNK", "Counts", "FioLayout", "HdrLayout", "Layout", "integers"]
