"""What one run says about its own mean: effective sample size, and an interval that knows neighbours are alike.

The one thing to know: this describes a single run. The replicate of a verdict is the run on a fresh boot, so the
Estimates made here have n = 1. steady.py judges whether there is a mean at all, clocks.py compares two clocks.

Sources: Geyer 1992 (initial monotone sequence); batch means with 10 batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.changepoints import Segment
from harness.stats.clocks import ClockModel, clock_fit
from harness.stats.estimates import bare
from harness.stats.inputs import About, FloatArray, array, policy_of
from harness.stats.moments import t_quantile
from harness.stats.provenance import with_provenance
from harness.stats.records import Check, Estimate, Interval
from harness.stats.steady import SteadyState, mser5, steady_state
from harness.stats.trend import batch_means

BATCHES = 10


@dataclass(frozen=True)
class EssResult:
    """Effective sample size; `tau` = n / ess, the points that carry as much as one independent; `v` = n * var(mean)."""

    ess: float
    tau: float
    v: float


def autocovariance(y: FloatArray) -> FloatArray:
    """Return gamma_0 .. gamma_{n-1} of y (n,), divisor n, by FFT; the mean is taken out in two passes."""
    n = y.size
    centred = y - y.mean()
    centred = centred - centred.mean()
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    found: FloatArray = np.fft.irfft(power, size)[:n] / n
    return found


def ess(y: npt.ArrayLike) -> EssResult:
    """Return the effective sample size of y (n,), n >= 2, by Geyer's initial monotone sequence.

    v = -gamma_0 + 2 * sum(Gamma_m), Gamma_m = gamma_2m + gamma_2m+1 as long as positive and made non-increasing.
    Alternating neighbours can give more than n, at most n * log10(n). Constant data have ess = n and v = 0.
    """
    values = array(y, "series")
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"series: shape {values.shape}; needed is one dimension with at least 2 values")
    n, gamma = values.size, autocovariance(values)
    if float(values.max()) == float(values.min()):
        return EssResult(float(n), 1.0, 0.0)
    pairs = gamma[:n // 2 * 2].reshape(-1, 2).sum(axis=1)
    positive = pairs[:int((pairs <= 0).argmax()) if (pairs <= 0).any() else pairs.size]
    v = -gamma[0] + 2 * float(np.minimum.accumulate(positive).sum())
    v = max(v, gamma[0] / max(1.0, math.log10(n)))
    return EssResult(float(n * gamma[0] / v), float(v / gamma[0]), float(v))


def series_mean_ci(y: npt.ArrayLike, dt_s: float, **about: Unpack[About]) -> Estimate:
    """Return the mean of a steady series y (n,), one value every `dt_s` seconds, with its within-run interval.

    The half width is the larger of t(ESS - 1) * sqrt(v / n) and that of 10 batch means. Below the policy's effective
    sample size the check `autocorrelation resolved` fails; below 20 values the interval is infinite.
    """
    values = array(y, "series")
    found, policy = ess(values), policy_of(about)
    n, mean = values.size, float(values.mean())
    half, dof = _half_width(values, found, policy.confidence)
    resolved = found.ess >= policy.ess_min
    warnings = ["descriptive: one run; a verdict needs runs"]
    if not resolved:
        warnings.append(f"autocorrelation_unresolved: effective sample size {found.ess:.3g}, needed {policy.ess_min:g}")
    if math.isinf(half):
        warnings.append(f"no_interval: {n} values, needed are {2 * BATCHES}")
    elif half == 0:
        half, note = _constant(about.get("resolution", 0.0))
        warnings.append(note)
    result = bare(mean, Interval(mean - half, mean + half, policy.confidence), dof=dof, warnings=tuple(warnings),
                  method="max(ESS-t, 10 batch means)", estimand="mean of one run", dispersion=float(values.std(ddof=1)),
                  cv=float(values.std(ddof=1) / abs(mean)) if mean else 0.0,
                  assumptions=(Check("autocorrelation resolved", resolved, found.ess, policy.ess_min),))
    return with_provenance(result, about, values, np.array([dt_s]), n=1, n_by_level={"run": 1, "sample": n})


def _half_width(values: FloatArray, found: EssResult, confidence: float) -> tuple[float, float]:
    """Return (half width, degrees of freedom) of the wider of the two intervals."""
    n, q = values.size, (1 + confidence) / 2
    if n < 2 * BATCHES:
        return math.inf, 0.0
    size = n // BATCHES
    batches = batch_means(values[n - BATCHES * size:], BATCHES)
    by_batches = t_quantile(BATCHES - 1, q) * float(batches.std(ddof=1)) / math.sqrt(BATCHES)
    dof = max(found.ess - 1, 1.0)
    by_ess = t_quantile(dof, q) * math.sqrt(found.v / n)
    return (by_ess, dof) if by_ess >= by_batches else (by_batches, BATCHES - 1.0)


def _constant(resolution: float) -> tuple[float, str]:
    if resolution <= 0:
        return math.inf, "constant: no spread in the series and no resolution stated; nothing bounds the mean"
    return 2 * resolution / math.sqrt(12), f"constant: no spread; the interval is the resolution {resolution:g}"


__all__ = ["ClockModel", "EssResult", "Segment", "SteadyState", "autocovariance", "clock_fit", "ess", "mser5",
           "series_mean_ci", "steady_state"]
