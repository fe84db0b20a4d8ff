"""What the worst of n recoveries says about the recoveries to come: order statistics, no distribution assumed.

The one thing to know: the largest of n values exceeds the p quantile with confidence 1 - p**n. For the 95th percentile
at 95 % that takes 59 events; ten events cover the 74 % quantile. A recovery that never came is +inf and stays in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.estimates import bare
from harness.stats.inputs import About, FloatArray, array
from harness.stats.moments import mean_sd
from harness.stats.provenance import with_provenance
from harness.stats.ranks import exact_share, rank_of
from harness.stats.records import Estimate, Interval

Bounds = tuple[npt.ArrayLike, npt.ArrayLike]


@dataclass(frozen=True)
class ToleranceBound:
    """A bound that a share p of all events stays below, with confidence; inf where n is too small for one.

    `rank` counts from the top (1: the largest value; 0: none will do). `max_confidence` is that of the largest value
    for p, `max_covers` the share it covers at the wanted confidence. `lognormal` is a second opinion that assumes a
    shape and never makes a verdict. `text` says all this in a sentence. `estimate` has both one-sided bounds.
    """

    bound: float
    p: float
    confidence: float
    n: int
    rank: int
    exact_confidence: float
    max_confidence: float
    max_covers: float
    n_needed: int
    lognormal: float | None
    text: str
    estimate: Estimate
    warnings: tuple[str, ...] = ()


def tolerance_bound(x: npt.ArrayLike, p: float = 0.95, conf: float = 0.95, *, bounds: Bounds | None = None,
                    **about: Unpack[About]) -> ToleranceBound:
    """Bound the p quantile of event times x (n,), s unless `unit` says otherwise; +inf means never.

    `bounds` are lower and upper bounds of each event where only these are known (outages seen by probes): the upper
    tolerance bound then rests on the upper ones. Raises ValueError for p or conf outside (0, 1), NaN, or -inf.
    """
    values, lower, upper = (np.sort(array(v, "tolerance bound", infinite=True).reshape(-1))
                            for v in (x, *(bounds or (x, x))))
    if not (0 < p < 1 and 0 < conf < 1) or not values.shape == lower.shape == upper.shape:
        raise ValueError(f"tolerance bound: p = {p}, confidence {conf}; both are above 0 and below 1, bounds per event")
    n = values.size
    low, high, exact = order_ranks(n, p, conf)
    bound, least = float(upper[high - 1]) if high else math.inf, events_needed(p, conf)
    ci = Interval(float(lower[low - 1]) if low else -math.inf, bound, conf, exact or None, 1)
    found = bare(float(values[rank_of(exact_share(p), n) - 1]), ci, dof=math.inf, unit="s", warnings=_never(values),
                 method="exact order statistics (tolerance bound)", estimand=f"p{100 * p:g} (inverted_cdf)")
    result = with_provenance(found, about, lower, values, upper, n=n, n_by_level={"event": n}, mde80=None)
    return ToleranceBound(bound, p, conf, n, n - high + 1 if high else 0, exact, 1 - p**n, (1 - conf) ** (1 / n), least,
                          _lognormal(values, p, conf), _sentence(n, p, conf, bound, result.unit), result,
                          ("assumes_lognormal: the lognormal bound is no ground for a verdict", *_never(values)))


def order_ranks(n: int, p: float, conf: float) -> tuple[int, int, float]:
    """Return ranks (low, high), 0 if none, of the one-sided bounds of the p quantile, and the upper one's confidence.

    X_(j) >= q_p with probability P(Bin(n, p) <= j - 1); X_(i) <= q_p with probability P(Bin(n, p) >= i).
    """
    from scipy import special

    ranks = np.arange(1, n + 1)
    below = special.bdtr(ranks - 1, n, p)
    sure = below >= conf * (1 - 1e-12)
    high = int(ranks[sure][0]) if sure.any() else 0
    under = 1 - below >= conf * (1 - 1e-12)
    low = int(ranks[under][-1]) if under.any() else 0
    return low, high, float(below[high - 1]) if high else 0.0


def events_needed(p: float, conf: float, rank: int = 1) -> int:
    """Return the least n for which the `rank`-th largest value bounds the p quantile with confidence `conf`."""
    from scipy import special

    n = max(rank, math.ceil(math.log1p(-conf) / math.log(p) - 1e-9))
    while special.bdtr(n - rank, n, p) < conf * (1 - 1e-12):
        n += 1
    return n


def normal_factor(n: int, p: float, conf: float) -> float:
    """Return k such that mean + k * sd of n normal values bounds their p quantile, one-sided, with that confidence."""
    from scipy import special

    return float(special.nctdtrit(n - 1, math.sqrt(n) * special.ndtri(p), conf)) / math.sqrt(n)


def _lognormal(values: FloatArray, p: float, conf: float) -> float | None:
    if values.size < 3 or not np.isfinite(values).all() or values[0] <= 0:
        return None
    mean, sd = mean_sd(np.log(values))
    return math.exp(mean + normal_factor(values.size, p, conf) * sd) if sd else None


def _sentence(n: int, p: float, conf: float, bound: float, unit: str) -> str:
    """Say what n events show, and what they do not."""
    least, share, sure = events_needed(p, conf), f"{100 * p:g} %", f"{100 * conf:g} %"
    if math.isfinite(bound):
        return f"With {sure} confidence at least {share} of all events stay at or below {bound:.4g} {unit} (n = {n})."
    if n >= least:
        return f"Of {n} events too many never ended: no finite bound covers {share} of all at {sure} confidence."
    return (f"The largest of {n} events covers the {100 * (1 - conf) ** (1 / n):.1f} % quantile at {sure} confidence, "
            f"or the {share} quantile at {100 * (1 - p**n):.0f} % confidence; both together need {least} events.")


def _never(values: FloatArray) -> tuple[str, ...]:
    never = int(np.isinf(values).sum())
    return (f"never_recovered: {never} of {values.size} events have no end; they stay in the sample",) if never else ()


__all__ = ["ToleranceBound", "events_needed", "normal_factor", "order_ranks", "tolerance_bound"]
