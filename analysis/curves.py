"""Latency distributions out of runs: histograms of all rounds merged bin by bin, with the edges of the bins kept.

A quantile is a bin: the smallest value with at least p * N values at or below it (type 1) lies between `low` and
`high`. The last bin of a layout is open; what fell into it is known only to be at least `low`. Values that came without
a layout are taken as they are, so their bins have no width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.rows import Material, Party, natural
from harness.model import Run, Series, Status, StepResult
from harness.stats import FioLayout

Floats = NDArray[np.float64]
PER_TAIL = 100.0  # values that must lie beyond a percentile before it is shown
SHAPES = ("", "histogram", "sample")  # kinds of series (label stat) that hold a distribution
# labels that say how a series was made, not what it is of
STATED = frozenset({"block", "direct", "engine", "layout", "note", "resolution", "size", "source", "stat", "tool",
                    "where", "window"})
OVERFLOW = {"scheduling.latency": "scheduling.overflow"}  # values beyond the last bin, counted apart by the tool


@dataclass(frozen=True, eq=False)
class Distribution:
    """Counts of values in bins, ascending: representative, lowest and highest value of each, in base units."""

    values: Floats
    low: Floats
    high: Floats
    counts: Floats
    censored: bool = False

    @property
    def n(self) -> int:
        """Return how many values there are."""
        return int(self.counts.sum())

    @property
    def deepest(self) -> float:
        """Return the largest p with at least PER_TAIL values beyond it; below 0 if there is none."""
        return 1.0 - PER_TAIL / self.n if self.n else -1.0

    def at(self, shares: Floats) -> NDArray[np.int64]:
        """Return the bin of each quantile; shares in [0, 1]."""
        reached = np.cumsum(self.counts)
        ranks = np.clip(np.ceil(np.round(shares * self.n, 6)), 1, self.n)
        return np.searchsorted(reached, ranks).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Curve:
    """What one party showed in one arm of a point: all rounds merged, and each round for itself."""

    party: Party
    arm: str
    whole: Distribution
    rounds: tuple[Distribution, ...]


@dataclass(frozen=True, eq=False)
class Family:
    """Curves that belong into one picture: same stage, point, metric and labels."""

    stage: str
    point: str
    metric: str
    labels: str
    curves: tuple[Curve, ...]


def families(material: Material, metrics: Sequence[str] = ()) -> list[Family]:
    """Return the latency distributions of all runs, guests only, warm-ups left out; `metrics` restricts them."""
    found: dict[tuple[str, str, str, str], dict[tuple[int, str], list[Distribution]]] = {}
    for party, result in measured(material):
        for series in result.series:
            if not _is_latency(series) or (metrics and series.metric not in metrics):
                continue
            key = (result.step.stage, result.step.point, series.metric, labels(series))
            rounds = found.setdefault(key, {}).setdefault((party.index, arm(result)), [])
            rounds.append(read(series, _beyond(result, series)))
    ordered = sorted(found.items(), key=lambda item: (item[0][0], natural(item[0][1]), item[0][2:]))
    return [Family(*key, curves=tuple(Curve(material.parties[index], name, merged(rounds), tuple(rounds))
                                      for (index, name), rounds in sorted(members.items())))
            for key, members in ordered]


def measured(material: Material) -> Iterator[tuple[Party, StepResult]]:
    """Yield the finished steps that were no warm-up, and those of arms other than the host below the guest."""
    for run in material.runs:
        party = material.party(run.plan.target)
        for result in _finished(run):
            if result.step.arm.get("where", "guest") == "guest":
                yield party, result


def read(series: Series, beyond: float = 0.0) -> Distribution:
    """Return the distribution that a series holds; `beyond` values more lie above its last bin."""
    values, counts = _added(np.asarray(series.values), np.asarray(series.weights or np.ones(len(series.values))))
    layout, half = series.labels.get("layout", ""), float(series.labels.get("resolution", 0.0)) / 2
    if layout == "fio":
        return _fio(values, counts)
    low, high = (values, values + 1e-6) if layout == "us" else (np.maximum(values - half, 0.0), values + half)
    if beyond:
        values, low, high = (np.append(column, high[-1]) for column in (values, low, high))
        counts = np.append(counts, beyond)
    return Distribution(values, low, high, counts, bool(beyond))


def merged(parts: Sequence[Distribution]) -> Distribution:
    """Add distributions of one metric bin by bin; an open last bin of any of them stays open."""
    whole = [np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "low", "high", "counts")]
    values, first, where = np.unique(whole[0], return_index=True, return_inverse=True)
    counts = np.bincount(where, weights=whole[3]).astype(np.float64)
    return Distribution(values, whole[1][first], whole[2][first], counts, any(part.censored for part in parts))


def labels(series: Series) -> str:
    """Return the labels that tell a series from others of its metric, as one text."""
    return ", ".join(f"{key}={value}" for key, value in sorted(series.labels.items()) if key not in STATED)


def arm(result: StepResult) -> str:
    """Return the arm of a step as text, without the guest-or-host arm."""
    return ", ".join(f"{key}={value}" for key, value in sorted(result.step.arm.items()) if key != "where")


def _finished(run: Run) -> Iterator[StepResult]:
    return (result for result in run.results if result.status is Status.DONE and not result.step.warmup)


def _is_latency(series: Series) -> bool:
    if "level" in series.labels:
        return False    # levels of load have charts of their own
    shape = series.labels.get("stat", "") in SHAPES and (len(series.values) > 1 or bool(series.weights))
    return shape and series.metric.endswith(".latency") and series.unit == "s" and sum(series.weights or (1.0,)) > 0


def _beyond(result: StepResult, series: Series) -> float:
    """Return how many values the tool counted above the last bin of a histogram."""
    name = OVERFLOW.get(series.metric, "")
    return sum(sum(other.values) for other in result.series if other.metric == name)


def _fio(values: Floats, counts: Floats) -> Distribution:
    layout = FioLayout()
    at = layout.index(np.rint(values * 1e9).astype(np.int64))
    low, width = layout.edges(at)
    censored = bool(at[-1] == layout.clamp_index)
    return Distribution(layout.key(at) / 1e9, low / 1e9, (low + width - 1) / 1e9, counts, censored)


def _added(values: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return the distinct values, ascending, with the sum of their counts; what counted nothing is left out."""
    distinct, where = np.unique(values, return_inverse=True)
    total = np.bincount(where, weights=counts).astype(np.float64)
    return distinct[total > 0], total[total > 0]
