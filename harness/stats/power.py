"""How likely a repetition of the same experiment passes, and how many runs would tell: noncentral t.

Both take the estimate for the truth. They plan the next experiment; they say nothing about this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.stats.moments import t_quantile
from harness.stats.records import Estimate, Interval, Scale

POWER = 0.8
RUNS_MAX = 1 << 19


def chance(distances: Sequence[float], ci: Interval, est: Estimate) -> float | None:
    """Return the probability that the whole interval of a repetition lies beyond all limits, if the estimate is true.

    `distances` are signed distances from the limits on the scale of the estimate, positive on the good side. With two
    limits the result is a lower bound (Bonferroni). None where the interval says nothing about the spread.
    """
    u = standard_error(ci, est)
    return None if u is None else _chance(distances, u, est.n, (1 + ci.confidence) / 2)


def runs_needed(distances: Sequence[float], ci: Interval, est: Estimate) -> int | None:
    """Return the least number of runs that decides, PASS or FAIL, with 80 % power if the estimate is true; or None."""
    u = standard_error(ci, est)
    towards = list(distances) if min(distances) > 0 else [-min(distances)]
    if u is None or min(towards) <= 0:
        return None
    q, unit_sd = (1 + ci.confidence) / 2, u * math.sqrt(est.n)

    def enough(n: int) -> bool:
        return _chance(towards, unit_sd / math.sqrt(n), n, q) >= POWER

    return _least(enough, ((t_quantile(math.inf, q) + t_quantile(math.inf, POWER)) * unit_sd / min(towards)) ** 2 + 2)


def _least(enough: Callable[[int], bool], near: float) -> int | None:
    """Return the least n from 2 to RUNS_MAX that is enough, None if none is; `near` is where to look first."""
    high, step = int(min(max(near, 2.0), RUNS_MAX)), 1
    if enough(high):
        low = high - 1
        while low > 1 and enough(low):
            high, low, step = low, max(1, low - 2 * step), 2 * step
    else:
        low, high = high, min(high + 1, RUNS_MAX)
        while not enough(high):
            if high == RUNS_MAX:
                return None
            low, high, step = high, min(high + 2 * step, RUNS_MAX), 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def standard_error(ci: Interval, est: Estimate) -> float | None:
    """Return the standard error behind an interval of n - 1 degrees of freedom, on the scale of the estimate."""
    if not (math.isfinite(ci.lo) and math.isfinite(ci.hi)) or est.n < 2 or (est.scale is Scale.LOG and ci.lo <= 0):
        return None
    half = (math.log(ci.hi / ci.lo) if est.scale is Scale.LOG else ci.hi - ci.lo) / 2
    return half / t_quantile(est.n - 1, (1 + ci.confidence) / 2) or None


def _chance(distances: Sequence[float], u: float, n: int, q: float) -> float:
    sides = [1 - _noncentral_cdf(n - 1, max(-37.0, min(37.0, d / u)), t_quantile(n - 1, q)) for d in distances]
    return min(1.0, max(0.0, sum(sides) - (len(sides) - 1)))


def _noncentral_cdf(dof: float, away: float, t: float) -> float:
    """Return P(T <= t) of the noncentral t; far out, where scipy's has no answer (NaN), that of the normal near it."""
    from scipy import special

    found = float(special.nctdtr(dof, away, t))
    if math.isnan(found):
        return float(special.ndtr((t * (1 - 1 / (4 * dof)) - away) / math.sqrt(1 + t * t / (2 * dof))))
    return found


__all__ = ["POWER", "chance", "runs_needed", "standard_error"]
