"""Histories: the same scenario on the same target, run after run; where the level of an indicator changed. Pure.

The one thing to know: one run is one point, the estimate of its rounds, in the order in which runs were made. Only a
change that holds to the last run is an alarm, at a false discovery rate of 5 % over all series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness import comparability, stats, verdict
from harness.comparability import Difference
from harness.errors import InputError
from harness.model import Finding, Run
from harness.regression.allowance import Allowance
from harness.regression.contrast import Contrast, contrast, effect, is_share, relative
from harness.stats.history import despike
from harness.stats.inputs import array
from harness.stats.records import DEFAULT_POLICY, Direction, StatsPolicy, Verdict

FEWEST = 10  # runs, below which no change can be shown at 1 %
NAMED = {"version": "target.version", "revision": "controller.virtmark.revision"}


class Point(NamedTuple):
    """One run in a series: what it is called, when it began, its estimate with interval and rounds."""

    label: str
    created: str
    folder: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A change of level: `first` is the index of the first run after it, `suspects` the labels between which it lies.

    `before` and `after` are medians; `contrast` is how much worse the later level is, by means of logs, each run a
    replicate. `also` is what else changed between the runs before and after. `alarm`: it is worse, by more than is
    tolerated, and holds to the last run.
    """

    first: int
    before: float
    after: float
    contrast: Contrast
    p: float
    at_head: bool
    alarm: bool
    suspects: tuple[str, str]
    also: tuple[Difference, ...] = ()

    @property
    def loss(self) -> tuple[float, float, float]:
        """Return how much worse, with the 95 % interval, as shares (0.05: 5 %), for shares as differences."""
        its = self.contrast
        return relative(its.loss, its.scale), relative(its.low, its.scale), relative(its.high, its.scale)

    @property
    def worse(self) -> bool:
        """Say whether the later level is the worse one."""
        return self.contrast.loss > 0


@dataclass(frozen=True, kw_only=True)
class Series:
    """An indicator at a point through the runs of a history; `skipped` are runs without a number that counts."""

    target: str
    scenario: str
    indicator: str
    point: str
    unit: str
    direction: Direction
    share: bool
    points: tuple[Point, ...]
    shifts: tuple[Shift, ...] = ()
    spikes: tuple[int, ...] = ()
    skipped: tuple[str, ...] = ()
    floor: float = 0.0
    accelerator: str = ""
    simulated: bool = False

    @property
    def name(self) -> str:
        """Return the name of the series, unique in a history."""
        return " ".join(filter(None, (self.target, self.scenario, self.indicator, self.point)))


@dataclass(frozen=True, kw_only=True)
class Histories:
    """All series of a folder; `label` is the fact that names runs, "" where they are named by their time."""

    series: tuple[Series, ...]
    label: str
    runs: int
    simulated: bool = False
    warnings: tuple[str, ...] = ()
    fdr: float = DEFAULT_POLICY.fdr
    alpha: float = DEFAULT_POLICY.alarm_alpha

    @property
    def exit_code(self) -> int:
        """1 something became worse and stayed so; 3 no series is long enough to tell; else 0."""
        if any(shift.alarm for one in self.series for shift in one.shifts):
            return 1
        return 0 if any(len(one.points) >= FEWEST for one in self.series) else 3


def history(runs: Mapping[str, Run], allowance: Allowance | None = None, *, by: str = "",
            policy: StatsPolicy = DEFAULT_POLICY) -> Histories:
    """Return the series of `runs`, by folder, with their changes; `by` is version, revision, or a fact as machine.key.

    Without `by` runs are named by the version of the target where it changes, else by virtmark's revision where that
    does, else by their time. InputError if there is no run, or no run tells the fact.
    """
    if not runs:
        raise InputError("there are no runs; name a folder that holds some")
    allowance = allowance or Allowance()
    ordered = dict(sorted(runs.items(), key=lambda item: (item[1].created, item[0])))
    key = _label_key(list(ordered.values()), by)
    bare = _series(ordered, key, allowance)
    usable = {one.name: [point.value for point in one.points] for one in bare if len(one.points) >= 2}
    floors = {one.name: one.floor for one in bare if one.name in usable}
    heads = stats.alarms(usable, floor=floors, policy=policy)
    everyone = list(ordered.items())
    series = tuple(_segmented(one, heads.get(one.name), everyone, allowance, policy) for one in bare)
    short = sum(len(one.points) < FEWEST for one in series)
    said = f"short: {short} of {len(series)} series have fewer than {FEWEST} runs; no change can be shown in them"
    return Histories(
        series=series, label=key, runs=len(runs), warnings=(said,) * bool(short),
        simulated=any(run.facts.get("target", {}).get("simulated") == "true" for run in runs.values()),
        fdr=policy.fdr, alpha=policy.alarm_alpha)


