"""Time series out of runs: what a step measured second by second, what of it was steady, how busy its machines were.

The steady part is judged here as `harness.stats.steady_state` judges it: SNIA's criterion, change points and trend. A
series too short for these criteria has no steady window, and says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.curves import arm, labels, measured
from analysis.rows import Material, Party, natural
from harness.indicators import beside
from harness.model import Series, StepResult
from harness.stats import steady_state

Floats = NDArray[np.float64]
FEWEST = 8  # points that make a line worth drawing
CUT = frozenset({"disk.rate"})  # metrics of which indicators score the steady part alone
AROUND = (("host", "cpu.busy"), ("host", "cpu.steal"), ("guest", "cpu.busy"), ("guest", "cpu.steal"))


@dataclass(frozen=True, eq=False)
class Line:
    """Values over seconds since the step began."""

    times: Floats
    values: Floats


@dataclass(frozen=True, eq=False)
class Trace:
    """One round of one party: the measured line, what of it was steady (None: not judged), and telemetry around it.

    Measuring began at `begin`; whatever the step did before (filling, a ramp) was never part of the numbers. The steady
    part starts at `start`; `kind` is flat, warmup, slowdown, no steady state or too short. `events` are from when to
    when something happened (a move, a fault). Times in s since the step began.
    """

    round: int
    line: Line
    kind: str
    begin: float
    start: float
    steady: bool | None
    around: tuple[tuple[str, Line], ...]
    events: tuple[tuple[float, float], ...] = ()

    @property
    def level(self) -> float:
        """Return the median of the steady part."""
        return float(np.median(self.line.values[self.line.times > self.start]))


@dataclass(frozen=True, eq=False)
class Lane:
    """All rounds of one party in one arm."""

    party: Party
    arm: str
    metric: str
    traces: tuple[Trace, ...]

    @property
    def cut(self) -> float:
        """Return how many s after measuring began the scores begin: alike in all rounds, once the last is steady.

        0 where a round never became steady, or where no indicator cuts the metric.
        """
        steady = self.metric in CUT and all(trace.steady for trace in self.traces)
        return max(trace.start - trace.begin for trace in self.traces) if steady else 0.0

    @property
    def typical(self) -> Trace:
        """Return the round with the median level: the one to look at closely."""
        ordered = sorted(self.traces, key=lambda trace: (trace.level, trace.round))
        return ordered[(len(ordered) - 1) // 2]


@dataclass(frozen=True, eq=False)
class Track:
    """Lanes that belong into one picture: same stage, point, metric and labels."""

    stage: str
    point: str
    metric: str
    labels: str
    unit: str
    lanes: tuple[Lane, ...]


def tracks(material: Material) -> list[Track]:
    """Return the time series of all runs, guests only, warm-ups left out."""
    found: dict[tuple[str, str, str, str, str], dict[tuple[int, str], list[Trace]]] = {}
    for party, result in measured(material):
        for series in lines(result):
            key = (result.step.stage, result.step.point, series.metric, labels(series), series.unit)
            found.setdefault(key, {}).setdefault((party.index, arm(result)), []).append(trace(result, series))
    ordered = sorted(found.items(), key=lambda item: (item[0][0], natural(item[0][1]), item[0][2:]))
    return [Track(*key, lanes=tuple(_lane(material.parties[index], name, key[2], rounds)
                                    for (index, name), rounds in sorted(members.items())))
            for key, members in ordered]


def trace(result: StepResult, series: Series) -> Trace:
    """Return one time series with its steady window."""
    line = Line(np.asarray(series.times), np.asarray(series.values))
    spacing = float(np.median(np.diff(line.times)))
    judged = steady_state(line.values, spacing, unit=series.unit)
    begin = max(float(line.times[0]) - spacing, 0.0)
    start = float(line.times[judged.start - 1]) if judged.start else begin
    return Trace(result.step.round, line, judged.kind, begin, start, judged.steady, tuple(_around(result)),
                 tuple(beside.windows(result)))


def _lane(party: Party, name: str, metric: str, rounds: list[Trace]) -> Lane:
    return Lane(party, name, metric, tuple(sorted(rounds, key=lambda one: one.round)))


def lines(result: StepResult) -> Iterator[Series]:
    """Yield the series over time of a step; the directions (label op) of one metric are added, as indicators do."""
    found: dict[tuple[str, str], list[Series]] = {}
    for series in result.series:
        if series.times and not series.weights and series.labels.get("stat", "series") == "series":
            rest = ", ".join(f"{key}={value}" for key, value in sorted(series.labels.items()) if key != "op")
            found.setdefault((series.metric, rest), []).append(series)
    for parts in found.values():
        whole = parts[0] if len(parts) == 1 else _sum(parts)
        if len(whole.times) >= FEWEST and all(a < b for a, b in itertools.pairwise(whole.times)):
            yield whole


def _sum(parts: list[Series]) -> Series:
    """Add series at the times that all of them have."""
    columns = [dict(zip(part.times, part.values, strict=True)) for part in parts]
    times = tuple(sorted(set.intersection(*map(set, columns))))
    ops = " + ".join(sorted({part.labels["op"] for part in parts if "op" in part.labels}))
    return Series(metric=parts[0].metric, unit=parts[0].unit, times=times, labels=parts[0].labels | {"op": ops},
                  values=tuple(sum(column[time] for column in columns) for time in times))


def _around(result: StepResult) -> Iterator[tuple[str, Line]]:
    for source, metric in AROUND:
        for series in result.telemetry:
            if series.metric == metric and series.labels.get("source", "") == source and series.times:
                yield f"{source} {metric}", Line(np.asarray(series.times), np.asarray(series.values))
                break
