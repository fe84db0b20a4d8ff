"""Percentiles of what one step saw: exact ranks in weighted series, and fio's histograms put back together.

The one thing to know: a percentile is an observed value of rank ceil(p N) (type 1), and it needs 100 / (1 - p) values
below it to be worth a verdict. Reads and writes of one step are merged by adding counts, never by averaging.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce

import numpy as np

from harness.indicators.base import Gate, pick
from harness.model import Series, StepResult
from harness.stats.histograms import HistQuantile, LatencyHistogram, hist_quantile
from harness.stats.ranks import exact_share, needed, rank_of
from harness.stats.records import Check, StatsPolicy


def at(series: Series, p: float, beyond: float = 0.0) -> float:
    """Return the p quantile of a series in its unit; `beyond` values lie above all of them, then it may be inf."""
    order = np.argsort(series.values)
    weights = np.asarray(series.weights or np.ones(len(series.values)))[order]
    below = np.cumsum(np.rint(weights).astype(np.int64))
    rank = rank_of(exact_share(p), int(below[-1]) + round(beyond))
    return math.inf if rank > below[-1] else float(series.values[order[int(np.searchsorted(below, rank))]])


def count(series: Series, beyond: float = 0.0) -> float:
    """Return how many values a series stands for."""
    return (sum(series.weights) if series.weights else float(len(series.values))) + beyond


def mean(series: Series) -> float:
    """Return the weighted mean."""
    return float(np.average(series.values, weights=series.weights or None))


def merged(result: StepResult, metric: str) -> LatencyHistogram:
    """Return the histograms of all directions of a step as one; ValueError if there is none, or not fio's bins."""
    found = pick(result, metric, stat="histogram", layout="fio")
    if not found:
        raise ValueError(f"{result.step.id}: no histogram of {metric}")
    return reduce(LatencyHistogram.merge, (LatencyHistogram.from_seconds(each.values, each.weights) for each in found))


def of_histogram(metric: str, p: float) -> Callable[[StepResult], float]:
    """Return the score that is a percentile in s of a step's merged histogram."""
    return lambda result: _quantile(result, metric, p).mid / 1e9


def bin_width(metric: str, p: float) -> Callable[[Sequence[StepResult]], Mapping[str, float]]:
    """Return the standard uncertainty in s that the width of the bins leaves: the largest over the rounds."""
    return lambda results: {"bin width": max(_quantile(result, metric, p).u_b for result in results) / 1e9}


def histogram_gate(metric: str, p: float) -> Gate:
    """Return the gate on a percentile of a histogram: not in the open last bin, and enough values below it."""

    def gate(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
        found = [_quantile(result, metric, p) for result in results]
        return tail((quantile.n for quantile in found), p, inside=not any(quantile.censored for quantile in found))

    return gate


def sample_gate(series: Callable[[StepResult], Series], p: float) -> Gate:
    """Return the gate on a percentile of a plain sample."""
    return lambda results, policy: tail((count(series(result)) for result in results), p)


def tail(counts: Iterable[float], p: float, *, inside: bool = True) -> tuple[Check, ...]:
    """Return whether percentile `p` is inside the histogram, and whether the smallest step has values enough for it."""
    least, wanted = min(counts), needed(exact_share(p))
    return (Check("not censored", inside, None, None, "" if inside else "the percentile lies beyond the last bin"),
            Check("tail sampled", True if least >= wanted else None, float(least), float(wanted),
                  f"values in the smallest step; p{100 * p:g} needs {wanted}"))


def _quantile(result: StepResult, metric: str, p: float) -> HistQuantile:
    return hist_quantile(merged(result, metric), p)

