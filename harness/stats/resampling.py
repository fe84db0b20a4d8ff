"""BCa bootstrap intervals for smooth statistics without an analytic one; refused below n = 20, where they undercover.

Means of many indicators share one matrix of resampling weights W, so that a thousand bootstraps are one product W @ X.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from harness.stats.estimates import bare, dress, relative
from harness.stats.inputs import About, FloatArray, Sample, policy_of, scores, seed_of
from harness.stats.moments import mean_sd
from harness.stats.records import Estimate, Interval

Statistic = Callable[..., Any]  # f(values, axis=-1), such as np.mean, np.std
_REFUSED, _DOUBTFUL = 20, 50
_CELLS = 4_000_000  # resampled values held at a time


def bca_ci(x: npt.ArrayLike, f: Statistic = np.mean, **about: Unpack[About]) -> Estimate:
    """Return f(x) with its BCa interval; `f(values, axis=-1)` reduces the last axis, as np.mean does.

    n < 20 is refused (ValueError): nominal 95 % covers 83-92 % there; n < 50 carries the warning `few`. Scores are
    sorted first, so f must not depend on their order. The seed follows from policy, indicator and data.
    """
    sample = _enough(scores(x, about=about))
    policy = policy_of(about)
    ordered = np.sort(sample.values)
    seed = seed_of(policy, about.get("indicator_id", ""), ordered)
    interval = bca_interval(ordered, f, resamples=policy.bootstrap, seed=seed, confidence=policy.confidence)
    return _estimate(sample, interval, f, seed, about)


def bca_interval(x: npt.ArrayLike, f: Statistic = np.mean, *, resamples: int = 9999, seed: int = 0,
                 confidence: float = 0.95) -> Interval:
    """Return the bare BCa interval, without the guard on n: for comparison with other programs, not for verdicts."""
    ordered = np.sort(scores(x).values)
    try:
        f(ordered, axis=-1)
    except TypeError as error:
        raise ValueError(f"f: must take axis=-1 and reduce that axis, as np.mean does ({error})") from None
    boot = (ordered @ _weights(ordered.size, resamples, seed) / ordered.size if f is np.mean
            else _resampled(ordered, f, resamples, seed))
    return _interval(np.sort(boot), float(f(ordered, axis=-1)), _left_out(ordered, f), confidence)


def bca_ci_many(table: Mapping[str, npt.ArrayLike], **about: Unpack[About]) -> dict[str, Estimate]:
    """Return the BCa interval of the mean for each indicator id of `table`, all bootstraps with shared weights.

    Indicators with equal n share one weight matrix: their intervals are not independent of each other, each is right.
    """
    samples = {name: _enough(scores(x, name, about=about)) for name, x in table.items()}
    out: dict[str, Estimate] = {}
    for n in sorted({sample.n for sample in samples.values()}):
        names = [name for name, sample in samples.items() if sample.n == n]
        out |= _shared({name: samples[name] for name in names}, about)
    return {name: out[name] for name in table}


def _shared(samples: Mapping[str, Sample], about: About) -> dict[str, Estimate]:
    policy = policy_of(about)
    stack = np.array([np.sort(sample.values) for sample in samples.values()])
    seed = seed_of(policy, "\n".join(samples), stack)
    intervals: list[Interval] = []
    weights = _weights(stack.shape[1], policy.bootstrap, seed)
    step = max(1, _CELLS // policy.bootstrap)
    for start in range(0, len(stack), step):
        rows = stack[start:start + step]
        boots = np.sort(rows @ weights / stack.shape[1], axis=1)
        intervals += [_interval(boot, float(row.mean()), (row.sum() - row) / (row.size - 1), policy.confidence)
                      for boot, row in zip(boots, rows, strict=True)]
    return {name: _estimate(sample, interval, np.mean, seed, {**about, "indicator_id": name})
            for (name, sample), interval in zip(samples.items(), intervals, strict=True)}


def _enough(sample: Sample) -> Sample:
    if sample.n < _REFUSED:
        raise ValueError(f"bca_ci: n={sample.n}; at least {_REFUSED} scores are needed, 50 are recommended;"
                         " below, use gm_ci, median_ci or hodges_lehmann")
    return sample


def _weights(n: int, resamples: int, seed: int) -> FloatArray:
    """Return how often each of n scores is drawn, shape (n, resamples): rows @ counts / n are bootstrap means.

    Whole counts, divided by n only afterwards, keep equal means equal.
    """
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return np.ascontiguousarray(counts.T, dtype=np.float64)


def _resampled(ordered: FloatArray, f: Statistic, resamples: int, seed: int) -> FloatArray:
    rng, n = np.random.default_rng(seed), ordered.size
    step = max(1, _CELLS // n)
    parts = [f(ordered[rng.integers(0, n, size=(min(step, resamples - start), n))], axis=-1)
             for start in range(0, resamples, step)]
    boot = np.concatenate([np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in parts])
    if boot.shape != (resamples,):
        raise ValueError("f: must take axis=-1 and reduce that axis, as np.mean does")
    return boot


def _left_out(ordered: FloatArray, f: Statistic) -> FloatArray:
    n = ordered.size
    if f is np.mean:
        return np.asarray((ordered.sum() - ordered) / (n - 1))
    rows = [f(np.delete(ordered, i), axis=-1) for i in range(n)]
    return np.asarray(rows, dtype=np.float64)


def _interval(boot: FloatArray, centre: float, jackknife: FloatArray, confidence: float) -> Interval:
    """Return the BCa interval from sorted bootstrap values, after Efron (1987)."""
    from scipy import special

    size = boot.size
    if boot[0] == boot[-1]:
        return Interval(centre, centre, confidence)
    below = (np.searchsorted(boot, centre, "left") + np.searchsorted(boot, centre, "right")) / 2
    z0 = float(special.ndtri(min(max(below, 0.5), size - 0.5) / size))
    away = jackknife.mean() - jackknife
    scale = float((away**2).sum()) ** 1.5
    a = float((away**3).sum()) / (6 * scale) if scale else 0.0
    z = z0 + special.ndtri([(1 - confidence) / 2, (1 + confidence) / 2])
    at = special.ndtr(z0 + z / (1 - a * z)) * (size - 1)
    lo, hi = (float(boot[int(i)] + (i - int(i)) * (boot[min(int(i) + 1, size - 1)] - boot[int(i)])) for i in at)
    return Interval(lo, hi, confidence)


def _estimate(sample: Sample, interval: Interval, f: Statistic, seed: int, about: About) -> Estimate:
    name, ordered = getattr(f, "__name__", "statistic"), np.sort(sample.values)
    mean, sd = mean_sd(ordered)
    doubt = (f"few: n={sample.n}, BCa is honest from {_DOUBTFUL} on",) if sample.n < _DOUBTFUL else ()
    found = bare(float(f(ordered, axis=-1)), interval, dof=math.inf,
                 method=f"BCa bootstrap, {policy_of(about).bootstrap} resamples",
                 estimand="arithmetic mean" if f is np.mean else name, dispersion=sd, cv=relative(sd, mean), seed=seed,
                 warnings=doubt)
    return dress(found, sample, about)
