"""Mean, standard deviation and Student's t: the few numbers under every interval, computed so that digits survive.

Two passes, never sum(x^2) - n * mean^2: that formula has no correct digit left on the numerically hard data of NIST.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

from harness.stats.inputs import FloatArray

_HARD = 1e6  # |mean| / sd above which plain summation loses digits
_EXACT_SUM_MAX = 100_000
_FEW = 64  # numbers that are summed exactly, which is faster than an array of them


def mean_sd(values: FloatArray) -> tuple[float, float]:
    """Return mean and sample standard deviation (divisor n - 1; 0.0 for one value or equal values) of shape (n,)."""
    n = values.size
    few = values.tolist() if n <= _FEW else None
    low, high = (min(few), max(few)) if few else (float(values.min()), float(values.max()))
    if low == high:
        return low, 0.0
    scale = even(max(abs(low), abs(high)))
    if scale != 1.0:
        mean, sd = mean_sd(values * scale)
        return mean / scale, sd / scale
    if few:
        mean = math.fsum(few) / n
        return mean, math.sqrt(_squares([value - mean for value in few]) / (n - 1))
    mean, sd = _two_passes(values, float(values.sum()) / n)
    if abs(mean) > _HARD * sd and n < _EXACT_SUM_MAX:
        mean, sd = _two_passes(values, math.fsum(values.tolist()) / n)
    return mean, sd


def _squares(away: list[float]) -> float:
    """Return the sum of squares of what lies away from a mean; the second term repairs the rounding of the mean."""
    return max(math.fsum(value * value for value in away) - math.fsum(away) ** 2 / len(away), 0.0)


def even(largest: float) -> float:
    """Return the power of two that brings `largest` near 1, and 1.0 where its square neither overflows nor vanishes.

    Multiplying by it rounds nothing, so what is computed from scaled values has the same digits.
    """
    if largest == 0 or 1e-100 < largest < 1e100 or not math.isfinite(largest):
        return 1.0
    return math.ldexp(1.0, max(-1000, min(1000, -math.frexp(largest)[1])))


def root_sum(parts: Iterable[float]) -> float:
    """Return the square root of the sum of squares, at any scale; infinite if a part is."""
    known = list(parts)
    scale = even(max(known, default=0.0))
    first, *rest = [(part * scale) ** 2 for part in known] or [0.0]
    return math.sqrt(first + sum(rest)) / scale


def _two_passes(values: FloatArray, mean: float) -> tuple[float, float]:
    n = values.size
    away = values - mean
    # The second term repairs the rounding of the mean; it is zero in exact arithmetic.
    squares = float((away * away).sum()) - float(away.sum()) ** 2 / n
    return mean, math.sqrt(max(squares, 0.0) / (n - 1))


def middle(ordered: FloatArray) -> float:
    """Return the median of sorted values (n,)."""
    n = ordered.size
    low, high = float(ordered[(n - 1) // 2]), float(ordered[n // 2])
    return low if low == high else (low + high) / 2


@lru_cache(maxsize=4096)
def t_quantile(dof: float, q: float) -> float:
    """Return the q quantile of Student's t with `dof` degrees of freedom; infinite dof is the normal."""
    from scipy import special

    return float(special.ndtri(q) if math.isinf(dof) else special.stdtrit(dof, q))


def t_cdf(dof: float, t: float) -> float:
    """Return P(T <= t) for Student's t; infinite dof is the normal."""
    from scipy import special

    return float(special.ndtr(t) if math.isinf(dof) else special.stdtr(dof, t))


def p_two_sided(dof: float, t: float) -> float:
    """Return P(|T| >= |t|); NaN-free: an infinite statistic gives 0."""
    return 0.0 if math.isinf(t) else min(1.0, 2 * t_cdf(dof, -abs(t)))


def welch_dof(v_x: float, n_x: int, v_y: float, n_y: int) -> float:
    """Return Welch-Satterthwaite degrees of freedom from the variances of two means."""
    below = v_x**2 / (n_x - 1) + v_y**2 / (n_y - 1)
    return (v_x + v_y) ** 2 / below if below > 0 else math.inf