def fact(run: Run, key: str) -> str:
    """Return a fact of a run by machine.key, such as target.version; "" if it is not told."""
    machine = max((name for name in run.facts if key.startswith(f"{name}.")), key=len, default="")
    return run.facts[machine].get(key.removeprefix(f"{machine}."), "") if machine else ""


def _label_key(runs: Sequence[Run], by: str) -> str:
    if by:
        key = NAMED.get(by, by)
        if not any(fact(run, key) for run in runs):
            there = sorted(f"{machine}.{name}" for machine, facts in runs[-1].facts.items() for name in facts)
            raise InputError(f"no run tells {key!r}; there are: {', '.join(there) or 'no facts'}")
        return key
    return next((key for key in NAMED.values() if len({fact(run, key) for run in runs} - {""}) > 1), "")


def _series(runs: Mapping[str, Run], key: str, allowance: Allowance) -> list[Series]:
    """Return the series without changes, ordered by target, scenario, indicator and point."""
    found: dict[tuple[str, ...], list[tuple[str, Run, Finding]]] = {}
    for folder, run in runs.items():
        for one in verdict.judge([run]):
            name = (run.plan.target, run.plan.scenario.name, one.indicator, one.point)
            found.setdefault(name, []).append((folder, run, one))
    made = []
    for (target, scenario, indicator, point), its in sorted(found.items()):
        good = [(folder, run, one.estimate) for folder, run, one in its
                if one.verdict is Verdict.MEASURED and one.estimate and abs(one.estimate.estimate) != float("inf")]
        if not good or good[-1][2].direction is Direction.TARGET:
            continue
        points = tuple(Point(fact(run, key) or run.created, run.created, folder, its.estimate, its.ci.lo, its.ci.hi,
                             its.n) for folder, run, its in good)
        used, facts = {folder for folder, _, _ in good}, good[-1][1].facts.get("target", {})
        made.append(Series(target=target, scenario=scenario, indicator=indicator, point=point, unit=good[-1][2].unit,
                           direction=good[-1][2].direction, share=is_share(good[-1][2]), points=points,
                           floor=allowance.floor_of(indicator, point).share, accelerator=facts.get("accelerator", ""),
                           simulated=facts.get("simulated") == "true",
                           skipped=tuple(f"{folder}: {one.verdict.name}" for folder, _, one in its
                                         if folder not in used)))
    return made


def _segmented(series: Series, head: stats.Change | None, runs: Sequence[tuple[str, Run]], allowance: Allowance,
               policy: StatsPolicy) -> Series:
    """Return a series with its changes; `head` is the alarm that holds over all series, if there is one."""
    values = [point.value for point in series.points]
    if len(values) < 2:
        return series
    found = stats.segment_history(values, floor=series.floor, seed=series.name, policy=policy)
    edges = [0, *(change.index for change in found), len(values)]
    limit = allowance.limit(series.indicator, series.point)
    shifts = tuple(
        _shift(series, change, contrast(values[at:end], values[start:at], direction=series.direction,
                                        share=series.share),
               head, dict(runs), limit)
        for change, start, at, end in zip(found, edges, edges[1:], edges[2:], strict=False))
    spikes = despike(array(values, "values"))[1]
    return replace(series, shifts=shifts, spikes=spikes)


def _shift(series: Series, change: stats.Change, its: Contrast, head: stats.Change | None, runs: Mapping[str, Run],
           limit: float) -> Shift:
    points, at = series.points, change.index
    one, other = (runs[points[index].folder] for index in (at - 1, at))
    alarm = change.at_head and head is not None and head.index == at and its.loss > effect(limit, its.scale)
    last = min(at + 1, len(points) - 1)
    return Shift(first=at, before=change.before, after=change.after, contrast=its, p=change.p,
                 at_head=change.at_head, alarm=alarm, suspects=(points[at - 1].label, points[last].label),
                 also=(*comparability.differences(one, other, same_product=True),
                       *(each for each in comparability.noted(one, other) if each.key != "campaign")))


__all__ = ["FEWEST", "Histories", "Point", "Series", "Shift", "fact", "history"]
