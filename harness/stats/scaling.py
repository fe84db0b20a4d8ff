"""How fairly a host is shared among tenants, and how well a limit is held; scalability laws come from usl.py.

A fairness index near 1 hides much (0.97: one tenant at 70 %), so the smallest share belongs beside it. Windows inside
a run are no replicates: what is said about one run is a description, an interval needs runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.estimates import bare, dress
from harness.stats.inputs import About, FloatArray, array, policy_of, scores
from harness.stats.moments import mean_sd, t_quantile
from harness.stats.ratios import Equivalence, equivalence
from harness.stats.records import Direction, Estimate, Interval, Scale, revised
from harness.stats.scores import mean_ci, order_indices
from harness.stats.shift import location


@dataclass(frozen=True)
class QosError:
    """How a limit was held, in relative errors (achieved - limit) / limit of windows.

    `mean` is over runs, `within` whether its interval lies inside the tolerance. `p99` is the largest over runs of the
    99th percentile, `p99_upper` its 97.5 % bound (inf where a run has fewer than 368 windows), `overshoot` the largest
    error of all, `settling_s` by run the time from which on the median of five windows stays inside the tolerance
    (inf: never).
    """

    mean: Estimate
    within: Equivalence
    p99: float
    p99_upper: float
    overshoot: float
    settling_s: tuple[float, ...]
    warnings: tuple[str, ...] = ()


def jain(x: npt.ArrayLike, entitlement: npt.ArrayLike | None = None) -> float:
    """Return Jain's fairness index of tenants' shares x (k,), each divided by its entitlement where given.

    (sum x)^2 / (k sum x^2), from 1/k (one has all) to 1 (equal). ValueError on negative shares or all zero.
    """
    shares = array(x, "x")
    if entitlement is not None:
        due = array(entitlement, "entitlement")
        if due.shape != shares.shape or (due <= 0).any():
            raise ValueError(f"entitlement: shape {due.shape} for shares of {shares.shape}; one positive number each")
        shares = shares / due
    if shares.ndim != 1 or (shares < 0).any() or not shares.any():
        raise ValueError("jain: shares of one run, of shape (tenants,), at least 0 and not all 0, are needed")
    shares = shares / shares.max()
    return float(shares.sum() ** 2 / (shares.size * (shares**2).sum()))


def jain_ci(runs: npt.ArrayLike, entitlement: npt.ArrayLike | None = None, **about: Unpack[About]) -> Estimate:
    """Return the fairness over runs of shape (runs, tenants): t interval on the logit of the index, unit 1.

    Where a run is perfectly fair, or wholly unfair, the logit is infinite: Hodges-Lehmann takes over.
    """
    values = array(runs, "runs")
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"runs: shape {values.shape}; runs by tenants, at least two tenants, are needed")
    sample = scores([jain(row, entitlement) for row in values], about=About())
    least, confidence = 1 / values.shape[1], policy_of(about).confidence
    keywords = About(**about)
    keywords["unit"] = "1"
    keywords.setdefault("direction", Direction.HIGHER_IS_BETTER)
    unit = (sample.values - least) / (1 - least)
    if (unit <= 0).any() or (unit >= 1).any() or sample.n < 2:
        found = revised(location(sample.values, Scale.LINEAR, confidence), estimand="Jain's index")
        result = dress(found, sample, keywords)
        lo, hi = max(result.ci.lo, least), min(result.ci.hi, 1.0)  # an index knows no more than this
        return revised(result, ci=revised(result.ci, lo=lo, hi=hi))
    mean, sd = mean_sd(np.sort(np.log(unit / (1 - unit))))
    half = t_quantile(sample.n - 1, (1 + confidence) / 2) * sd / math.sqrt(sample.n)
    centre, lo, hi = (least + (1 - least) / (1 + math.exp(-v)) for v in (mean, mean - half, mean + half))
    average, spread = mean_sd(np.sort(sample.values))
    found = bare(centre, Interval(lo, hi, confidence), dof=sample.n - 1, method="t interval on logits",
                 estimand="Jain's index", dispersion=spread, cv=spread / average)
    return dress(found, sample, keywords)


def qos_error(y: npt.ArrayLike, limit: float, *, dt_s: float = 1.0, tolerance: float = 0.05,
              **about: Unpack[About]) -> QosError:
    """Return how well a limit was held; y is what each window of `dt_s` achieved, (windows,) or (runs, windows).

    One run (a single dimension) gives a description: its mean has an infinite interval. ValueError on limit <= 0.
    """
    values = array(y, "y")
    if not 0 < limit < math.inf or values.ndim > 2:
        raise ValueError(f"qos_error: limit {limit}, shape {values.shape}; a positive limit and runs by windows needed")
    errors = np.atleast_2d(values) / limit - 1
    keywords = About(**about)
    keywords["unit"] = "1"
    keywords["levels"] = ("run", "window")
    if "resolution" in about:
        keywords["resolution"] = about["resolution"] / limit
    mean = mean_ci(errors, **keywords)
    return QosError(mean, equivalence(mean, tolerance), *_tail(errors), float(errors.max()),
                    tuple(_settling(run, tolerance) * dt_s for run in errors),
                    ("descriptive: the bound on p99 takes windows as independent",))


def _tail(errors: FloatArray) -> tuple[float, float]:
    """Return the largest p99 over runs, and the largest of their upper bounds."""
    windows = errors.shape[1]
    _, hi, _ = order_indices(windows, 0.99, 0.95)
    ordered = np.sort(errors, axis=1)
    p99 = ordered[:, -(-99 * windows // 100) - 1]
    return float(p99.max()), float(ordered[:, hi - 1].max()) if hi <= windows else math.inf


def _settling(run: FloatArray, tolerance: float) -> float:
    """Return the number of windows until the median of five neighbours stays within the tolerance."""
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(run, 5), axis=1) if run.size >= 5 else run
    outside = np.flatnonzero(np.abs(smooth) > tolerance)
    if outside.size == 0:
        return 0.0
    return float(outside[-1] + 1) if outside[-1] + 1 < smooth.size else math.inf
