"""Ratios and overheads of two arms, and the claim that they do not differ.

The default is paired: log ratios of runs that stood side by side in ABBA order, so that what drifts for both cancels.
Never the mean of ratios, never the ratio of best values; absence of significance is never equality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.estimates import bare, dress
from harness.stats.inputs import About, Common, FloatArray, Sample, both, data_hash, policy_of, same_unit, scores
from harness.stats.moments import even, mean_sd, p_two_sided, t_cdf, t_quantile, welch_dof
from harness.stats.records import Direction, Estimate, Interval, Scale, revised
from harness.stats.shift import second_opinion, shift


@dataclass(frozen=True)
class Welch:
    """Welch's comparison of two means: difference x - y (of logs: ln of the ratio), its standard error, t, dof, p."""

    difference: float
    se: float
    t: float
    dof: float
    p: float
    ci: Interval


@dataclass(frozen=True)
class Equivalence:
    """Whether the whole interval lies inside (lo, hi); `p` of the two one-sided tests where it is a t interval.

    True in a condition only where it is shown.
    """

    shown: bool
    lo: float
    hi: float
    p: float | None

    def __bool__(self) -> bool:
        return self.shown


def ratio_paired(x: npt.ArrayLike, y: npt.ArrayLike, **about: Unpack[About]) -> Estimate:
    """Return the ratio x / y of geometric means from pairs: exp of the t interval on ln x - ln y, unit 1.

    x[i] and y[i] are scores of the same round. ValueError on unequal lengths and on values <= 0. `dispersion` and `cv`
    are the standard deviation of the log ratios; `resolution` is given in the unit of the data.
    """
    first, second = _two(x, y, about)
    if first.n != second.n:
        raise ValueError(f"ratio_paired: {first.n} and {second.n} scores; pairs need equal numbers, else ratio_welch")
    logs = np.log(first.values) - np.log(second.values)
    mean, sd = mean_sd(np.sort(logs))
    found = _on_logs(mean, sd / math.sqrt(first.n), first.n - 1, sd, policy_of(about).confidence)
    found = revised(found, method="paired t interval on log ratios",
                    resolution=_resolution(found.estimate, first.values, second.values, about))
    sample = Sample(logs, first.n_by_level, data_hash(first.values, second.values), first.warnings)
    return dress(found, sample, _unitless(about), shape=(logs,), second=second_opinion(np.exp(logs), found))


def ratio_welch(x: npt.ArrayLike, y: npt.ArrayLike, **about: Unpack[About]) -> Estimate:
    """Return the ratio x / y of geometric means from independent runs: Welch's interval on logs, unit 1."""
    first, second = _two(x, y, about)
    a, b = np.log(first.values), np.log(second.values)
    confidence = policy_of(about).confidence
    spread = math.hypot(mean_sd(np.sort(a))[1], mean_sd(np.sort(b))[1])
    if min(first.n, second.n) < 2:
        found = _on_logs(float(a.mean() - b.mean()), math.inf, 0, spread, confidence)
    else:
        test = welch_sorted(np.sort(a), np.sort(b), confidence)
        found = _on_logs(test.difference, test.se, test.dof, spread, confidence)
    found = revised(found, method="Welch interval on logs", n=min(first.n, second.n))
    return _unpaired(found, first, second, about)


