"""Where the level of a series changed: the exact best segmentation under a squared-error cost.

Optimal partition (every last change point is tried for every prefix), so the answer is the true optimum under the
minimum segment length, which pruned searches do not promise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.stats.inputs import FloatArray

AT_ONCE = 16384     # costs that are looked at together: more would not fit into the nearest cache
LONGEST = 3600      # points; longer series are averaged down first, the cost grows with the square


@dataclass(frozen=True)
class Segment:
    """One level: points start <= i < end of the series, their mean, and standard deviation (divisor n - 1)."""

    start: int
    end: int
    mean: float
    sd: float


def noise_sd(y: FloatArray) -> float:
    """Return the standard deviation of the noise from first differences, which a slow drift does not inflate.

    1.4826 * median |difference| / sqrt(2): about zero, since two values in turn differ by nothing from their median
    step. Where more than half of the differences are zero (coarse data), their root mean square.
    """
    steps = np.diff(y)
    if steps.size == 0:
        return 0.0
    spread = 1.4826 * float(np.median(np.abs(steps)))
    return (spread if spread > 0 else float(np.sqrt(np.mean(steps**2)))) / math.sqrt(2)


def segments(y: FloatArray, *, penalty: float, shortest: int) -> tuple[Segment, ...]:
    """Return the segments of y (n,): minimal sum of squares + penalty * sd**2 * ln(n) for each change.

    Each segment has at least `shortest` points; a series of less than twice that is one segment. A series longer than
    3600 points is searched in averages of equal groups, so its change points are multiples of the group length.
    """
    group = math.ceil(y.size / LONGEST)
    coarse = y[:y.size // group * group].reshape(-1, group).mean(axis=1)
    short = max(2, math.ceil(shortest / group))
    cost = penalty * noise_sd(coarse) ** 2 * math.log(max(2, coarse.size))
    cuts = [c * group for c in best_cuts(coarse, cost, short)]
    edges = [0, *cuts, y.size]
    return tuple(_segment(y, a, b) for a, b in pairwise(edges))


def best_cuts(y: FloatArray, cost: float, shortest: int) -> list[int]:
    """Return the first index of every segment but the first, for a fixed cost of each cut."""
    n = y.size
    if n < 2 * shortest or float(y.max()) == float(y.min()):
        return []
    centred = y - y.mean()
    s1 = np.concatenate(([0.0], np.cumsum(centred)))
    # The squares up to `end` are the same for every start, so `left` is the best cost of a prefix without its squares.
    # Starts 1 .. shortest - 1 keep an infinite cost. A start lies at least `shortest` before its end, so that many ends
    # can be looked at together: a row for each, of which `early` blots out the starts that are too near.
    left, last = np.full(n + 1, math.inf), np.zeros(n + 1, dtype=np.int64)
    left[0] = -cost
    shares = 1.0 / np.arange(n, 0, -1)
    early = np.triu(np.full((shortest, shortest - 1), math.inf))
    own = np.arange(shortest)
    first = shortest
    while first <= n:
        rows = min(shortest, n + 1 - first, max(1, AT_ONCE // first))
        ends, starts = slice(first, first + rows), first + rows - shortest
        total = s1[ends, None] - s1[:starts]
        total *= total
        total *= np.ndarray((rows, starts), buffer=shares, offset=8 * (n - first), strides=(-8, 8))
        np.subtract(left[:starts], total, out=total)
        total[:, starts - rows + 1:] += early[:rows, :rows - 1]
        pick = total.argmin(axis=1)
        left[ends], last[ends] = total.take(pick + starts * own[:rows]) + cost, pick
        first += rows
    cuts, at = [], n
    while last[at]:
        at = int(last[at])
        cuts.append(at)
    return cuts[::-1]


def _segment(y: FloatArray, start: int, end: int) -> Segment:
    part = y[start:end]
    return Segment(start, end, float(part.mean()), float(part.std(ddof=1)) if part.size > 1 else 0.0)


__all__ = ["Segment", "best_cuts", "noise_sd", "segments"]
