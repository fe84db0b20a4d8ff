"""Few failures: proportions, rates and availability with bounds that hold at any number of events, also at none.

The one thing to know: zero failures are not zero risk. Nothing in T shows a rate of at most 3/T, nothing more; the
intervals here are exact (their confidence is at least the nominal one), and every result says whether a bound is
one-sided (`Interval.sided` = 1: each end is a bound of its own at the stated confidence) or two-sided.

Sources: Clopper and Pearson 1934; exact Poisson limits by chi-square (Garwood 1936).
"""

from __future__ import annotations

import math
import operator
from typing import Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.estimates import bare
from harness.stats.inputs import About, FloatArray, array, policy_of
from harness.stats.moments import mean_sd, t_quantile
from harness.stats.outages import Outage, outage_from_probes
from harness.stats.provenance import with_provenance
from harness.stats.records import Check, Estimate, Interval
from harness.stats.tolerance import ToleranceBound, tolerance_bound


def proportion_ci(k: int, n: int, sided: int = 2, **about: Unpack[About]) -> Estimate:
    """Return the proportion k/n with its Clopper-Pearson interval; raises ValueError unless 0 <= k <= n, n >= 1."""
    k, n = _count(k, "k"), _count(n, "n")
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"proportion: {k} of {n}; needed is 0 <= k <= n with n >= 1")
    confidence, tail = policy_of(about).confidence, _tail(sided, about)
    from scipy import special

    lo = float(special.betaincinv(k, n - k + 1, tail)) if k else 0.0
    hi = float(special.betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    found = bare(k / n, Interval(lo, hi, confidence, None, sided), dof=math.inf, estimand="proportion",
                 method="exact binomial (Clopper-Pearson)",
                 warnings=_nothing_seen(k, f"{n} trials", f"{hi:.3g}", sided))
    return with_provenance(found, about, np.array([k, n], dtype=np.float64), n=n, n_by_level={"trial": n}, mde80=None)


def rate_ci(k: int, exposure: float, sided: int = 2, **about: Unpack[About]) -> Estimate:
    """Return the rate of k events in an `exposure` above 0 (in s, unless `unit` says otherwise), exact Poisson."""
    k = _count(k, "k")
    if k < 0 or not 0 < exposure < math.inf:
        raise ValueError(f"rate: {k} events in {exposure}; needed is k >= 0 and a finite exposure above 0")
    lo, hi = poisson_limits(k, _tail(sided, about))
    note = _nothing_seen(k, f"an exposure of {exposure:g}", f"{hi / exposure:.3g}, one in {exposure / hi:.4g}", sided)
    found = bare(k / exposure, Interval(lo / exposure, hi / exposure, policy_of(about).confidence, None, sided),
                 dof=math.inf, method="exact Poisson", estimand="rate", unit="1/s", warnings=note)
    return with_provenance(found, about, np.array([k, exposure]), n=1,
                           n_by_level={"exposure": 1, "event": k}, mde80=None)


def poisson_limits(k: int, tail: float) -> tuple[float, float]:
    """Return the exact limits of the mean of a Poisson count k, `tail` outside on each side."""
    from scipy import special

    return float(special.chdtri(2 * k, 1 - tail)) / 2 if k else 0.0, float(special.chdtri(2 * k + 2, tail)) / 2


def availability(up_s: float, down_s: npt.ArrayLike, r: int, *, rto_s: float | None = None, sided: int = 2,
                 **about: Unpack[About]) -> Estimate:
    """Return up / (up + down) from `r` failures in a total up time `up_s`, with bounds.

    `down_s` is the list of the r restoration times in s (inf: never restored), or their sum, which is then taken for
    a sum of exponential times (said in `method`). Bounds: exact Poisson limits of the failure rate times t limits of
    the mean restoration time. Without failures the lower bound needs `rto_s`, a tolerance limit of restoration;
    without it nothing bounds availability from below.
    """
    r, downs = _count(r, "r"), _downtimes(down_s, r)
    if not 0 < up_s < math.inf:
        raise ValueError(f"availability: up time of {up_s} s; needed is a finite time above 0")
    tail, total = _tail(sided, about), float(np.sum(downs))
    rate_lo, rate_hi = (limit / up_s for limit in poisson_limits(r, tail))
    mttr_lo, mttr_hi, how = _restoration(downs, r, rto_s, tail)
    ci = Interval(_available(rate_hi, mttr_hi), _available(rate_lo, mttr_lo), policy_of(about).confidence, None, sided)
    warnings = _nothing_seen(r, f"{up_s:g} s", f"{rate_hi:.3g}/s, a mean time between failures of {1 / rate_hi:.4g} s",
                             sided)
    if math.isinf(mttr_hi):
        warnings += ("unbounded: no bound on the restoration time, so none on availability from below",)
    enough = Check("restoration times", True if r == 0 or r >= policy_of(about).n_min else None, r,
                   policy_of(about).n_min)
    found = bare(up_s / (up_s + total), ci, dof=math.inf, method=f"exact Poisson limits x {how}", unit="1",
                 estimand="availability, up / (up + down)", warnings=warnings, assumptions=(enough,))
    return with_provenance(found, about, np.array([up_s, r, rto_s or 0.0]), downs, n=1,
                           n_by_level={"exposure": 1, "failure": r}, mde80=None)


def _downtimes(down_s: npt.ArrayLike, r: int) -> FloatArray:
    """Return the restoration times, or their sum as one value, after checking them against r."""
    if r < 0:
        raise ValueError(f"availability: {r} failures; needed is r >= 0")
    downs = np.asarray(down_s, dtype=np.float64).reshape(-1)
    if downs.size:
        downs = array(downs, "availability: down_s", infinite=True)
    as_sum = np.ndim(down_s) == 0
    if (downs < 0).any() or (not as_sum and downs.size != r) or (r == 0 and downs.sum() > 0):
        raise ValueError(f"availability: {downs.size} down times for {r} failures; needed is one of >= 0 for each")
    return downs


def _restoration(downs: FloatArray, r: int, rto_s: float | None, tail: float) -> tuple[float, float, str]:
    """Return (lower, upper, how) of the mean restoration time in s."""
    if r == 0:
        return 0.0, math.inf if rto_s is None else rto_s, "tolerance limit of restoration"
    if not np.isfinite(downs).all():
        return 0.0, math.inf, "no restoration"
    if downs.size == r and r > 1:
        mean, sd = mean_sd(downs)
        half = t_quantile(r - 1, 1 - tail) * sd / math.sqrt(r)
        return max(0.0, mean - half), mean + half, "t limits of the mean restoration time"
    from scipy import special

    low, high = (float(special.chdtri(2 * r, q)) / 2 for q in (1 - tail, tail))
    total = float(downs.sum())
    return total / high, total / low, "limits of the mean restoration time, taken for exponential"


def exponential_bound(up_s: float, down_s: float, r: int, confidence: float = 0.95) -> float:
    """Return the one-sided lower bound of availability if times to failure and to restoration are exponential.

    The classical approximation 1 / (1 + down / up * F(confidence; 2r + 2, 2r)); needs r >= 1. For cross-checks: the
    bound of `availability` does not assume the shape of the restoration times.
    """
    from scipy import special

    if r < 1:
        raise ValueError("availability: the exponential bound needs at least one failure")
    return 1 / (1 + down_s / up_s * float(special.fdtri(2 * r + 2, 2 * r, confidence)))


def _available(rate: float, mttr: float) -> float:
    return 1.0 if rate == 0 or mttr == 0 else 1 / (1 + rate * mttr)


def _nothing_seen(k: int, where: str, bound: str, sided: int) -> tuple[str, ...]:
    kind = "one-sided" if sided == 1 else "upper end of a two-sided interval"
    return () if k else (f"none_seen: 0 in {where} shows at most {bound} ({kind}), nothing more",)


def _tail(sided: int, about: About) -> float:
    if sided not in (1, 2):
        raise ValueError(f"interval: {sided} sides; allowed are 1 and 2")
    return (1 - policy_of(about).confidence) / sided


def _count(k: object, name: str) -> int:
    try:
        return operator.index(k)    # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name}: {k!r} is no whole number; a count is needed") from None


__all__ = ["Outage", "ToleranceBound", "availability", "exponential_bound", "outage_from_probes", "poisson_limits",
           "proportion_ci", "rate_ci", "tolerance_bound"]