def ratio_fieller(x: npt.ArrayLike, y: npt.ArrayLike, **about: Unpack[About]) -> Estimate:
    """Return the ratio of arithmetic means of independent runs with Fieller's interval, unit 1.

    Infinite with the warning `unbounded` where the mean of y is not clearly above zero (g >= 1). Welch-Satterthwaite
    degrees of freedom. Honest up to a CV of 10 %.
    """
    first, second = _two(x, y, about)
    confidence = policy_of(about).confidence
    scale = even(float(max(first.values.max(), second.values.max())))
    (m_x, s_x), (m_y, s_y) = mean_sd(np.sort(first.values) * scale), mean_sd(np.sort(second.values) * scale)
    r, dof = m_x / m_y, 0.0
    warnings: tuple[str, ...] = ()
    interval = Interval(-math.inf, math.inf, confidence)
    if min(first.n, second.n) >= 2:
        v_x, v_y = s_x**2 / first.n, s_y**2 / second.n
        dof = welch_dof(v_x, first.n, r * r * v_y, second.n)
        interval, g = _fieller(r, m_y, v_x, v_y, t_quantile(dof, (1 + confidence) / 2))
        interval = revised(interval, confidence=confidence)
        warnings = (f"unbounded: g = {g:.3g} >= 1, the denominator may be zero",) * (g >= 1)
    spread = math.hypot(s_x / m_x, s_y / m_y)
    found = bare(r, interval, dof=dof if math.isfinite(interval.hi) else 0.0, base=1.0, n=min(first.n, second.n),
                 method="Fieller", estimand="ratio of arithmetic means", dispersion=spread, cv=spread,
                 warnings=warnings)
    return _unpaired(found, first, second, about)


def overhead(guest: npt.ArrayLike, bare: npt.ArrayLike, direction: Direction, *, paired: bool = True,
             **about: Unpack[Common]) -> Estimate:
    """Return what the guest loses against the bare host, as a share: lower is better, negative is a gain.

    `direction` is that of the scores: 1 - guest/bare for throughput (higher is better), guest/bare - 1 for latency.
    ValueError on a direction that is neither.
    """
    direction = Direction(direction)
    if direction is Direction.TARGET:
        raise ValueError("overhead: direction target; it must be said whether higher or lower scores are better")
    ratio = (ratio_paired if paired else ratio_welch)(guest, bare, **about)
    return _as_overhead(ratio, -1.0 if direction is Direction.HIGHER_IS_BETTER else 1.0)


def equivalence(ci: Estimate | Interval, delta: float) -> Equivalence:
    """Judge whether "no difference beyond delta" is shown: the whole interval inside the bounds (TOST).

    For a ratio (log scale) the bounds are 1 - delta and 1 + delta, else -delta and +delta. A 95 % interval makes each
    one-sided test one at 2.5 %.
    """
    if not 0 < delta < math.inf:
        raise ValueError(f"delta: {delta}; a positive margin such as 0.02 is needed")
    if isinstance(ci, Interval):
        return Equivalence(-delta < ci.lo and ci.hi < delta, -delta, delta, None)
    ratio = ci.scale is Scale.LOG
    if ratio and delta >= 1:
        raise ValueError(f"delta: {delta}; a margin around a ratio must be below 1")
    lo, hi = (1 - delta, 1 + delta) if ratio else (-delta, delta)
    return Equivalence(lo < ci.ci.lo and ci.ci.hi < hi, lo, hi, _tost(ci, lo, hi))


def welch(x: npt.ArrayLike, y: npt.ArrayLike, *, scale: Scale = Scale.LINEAR, confidence: float = 0.95) -> Welch:
    """Return Welch's t test of x against y, two-sided, with the interval of the difference; at least 2 and 2 scores."""
    logs = scale is Scale.LOG
    first, second = scores(x, positive=logs), scores(y, "y", positive=logs)
    if min(first.n, second.n) < 2:
        raise ValueError(f"welch: {first.n} and {second.n} scores; at least 2 and 2 are needed")
    a, b = (np.log(first.values), np.log(second.values)) if logs else (first.values, second.values)
    return welch_sorted(np.sort(a), np.sort(b), confidence)


def welch_sorted(a: FloatArray, b: FloatArray, confidence: float) -> Welch:
    """Return Welch's test of checked samples, sorted so that order moves no digit; at least 2 and 2."""
    scale = even(float(max(np.abs(a).max(), np.abs(b).max())))
    if scale != 1.0:
        found = welch_sorted(a * scale, b * scale, confidence)
        ci = Interval(found.ci.lo / scale, found.ci.hi / scale, confidence)
        return Welch(found.difference / scale, found.se / scale, found.t, found.dof, found.p, ci)
    (m_a, s_a), (m_b, s_b) = mean_sd(a), mean_sd(b)
    v_a, v_b = s_a**2 / a.size, s_b**2 / b.size
    difference, se = m_a - m_b, math.sqrt(v_a + v_b)
    dof = welch_dof(v_a, a.size, v_b, b.size)
    t = difference / se if se else math.copysign(math.inf, difference) if difference else 0.0
    half = t_quantile(dof, (1 + confidence) / 2) * se
    interval = Interval(difference - half, difference + half, confidence)
    return Welch(difference, se, t, dof, p_two_sided(dof, t), interval)


