"""From samples of cumulative counters to series of shares and rates: pure arithmetic for hosts and guests alike.

A counter that went backwards (a disk or interface was taken away) gives no value for that interval, rather than a
wrong one; the kernel's idle and iowait ticks, which may run backwards by a few, count as standing still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from harness.model import Series

TICKS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
SHARES = {
    "cpu.busy": ("user", "nice", "system", "irq", "softirq"),
    "cpu.user": ("user", "nice"),
    "cpu.system": ("system", "irq", "softirq"),
    "cpu.iowait": ("iowait",),
    "cpu.steal": ("steal",),
}
# Counter -> unit of its rate. Counters in s per s are shares: of one core (controller.cpu), of time (cpu.throttled).
RATES = {
    "cpu.switches": "1/s", "cpu.throttled": "1", "controller.cpu": "1", "swap.in": "B/s", "swap.out": "B/s",
    "disk.read": "B/s", "disk.written": "B/s", "net.received": "B/s", "net.sent": "B/s",
}
LEVELS = {"memory.used": "B", "cpu.frequency": "1/s", "controller.lag": "s"}


class Sample(NamedTuple):
    """What was read at one time (s): counters in s, B or events since boot, and levels as they were.

    A sample need not hold every counter: the dear ones are read less often.
    """

    time: float
    values: Mapping[str, float]


def series(samples: Sequence[Sample], labels: Mapping[str, str]) -> tuple[Series, ...]:
    """Return every metric that the samples admit; `controller.*` are always labelled source = controller."""
    found = {metric: ("1", list(shares(samples, ticks))) for metric, ticks in SHARES.items()}
    found |= {metric: (unit, list(rates(samples, metric))) for metric, unit in RATES.items()}
    found |= {metric: (unit, list(levels(samples, metric))) for metric, unit in LEVELS.items()}
    return tuple(_series(metric, unit, points, labels) for metric, (unit, points) in found.items() if points)


def shares(samples: Sequence[Sample], ticks: Sequence[str]) -> Iterator[tuple[float, float]]:
    """Yield (time, share of all CPU time spent in `ticks`) for each interval in which the counters moved at all."""
    known = [sample for sample in samples if "idle" in sample.values]
    for before, after in pairwise(known):
        spent = _spent(before, after)
        if total := sum(spent.values()):
            yield after.time, sum(spent[tick] for tick in ticks) / total


def rates(samples: Sequence[Sample], counter: str) -> Iterator[tuple[float, float]]:
    """Yield (time, rise of the counter per second) for each interval in which it did not go backwards."""
    known = [sample for sample in samples if counter in sample.values]
    for before, after in pairwise(known):
        rise = after.values[counter] - before.values[counter]
        if after.time > before.time and rise >= 0:
            yield after.time, rise / (after.time - before.time)


def levels(samples: Sequence[Sample], level: str) -> Iterator[tuple[float, float]]:
    """Yield (time, level)."""
    return ((sample.time, sample.values[level]) for sample in samples if level in sample.values)


def window(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the shares and rates over the whole of the samples, from the first and the last of each counter.

    These are the numbers to judge by: a mean of shares of short intervals would weigh all of them alike.
    """
    found = {metric: list(shares(_ends(samples, "idle"), ticks)) for metric, ticks in SHARES.items()}
    found |= {counter: list(rates(_ends(samples, counter), counter)) for counter in RATES}
    return {metric: points[0][1] for metric, points in found.items() if points}


def rise(samples: Sequence[Sample], counter: str) -> float | None:
    """Return how much a counter rose over all samples; None if it was not read twice or went backwards."""
    ends = _ends(samples, counter)
    risen = ends[-1].values[counter] - ends[0].values[counter] if ends else -1.0
    return risen if risen >= 0 else None


def _ends(samples: Sequence[Sample], counter: str) -> list[Sample]:
    known = [sample for sample in samples if counter in sample.values]
    return [known[0], known[-1]] if len(known) > 1 else []


def _spent(before: Sample, after: Sample) -> dict[str, float]:
    return {tick: max(0.0, after.values.get(tick, 0.0) - before.values.get(tick, 0.0)) for tick in TICKS}


def _series(metric: str, unit: str, points: Sequence[tuple[float, float]], labels: Mapping[str, str]) -> Series:
    times, values = zip(*points, strict=True)
    own = {"source": "controller"} if metric.startswith("controller.") else dict(labels)
    return Series(metric=metric, unit=unit, values=values, times=times, labels=own)
