"""What a load on a service showed, level by level: offered and sent, answered and failed, and how long answers took.

The one thing to know: a request that failed has no response time, so it counts as slower than every one that was
answered; else a service that turns requests away would look fast. And a level whose requests did not leave as planned
says nothing of the service: it is saturated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.model import Series
from harness.stats.histograms import HistQuantile, LatencyHistogram, hist_quantile

Floats = NDArray[np.float64]
REACHED = 0.99      # share of what was due in a second that must have been sent in it
WORST = 1.0         # one more may have crossed the border of two seconds
AGAIN = " (again)"  # behind the name of a level that was tried a second time, since the generator had fallen behind


@dataclass(frozen=True, eq=False)
class Level:
    """One level of load: `offered` is its mean rate in 1/s (closed model: what was sent), `seconds` how long it was on.

    `due`, `sent` and `served` count the requests of each whole second, and the good answers that came in it. `answered`
    holds those that were answered well, whenever that was, in ns; `failed` are all others of `requests`. `lost` workers
    died before the end; the rate of their clocks is known to a share `drift`.
    """

    name: str
    model: str
    offered: float
    seconds: float
    requests: int
    failed: int
    answered: LatencyHistogram
    due: Floats
    sent: Floats
    served: Floats
    lost: int = 0
    drift: float = 0.0

    @property
    def good(self) -> float:
        """Return the rate of the requests that were answered well, be it after the level was over, in 1/s."""
        return self.answered.n / self.seconds

    @property
    def rate(self) -> float:
        """Return the rate at which good answers came while the level was on, in 1/s."""
        return float(self.served.mean()) if self.served.size else self.good

    @property
    def errors(self) -> float:
        """Return the share of requests that failed."""
        return self.failed / self.requests if self.requests else 1.0

    @property
    def short(self) -> int:
        """Return in how many seconds less than 99 % of what was due was sent; one request at the border is allowed."""
        return int(np.sum(self.sent < REACHED * self.due - WORST)) if self.model == "open" else 0

    def quantile(self, p: float) -> HistQuantile:
        """Return a percentile of the response times; ValueError where nothing was sent."""
        return hist_quantile(self.whole, p)

    @property
    def whole(self) -> LatencyHistogram:
        """Return the response times with failed requests beyond all others, in the open last bin."""
        counts = np.array(self.answered.counts)
        counts[self.answered.layout.clamp_index] += self.failed
        return LatencyHistogram(self.answered.layout, counts, self.answered.n + self.failed)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a service must keep to: `quantile` of the response times within `limit` s, and a share of `errors`."""

    limit: float
    quantile: float
    errors: float

    def missed(self, level: Level) -> str:
        """Return why a level misses it: "errors" or "latency"; "" where it keeps to it."""
        if level.errors > self.errors:
            return "errors"
        found = level.quantile(round(self.quantile, 9))      # 95 % as it is read is a little more than 0.95
        return "latency" if found.censored or found.mid / 1e9 > self.limit else ""


@dataclass(frozen=True)
class Capacity:
    """The highest level within an objective (None: not even the lowest), the lowest beyond it, and what stopped it.

    `stopped`: latency, errors, generator (its requests did not leave as planned), or "" where no level was too high.
    """

    best: Level | None
    above: Level | None
    stopped: str


def capacity(levels: Sequence[Level], objective: Objective) -> Capacity:
    """Return what a search over levels found. A level above one that missed does not count, though it may have met."""
    best: Level | None = None
    for level in sorted(counted(levels), key=lambda each: each.offered):
        why = "generator" if level.short or level.lost else objective.missed(level)
        if why:
            return Capacity(best, level, why)
        best = level
    return Capacity(best, None, "")


def counted(levels: Sequence[Level]) -> list[Level]:
    """Return the levels that count: of one that was tried again the second try, for the first was the generator's."""
    twice = {level.name.removesuffix(AGAIN) for level in levels if level.name.endswith(AGAIN)}
    return [level for level in levels if level.name not in twice]


def levels(series: Iterable[Series]) -> list[Level]:
    """Return the levels that the series of a step hold, in the order in which they were tried."""
    found: dict[str, dict[tuple[str, str], Series]] = {}
    for each in series:
        if each.metric.startswith("app.") and "level" in each.labels:
            found.setdefault(each.labels["level"], {})[each.metric, each.labels.get("stat", "")] = each
    return [_level(name, parts) for name, parts in found.items()]


def _level(name: str, parts: dict[tuple[str, str], Series]) -> Level:
    def one(metric: str) -> float:
        return parts[metric, ""].values[0]

    def column(metric: str) -> Floats:
        return np.asarray(parts[metric, "seconds"].values) if (metric, "seconds") in parts else np.empty(0)

    bins = parts.get(("app.latency", "histogram"))
    answered = LatencyHistogram.from_seconds(bins.values, bins.weights) if bins else LatencyHistogram.from_bins([], [])
    requests, seconds = round(one("app.requests")), one("app.seconds")
    return Level(
        name=name, model=parts["app.requests", ""].labels["model"], offered=requests / seconds, seconds=seconds,
        requests=requests, failed=requests - answered.n, answered=answered, due=column("app.due"),
        sent=column("app.sent"), served=column("app.served"), lost=round(one("app.lost")), drift=one("app.drift"))


__all__ = ["AGAIN", "Capacity", "Level", "Objective", "capacity", "counted", "levels"]