def _two(x: npt.ArrayLike, y: npt.ArrayLike, about: Common) -> tuple[Sample, Sample]:
    same_unit(x, y)
    return scores(x, about=about, positive=True), scores(y, "y", about=about, positive=True)


def _on_logs(mean: float, se: float, dof: float, spread: float, confidence: float) -> Estimate:
    half = t_quantile(dof, (1 + confidence) / 2) * se if dof > 0 else math.inf
    lo, hi = (math.exp(mean - half), math.exp(mean + half)) if math.isfinite(half) else (0.0, math.inf)
    return bare(math.exp(mean), Interval(lo, hi, confidence), dof=dof, scale=Scale.LOG, method="",
                estimand="ratio of geometric means", dispersion=spread, cv=spread,
                warnings=() if dof > 0 else ("no_interval: one run; at least 2 are needed, 5 for a verdict",))


def _unpaired(found: Estimate, first: Sample, second: Sample, about: About) -> Estimate:
    found = revised(found, resolution=_resolution(found.estimate, first.values, second.values, about))
    sample, shape = both(first, second), (np.log(first.values), np.log(second.values))
    small = min(first.n, second.n) >= 2 and first.n * second.n <= 1_000_000
    other = shift(first.values, second.values, Scale.LOG, found.ci.confidence) if small else None
    return dress(found, sample, _unitless(about), shape=shape, second=other)


def _fieller(r: float, m_y: float, v_x: float, v_y: float, t: float) -> tuple[Interval, float]:
    g = t * t * v_y / m_y**2
    if g >= 1:
        return Interval(-math.inf, math.inf, 0.95), g
    half = t / m_y * math.sqrt(v_x * (1 - g) + r * r * v_y)
    return Interval((r - half) / (1 - g), (r + half) / (1 - g), 0.95), g


def _resolution(ratio: float, x: FloatArray, y: FloatArray, about: Common) -> float:
    """Return the step of a ratio of two readings from the step of the readings."""
    step = about.get("resolution", 0.0)
    return ratio * step * math.hypot(1 / float(np.median(x)), 1 / float(np.median(y)))


def _unitless(about: About) -> About:
    """The data had a unit and a resolution; their ratio has the unit 1 and a resolution of its own."""
    rest = About(**about)
    rest["unit"] = "1"
    rest.pop("resolution", None)
    return rest


def _as_overhead(ratio: Estimate, sign: float) -> Estimate:
    lo, hi = sorted((sign * (ratio.ci.lo - 1), sign * (ratio.ci.hi - 1)))
    other = ratio.sensitivity
    return revised(
        ratio, estimate=sign * (ratio.estimate - 1), ci=revised(ratio.ci, lo=lo, hi=hi),
        scale=Scale.LINEAR, direction=Direction.LOWER_IS_BETTER, method=f"overhead from {ratio.method}",
        estimand=f"{'1 - ratio' if sign < 0 else 'ratio - 1'}, {ratio.estimand}",
        sensitivity=_as_overhead(other, sign) if other else None)


def _tost(estimate: Estimate, lo: float, hi: float) -> float | None:
    """Return the p of the two one-sided tests; None where no t interval stands behind the estimate."""
    budget = estimate.budget
    if budget is None or not 0 < budget.u_a < math.inf:
        return None
    dof = budget.dof_eff * (budget.u_a / budget.u_c) ** 4  # of the Type A part alone
    if math.isinf(dof):
        return None
    centre, se = estimate.estimate, budget.u_a
    if estimate.scale is Scale.LOG:
        centre, se, lo, hi = math.log(centre), se / centre, math.log(lo), math.log(hi)
    return max(t_cdf(dof, -(centre - lo) / se), t_cdf(dof, -(hi - centre) / se))
