"""Does something grow or sink while a system runs for hours: slope with interval, trend test, steps.

All on means of batches, because minutes are not independent: on raw minutes a trend test at 5 % errs in 14 to 66 % of
steady series.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.changepoints import segments
from harness.stats.estimates import bare, mad, relative
from harness.stats.inputs import About, FloatArray, array, policy_of
from harness.stats.moments import t_quantile
from harness.stats.provenance import with_provenance
from harness.stats.records import Check, Estimate, Interval
from harness.stats.shift import hodges_lehmann
from harness.stats.trend import batch_means, mann_kendall, slope_interval, theil_sen

BATCHES = 12
_FINE = 48  # batches for steps and quarters


@dataclass(frozen=True)
class Drift:
    """The drift of one soak run: `slope` in unit/s, `total` over the whole time, `share` of it in the median (unit 1).

    `p` is of Mann-Kendall on batch means; `steps_s` the times at which the level jumped; `quarters` the
    Hodges-Lehmann shift of the last against the first quarter, a cross-check. `share` is None around a median of 0.
    """

    slope: Estimate
    total: Estimate
    share: Estimate | None
    p: float
    steps_s: tuple[float, ...]
    quarters: Estimate


def drift(y: npt.ArrayLike, t_s: npt.ArrayLike, **about: Unpack[About]) -> Drift:
    """Return the drift of a series y (n,) at times t_s (n,) in s, increasing; n >= 48.

    Theil-Sen slope over the means of 12 batches, with Sen's interval; judge `share` or `total` against the limit, not
    `p`. The estimates count one run: batches inside it are no replicates.
    """
    values, times = array(y, "y"), array(t_s, "t_s")
    if values.ndim != 1 or times.shape != values.shape or values.size < _FINE or (np.diff(times) <= 0).any():
        raise ValueError(f"drift: shapes {values.shape} and {times.shape}; at least {_FINE} values at increasing times"
                         " are needed")
    policy = policy_of(about)
    means, at = batch_means(values, BATCHES), batch_means(times, BATCHES)
    middle, slopes = theil_sen(at, means)
    lo, hi = slope_interval(slopes, BATCHES, t_quantile(np.inf, (1 + policy.confidence) / 2))
    spread, p = mad(np.sort(means)), mann_kendall(means)[1]
    slope = Estimate(estimate=middle, ci=Interval(lo, hi, policy.confidence), n=1, method="Theil-Sen on 12 batch means",
                     estimand="slope", dispersion=spread, assumptions=(Check("no trend", p > 0.05, p, 0.05),),
                     cv=relative(spread, float(np.median(means))))
    span, centre, unit = float(times[-1] - times[0]), float(np.median(values)), about.get("unit", "1")
    fine, when = batch_means(values, _FINE), times[_starts(times.size, _FINE)]
    # A ramp looks like stairs, and stairs minus a slope like a saw: the reading with fewer jumps is the plainer one.
    levels = min((segments(z, penalty=policy.changepoint_penalty, shortest=4) for z in (fine, fine - middle * when)),
                 key=len)
    quarter = _FINE // 4
    return Drift(_scaled(slope, 1.0, f"{unit}/s", values, about), _scaled(slope, span, unit, values, about),
                 _scaled(slope, span / centre, "1", values, about) if centre else None, p,
                 tuple(float(when[level.start]) for level in levels[1:]),
                 hodges_lehmann(fine[-quarter:], fine[:quarter], **about))


def _starts(n: int, batches: int) -> npt.NDArray[np.int64]:
    """Return where each group of `batch_means` begins: the first n % batches groups are longer by one."""
    number = np.arange(batches)
    return number * (n // batches) + np.minimum(number, n % batches)


def _scaled(slope: Estimate, factor: float, unit: str, values: FloatArray, about: About) -> Estimate:
    """Return the slope times a factor, dressed: per s, over the run, or as a share."""
    lo, hi = sorted((slope.ci.lo * factor, slope.ci.hi * factor))
    found = bare(slope.estimate * factor, dataclasses.replace(slope.ci, lo=lo, hi=hi), dof=np.inf, method=slope.method,
                 estimand=slope.estimand if unit.endswith("/s") else f"{slope.estimand} x time", cv=slope.cv,
                 dispersion=slope.dispersion, base=0.0, assumptions=slope.assumptions)
    keywords = About(**about)
    keywords["unit"] = unit
    keywords.pop("resolution", None)
    return with_provenance(found, keywords, values, n=1, n_by_level={"run": 1, "batch": BATCHES})
