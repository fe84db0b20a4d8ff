"""Does a series go up or down: Mann-Kendall says whether, Theil-Sen says how much.

Both are for nearly independent values. Neighbouring seconds of a run are not, so callers take batch means first.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.stats.inputs import FloatArray

EXACT_MAX = 40      # above this many values the normal approximation is good to three digits
PAIRS_MAX = 3000


def batch_means(y: FloatArray, batches: int) -> FloatArray:
    """Return the means of `batches` neighbouring groups of y (n,) of sizes that differ by at most one."""
    if y.size % batches == 0:  # the same sums, all at once
        means: FloatArray = np.ascontiguousarray(y).reshape(batches, -1).mean(axis=1)
        return means
    parts = np.array_split(y, batches)
    return np.array([float(part.mean()) for part in parts])


def mann_kendall(y: FloatArray) -> tuple[int, float]:
    """Return (S, two-sided p) of the test against any monotone trend, for y of shape (n,) in order of time.

    S counts rising pairs minus falling ones. Exact null without ties up to n = 40, else normal with tie and
    continuity correction. Below 3 values p is 1.
    """
    n = y.size
    if n < 3:
        return 0, 1.0
    i, j = _pairs(n)
    s = int(np.sign(y[j] - y[i]).sum())
    _, ties = np.unique(y, return_counts=True)
    if n <= EXACT_MAX and ties.max() == 1:
        return s, _exact_p(n, s)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if variance <= 0:
        return s, 1.0
    z = max(abs(s) - 1, 0) / math.sqrt(variance)
    return s, math.erfc(z / math.sqrt(2))


def theil_sen(t: FloatArray, y: FloatArray) -> tuple[float, FloatArray]:
    """Return the median of all pairwise slopes, and the slopes sorted; t (n,) strictly increasing, 2 <= n <= 3000."""
    if not 2 <= y.size <= PAIRS_MAX:
        raise ValueError(f"trend: {y.size} values; allowed are 2 to {PAIRS_MAX}, take batch means first")
    i, j = _pairs(y.size)
    slopes = np.sort((y[j] - y[i]) / (t[j] - t[i]))
    return float(np.median(slopes)), slopes


def slope_interval(slopes: FloatArray, n: int, z: float) -> tuple[float, float]:
    """Return the interval of a Theil-Sen slope from its sorted pairwise slopes (Sen 1968), +-z standard deviations."""
    spread = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low, high = math.floor((slopes.size - spread) / 2), math.ceil((slopes.size + spread) / 2)
    if low < 1 or high >= slopes.size:
        return -math.inf, math.inf
    return float(slopes[low - 1]), float(slopes[high])


def _pairs(n: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the indices of the earlier and the later of each pair; those of a few batches are kept."""
    return _few_pairs(n) if n <= EXACT_MAX else _all_pairs(n)


def _all_pairs(n: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    i, j = np.triu_indices(n, 1)
    return i, j


_few_pairs = lru_cache(maxsize=EXACT_MAX)(_all_pairs)


@lru_cache(maxsize=64)
def _falling_pairs(n: int) -> tuple[int, ...]:
    """Return how many orders of n unlike values have 0, 1, 2 ... falling pairs."""
    ways = [1]
    for k in range(2, n + 1):
        ways = [sum(ways[max(0, i - k + 1):i + 1]) for i in range(len(ways) + k - 1)]
    return tuple(ways)


def _exact_p(n: int, s: int) -> float:
    ways = _falling_pairs(n)
    extreme = (len(ways) - 1 - abs(s)) // 2
    return min(1.0, 2 * sum(ways[:extreme + 1]) / math.factorial(n))


__all__ = ["batch_means", "mann_kendall", "slope_interval", "theil_sen"]
