"""Hodges-Lehmann: a location, or the shift between two samples, that single outliers cannot move.

The interval comes from ordered Walsh averages (one sample) or ordered differences (two), at exact indices.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple, Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.estimates import bare, dress, mad, relative
from harness.stats.inputs import About, FloatArray, both, policy_of, same_unit, scores
from harness.stats.moments import middle
from harness.stats.nulls import rank_sum_index, signed_rank_index
from harness.stats.records import Estimate, Interval, Scale, revised

PAIRS_MAX = 4_000_000
_SORTED = 2000  # pieces below which sorting is faster than partitioning
SENSITIVITY_MAX = 2000  # runs; beyond, a second opinion on a location has nothing to add


def hodges_lehmann(x: npt.ArrayLike, y: npt.ArrayLike | None = None, *, scale: Scale = Scale.LINEAR,
                   **about: Unpack[About]) -> Estimate:
    """Return the Hodges-Lehmann location of scores x, or with y the shift x - y, with its exact interval.

    On the log scale both are ratios: the pseudo-median of x, or the ratio x / y (unit 1). One sample needs n >= 6 for
    95 %, two samples 4 and 4; below, the interval is infinite and a warning says so. More than 4e6 averages or
    differences are refused (ValueError).
    """
    logs = scale is Scale.LOG
    first = scores(x, about=about, positive=logs)
    if y is None:
        found = location(first.values, scale, policy_of(about).confidence)
        return dress(found, first, about)
    same_unit(x, y)
    second = scores(y, "y", about=about, positive=logs)
    a, b = (np.log(first.values), np.log(second.values)) if logs else (first.values, second.values)
    return dress(shift(first.values, second.values, scale, policy_of(about).confidence), both(first, second), about,
                 shape=(a, b))


def location(x: FloatArray, scale: Scale, confidence: float) -> Estimate:
    """Return the undressed one-sample estimate of shape (n,): median of the Walsh averages (x_i + x_j) / 2, i <= j."""
    _affordable(x.size * (x.size + 1) // 2)
    values = np.log(np.sort(x)) if scale is Scale.LOG else np.sort(x)
    i, j = _triangle(values.size)
    k, tail = signed_rank_index(values.size, (1 - confidence) / 2)
    return _ordered((values[i] + values[j]) / 2, k, 1 - 2 * tail, confidence, _Frame(
        scale, mad(values), f"Hodges-Lehmann, signed-rank interval{' on logs' * (scale is Scale.LOG)}",
        "pseudo-median" + " of logs, as a value" * (scale is Scale.LOG)))


def second_opinion(values: FloatArray, first: Estimate) -> Estimate | None:
    """Return the undressed Hodges-Lehmann location on the scale of `first`, None where it has nothing to add."""
    if not 2 <= values.size <= SENSITIVITY_MAX:
        return None
    return location(values, first.scale, first.ci.confidence)


def shift(x: FloatArray, y: FloatArray, scale: Scale, confidence: float) -> Estimate:
    """Return the undressed two-sample estimate: median of all differences x_i - y_j (of logs: ratios)."""
    _affordable(x.size * y.size)
    a, b = (np.log(np.sort(x)), np.log(np.sort(y))) if scale is Scale.LOG else (np.sort(x), np.sort(y))
    k, tail = rank_sum_index(x.size, y.size, (1 - confidence) / 2)
    found = _ordered(np.subtract.outer(a, b).ravel(), k, 1 - 2 * tail, confidence, _Frame(
        scale, mad(a), f"Hodges-Lehmann shift, rank-sum interval{' on logs' * (scale is Scale.LOG)}",
        "median ratio x/y" if scale is Scale.LOG else "median difference x - y", middle(np.sort(y))))
    return revised(found, n=min(x.size, y.size))


class _Frame(NamedTuple):
    """What an estimate says about itself beside its numbers."""

    scale: Scale
    spread: float
    method: str
    estimand: str
    base: float | None = None


def _ordered(pieces: FloatArray, k: int, exact: float, confidence: float, frame: _Frame) -> Estimate:
    """Return the median of `pieces` with the interval from the k-th smallest to the k-th largest."""
    count = pieces.size
    wanted = sorted({(count - 1) // 2, count // 2, max(k - 1, 0), min(count - k, count - 1)})
    ordered = np.sort(pieces) if count < _SORTED else np.partition(pieces, wanted)
    centre = middle(ordered)
    lo, hi = (float(ordered[k - 1]), float(ordered[count - k])) if k else (-math.inf, math.inf)
    logs, spread = frame.scale is Scale.LOG, frame.spread
    back = np.exp if logs else float
    interval = Interval(float(back(lo)), float(back(hi)), confidence, exact if k else None)
    return bare(float(back(centre)), interval, dof=math.inf, scale=frame.scale, base=frame.base, method=frame.method,
                estimand=frame.estimand, dispersion=spread, cv=spread if logs else relative(spread, centre),
                warnings=() if k else (f"no_interval: too few scores for {confidence:.0%}; it is infinite",))


@lru_cache(maxsize=64)
def _triangle(n: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    i, j = np.triu_indices(n)
    return i, j


def _affordable(pieces: int) -> None:
    if pieces > PAIRS_MAX:
        raise ValueError(f"hodges_lehmann: {pieces} pairs; at most {PAIRS_MAX} are allowed, one score per run is meant")
