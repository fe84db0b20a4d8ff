"""Run scores to an estimate: geometric mean, mean, median, quantile, each with the interval that covers what it says.

The default for positive ratio-scale metrics is the geometric mean with a t interval on logs; Hodges-Lehmann on logs
rides along as second opinion. Every function sorts first, so that the order of the runs cannot move a last digit.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.estimates import bare, dress, mad, relative
from harness.stats.inputs import About, FloatArray, policy_of, scores
from harness.stats.moments import mean_sd, middle, t_quantile
from harness.stats.records import Check, Estimate, Interval, Scale, revised
from harness.stats.shift import second_opinion

ROUNDING = 4 * 2.0**-52    # relative spread of scores that only rounding made


def gm_ci(x: npt.ArrayLike, **about: Unpack[About]) -> Estimate:
    """Return the geometric mean of positive run scores with the t interval on logs.

    `dispersion` is the standard deviation of the logs, `cv` that of the scores over their mean. The second opinion
    (`sensitivity`) is Hodges-Lehmann on logs. One run gives an infinite interval; zeros are refused (ValueError).
    """
    sample = scores(x, about=about, positive=True)
    policy = policy_of(about)
    ordered = np.sort(sample.values)
    average, spread = mean_sd(ordered)
    found = revised(_t(ordered, policy.confidence, Scale.LOG), cv=relative(spread, average))
    return dress(found, sample, about, second=second_opinion(sample.values, found))


def mean_ci(x: npt.ArrayLike, **about: Unpack[About]) -> Estimate:
    """Return the arithmetic mean of run scores with Student's t interval.

    Honest for near-normal scores only: on heavy skew it covers 81-91 % instead of 95 %, and the warning `skewed` says
    so; report a geometric mean or a median then.
    """
    sample = scores(x, about=about)
    policy = policy_of(about)
    ordered = np.sort(sample.values)
    found = _t(ordered, policy.confidence, Scale.LINEAR)
    check, warnings = _skew(ordered, *mean_sd(ordered))
    found = revised(found, assumptions=(check,), warnings=found.warnings + warnings)
    return dress(found, sample, about, second=second_opinion(sample.values, found))


def stein_ci(x: npt.ArrayLike, pilot: int, *, scale: Scale = Scale.LOG, **about: Unpack[About]) -> Estimate:
    """Return the location after two-stage repetition: the first `pilot` scores decided how many there are.

    The half width is max(t_{n0-1} s0, t_{N-1} s_N) / sqrt(N), which keeps the coverage that a plain t interval loses
    when the number of runs was chosen from the same data. x in the order measured.
    """
    sample = scores(x, about=about, positive=scale is Scale.LOG)
    if not 2 <= pilot <= sample.n:
        raise ValueError(f"pilot: {pilot} of {sample.n} scores; 2 up to all of them are allowed")
    policy = policy_of(about)
    found = _t(np.sort(sample.values), policy.confidence, scale)
    values = np.log(sample.values) if scale is Scale.LOG else sample.values
    first = t_quantile(pilot - 1, (1 + policy.confidence) / 2) * mean_sd(np.sort(values[:pilot]))[1]
    if first > t_quantile(sample.n - 1, (1 + policy.confidence) / 2) * found.dispersion:
        interval = _around(float(values.mean()), first / math.sqrt(sample.n), policy.confidence, scale)
        found = bare(found.estimate, interval, dof=pilot - 1, scale=scale, method=found.method,
                     estimand=found.estimand, dispersion=found.dispersion, cv=found.cv)
    found = revised(found, method=f"two-stage {found.method}, pilot {pilot}")
    return dress(found, sample, about, second=second_opinion(sample.values, found))


def median_ci(x: npt.ArrayLike, **about: Unpack[About]) -> Estimate:
    """Return the median of run scores with the order-statistic interval and its exact confidence.

    Fewer than 6 runs (95 %) or 8 (99 %) have no such interval: it is infinite, and a warning names the n needed.
    +inf (never recovered) is allowed.
    """
    sample = scores(x, about=about, infinite=True)
    confidence = policy_of(about).confidence
    ordered = np.sort(sample.values)
    interval = _order_interval(ordered, 0.5, confidence)
    needed = math.ceil(1 - math.log2(1 - confidence))
    short = (f"no_interval: n={sample.n}, a {confidence:.0%} interval of a median needs >= {needed}",)
    return dress(_ordered(middle(ordered), ordered, interval, "median", short), sample, about)


def quantile_ci(x: npt.ArrayLike, p: float, **about: Unpack[About]) -> Estimate:
    """Return the p quantile (inverted_cdf: an observed score) with the order-statistic interval.

    For independent scores only: runs yes, requests within a run no (nominal 95 % covers 35 % there). An end that n
    scores cannot give is infinite, with the n needed in a warning. +inf (never recovered) is allowed.
    """
    if not 0 < p < 1:
        raise ValueError(f"p: {p} is not between 0 and 1; 0.99 is the 99th percentile")
    sample = scores(x, about=about, infinite=True)
    confidence = policy_of(about).confidence
    ordered = np.sort(sample.values)
    estimate = float(ordered[max(math.ceil(Fraction(str(p)) * sample.n), 1) - 1])
    needed = math.ceil(max(math.log((1 - confidence) / 2) / math.log(q) for q in (p, 1 - p)) - 1e-9)
    short = (f"no_interval: n={sample.n}, both ends at {confidence:.0%} need >= {needed}",)
    found = _ordered(estimate, ordered, _order_interval(ordered, p, confidence), f"p{100 * p:g} (inverted_cdf)", short)
    return dress(found, sample, about)


def order_indices(n: int, p: float, confidence: float) -> tuple[int, int, float]:
    """Return 1-based order statistics (lo, hi) that bound the p quantile, and the exact confidence.

    The shortest such interval with each tail at most (1 - confidence) / 2; lo = 0 and hi = n + 1 stand for an end that
    n values cannot give.
    """
    from scipy import special

    tail = (1 - confidence) / 2 * (1 + 1e-12)
    cdf = special.bdtr(np.arange(n + 1), n, p)  # P(B <= k), B the number of values below the quantile
    lo = int(np.searchsorted(cdf[:n], tail, side="right"))
    above = np.append(special.bdtrc(np.arange(n), n, p), 0.0)  # P(B > k)
    hi = int(np.argmax(above <= tail)) + 1
    return lo, hi, float((cdf[hi - 1] if hi <= n else 1.0) - (cdf[lo - 1] if lo else 0.0))


def _order_interval(ordered: FloatArray, p: float, confidence: float) -> Interval:
    n = ordered.size
    lo, hi, exact = order_indices(n, p, confidence)
    bounded = lo > 0 or hi <= n
    return Interval(float(ordered[lo - 1]) if lo else -math.inf, float(ordered[hi - 1]) if hi <= n else math.inf,
                    confidence, exact if bounded else None)


def _ordered(estimate: float, ordered: FloatArray, interval: Interval, estimand: str,
             short: tuple[str, ...]) -> Estimate:
    spread = mad(ordered)
    censored = math.isinf(interval.hi) and math.isinf(ordered[-1])
    open_end = math.isinf(interval.lo) or (math.isinf(interval.hi) and not censored)
    return bare(estimate, interval, dof=math.inf, method="order statistics", estimand=estimand, dispersion=spread,
                cv=relative(spread, estimate), warnings=short if open_end else ())


def _t(ordered: FloatArray, confidence: float, scale: Scale) -> Estimate:
    """Return the undressed location of sorted scores (n,) with Student's interval, on the scale given."""
    n, logs = ordered.size, scale is Scale.LOG
    mean, sd = mean_sd(np.log(ordered) if logs else ordered)
    if float(ordered[-1] - ordered[0]) <= ROUNDING * abs(float(ordered[-1])):
        sd = 0.0    # equal but for the last digit, which another unit would round away
    half = t_quantile(n - 1, (1 + confidence) / 2) * sd / math.sqrt(n) if n > 1 else math.inf
    # exp(log(x)) can miss x by a rounding; a mean never lies outside its data.
    centre = min(max(math.exp(mean), float(ordered[0])), float(ordered[-1])) if logs else mean
    interval = _around(mean, half, confidence, scale) if half else Interval(centre, centre, confidence)
    return bare(centre, interval, dof=n - 1, scale=scale, method="t interval on logs" if logs else "t interval",
                estimand="geometric mean" if logs else "arithmetic mean", dispersion=sd,
                cv=sd if logs else relative(sd, mean),
                warnings=() if n > 1 else ("no_interval: one run; at least 2 are needed, 5 for a verdict",))


def _around(mean: float, half: float, confidence: float, scale: Scale) -> Interval:
    if scale is Scale.LINEAR:
        return Interval(mean - half, mean + half, confidence)
    return Interval(math.exp(mean - half), math.exp(mean + half), confidence)


def _skew(ordered: FloatArray, mean: float, sd: float) -> tuple[Check, tuple[str, ...]]:
    """Judge skewness by its standard error, and by a CV that positive normal scores cannot have."""
    n = ordered.size
    if n < 3 or sd == 0:
        return Check("not skewed", None, note="n < 3 or no spread"), ()
    g1 = float(np.mean(((ordered - mean) / (sd * math.sqrt((n - 1) / n))) ** 3)) * math.sqrt(n * (n - 1)) / (n - 2)
    limit = 2.0 * math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    spread = bool(ordered[0] > 0) and sd > 0.5 * mean
    if abs(g1) <= limit and not spread:
        return Check("not skewed", True, g1, limit), ()
    return Check("not skewed", False, g1, limit), (
        "skewed: the interval of an arithmetic mean covers less than stated; report a geometric mean or a median",)
