"""Estimates over events (moves, failures): their times, the worst of them, how many went well, what was lost.

The one thing to know: an event that never ended is +inf and stays in the sample. There is then no mean at all, only the
tolerance bound, which says what share of all events the worst of n speaks for. All arithmetic is `harness.stats`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from harness import probing, stats
from harness.indicators.base import Evaluated, Gate, Indicator, Method, finished, pick
from harness.model import Status, StepResult
from harness.stats.inputs import About
from harness.stats.outages import Outage
from harness.stats.records import Check, Direction, Estimate, StatsPolicy

T = TypeVar("T")
SHARE = 0.95    # of all events that a tolerance bound speaks for
MARGIN = 1.0    # s around an event in which an outage is taken for its own
LOAD = "load"   # the kind of the histories of load, each of whose requests is a probe


class Timed(NamedTuple):
    """How long one event took: estimate and bounds in s; +inf where it never ended."""

    value: float
    low: float
    high: float


class Tally(NamedTuple):
    """How many of how many: successes of trials, lost records of acknowledged ones."""

    number: int
    of: int


class Exposure(NamedTuple):
    """How long a service was up (s), and how long each of its failures kept it down (s; inf: for good)."""

    up: float
    downs: tuple[float, ...]


Times = Callable[[StepResult], Sequence[Timed]]
Tallied = Callable[[StepResult], Tally]
Exposed = Callable[[StepResult], Exposure]
Trouble = Callable[[Sequence[StepResult]], str]
Warned = Callable[[Sequence[StepResult]], Iterable[str]]


def fine(results: Sequence[StepResult]) -> str:
    """Return "": nothing makes these results a failure whatever their numbers."""
    return ""


def nothing(results: Sequence[StepResult]) -> tuple[str, ...]:
    """Return (): there is nothing that a reader of these results must know."""
    return ()


def on_time(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether the probers of all steps kept their time; nothing where there was none. Load that went on beside
    them has a gate of its own: its lateness is not theirs."""
    seen = [history for result in results for history in result.histories]
    seen = [history for history in seen if history.kind != LOAD] or seen
    return (probing.punctual(seen),) if seen else ()


def longest(found: Sequence[Outage], start: float, end: float) -> Timed | None:
    """Return the longest outage that touches an event; one that the record cuts off lasted to the record's end."""
    near = [each for each in found if each.start_s <= end + MARGIN
            and each.start_s + (each.lo_s if each.censored else each.hi_s) >= start - MARGIN / 2]
    most = max(near, key=lambda each: each.est_s, default=None)
    return Timed(most.est_s, most.lo_s, most.hi_s) if most else None


def times(of: Times, fail: Trouble = fine, gates: Sequence[Gate] = (), warn: Warned = nothing, **row: Any
          ) -> Indicator:
    """Return the indicator of how long events take: the geometric mean over rounds, each scored by that of its events.

    Where an event never ended, or took no time, the estimate is that of `worst`.
    """

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        found = _by_round(results, of)
        events = [event for its in found.values() for event in its]
        about = _about(row, policy)
        bound, said = _bound(events, len(found), about)
        said = (*said, *warn(results))
        scores = {turn: stats.gm_ci([event.value for event in its], policy=policy).estimate if _usual(its) else
                  max(event.value for event in its) for turn, its in found.items()}
        if not _usual(events):
            return _done(bound, scores, results, policy, said, fail(results), gates)
        width = max(event.high - event.low for event in events)
        about["u_b"] = {"spacing of probes": width / math.sqrt(24)} if 0 < width < math.inf else {}
        return _done(stats.gm_ci(list(scores.values()), **about), scores, results, policy, said, fail(results), gates)

    return Indicator(evaluate=evaluate, **row)


def worst(of: Times, fail: Trouble = fine, gates: Sequence[Gate] = (), warn: Warned = nothing, **row: Any
          ) -> Indicator:
    """Return the indicator of what 95 % of all events stay below: a bound on both sides, from the bounds of each."""

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        found = _by_round(results, of)
        bound, said = _bound([event for its in found.values() for event in its], len(found), _about(row, policy))
        scores = {turn: max(event.value for event in its) for turn, its in found.items()}
        return _done(bound, scores, results, policy, (*said, *warn(results)), fail(results), gates)

    return Indicator(evaluate=evaluate, **row)


def success(of: Tallied, fail: Trouble = fine, **row: Any) -> Indicator:
    """Return the indicator of the share of events that went well."""
    return part(of, "events that went well", fail, **row)


def lost(of: Tallied, fail: Trouble = fine, **row: Any) -> Indicator:
    """Return the indicator of the share of acknowledged records that were lost."""
    return part(of, "acknowledged records lost", fail, **row)


def wrong(of: Tallied, gates: Sequence[Gate] = (), **row: Any) -> Indicator:
    """Return the indicator of the share of probes that were told wrongly."""
    return part(of, "probes told wrongly", gates=gates, **row)


def part(of: Tallied, what: str, fail: Trouble = fine, gates: Sequence[Gate] = (), warn: Warned = nothing, **row: Any
         ) -> Indicator:
    """Return the indicator of a share, exact over all that was counted in all rounds; none still leaves a bound."""

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        totals = tallied(results, of)
        count, trials = sum(t.number for t in totals.values()), sum(t.of for t in totals.values())
        estimate = stats.proportion_ci(count, trials, **_about(row, policy))
        scores = {turn: tally.number / tally.of for turn, tally in totals.items() if tally.of}
        said = (f"counted: {count} of {trials} {what}", *warn(results))
        return _done(estimate, scores, results, policy, said, fail(results), gates)

    return Indicator(evaluate=evaluate, **row)


def tallied(results: Sequence[StepResult], of: Tallied) -> dict[int, Tally]:
    """Return what was counted in each round."""
    found = _by_round(results, lambda result: [of(result)])
    return {turn: Tally(sum(t.number for t in its), sum(t.of for t in its)) for turn, its in found.items()}


def available(of: Exposed, fail: Trouble = fine, gates: Sequence[Gate] = (), **row: Any) -> Indicator:
    """Return the indicator of availability under the failures that were made, from up time and every time down."""

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        found = {turn: Exposure(math.fsum(each.up for each in its), tuple(d for each in its for d in each.downs))
                 for turn, its in _by_round(results, lambda result: [of(result)]).items()}
        downs = [down for each in found.values() for down in each.downs]
        up = math.fsum(each.up for each in found.values())
        estimate = stats.availability(up, downs, len(downs), **_about(row, policy))
        scores = {turn: each.up / (each.up + math.fsum(each.downs)) for turn, each in found.items()}
        return _done(estimate, scores, results, policy, (), fail(results), gates)

    return Indicator(evaluate=evaluate, **row)


def measured(metric: str, ended: str = "", **labels: str) -> Times:
    """Return the times that a workload left as series: `metric`, bounds in `metric`.low and .high where it has any.

    `ended` is the metric that is 0 for an event which never ended; that one is +inf, whatever else is said of it.
    """

    def read(result: StepResult) -> list[Timed]:
        value, low, high = (_values(result, metric + end, labels) for end in ("", ".low", ".high"))
        if ended and (flags := _values(result, ended, labels)):
            never = flags.count(0.0)
            if len(value) + never < len(flags):
                raise ValueError(f"{result.step.id}: {len(flags) - never} events ended, {len(value)} times of {metric}")
        else:
            never = 0
        if {len(low), len(high)} - {0, len(value)}:
            raise ValueError(f"{result.step.id}: {metric} has {len(value)} times, {len(low)} and {len(high)} bounds")
        known = [Timed(*each) for each in zip(value, low or value, high or value, strict=True)]
        return [*known, *[Timed(math.inf, math.inf, math.inf)] * never]

    return read


def _values(result: StepResult, metric: str, labels: Mapping[str, str]) -> list[float]:
    return [value for series in pick(result, metric, **labels) for value in series.values]


def _bound(events: Sequence[Timed], rounds: int, about: About) -> tuple[Estimate, tuple[str, ...]]:
    """Return the tolerance bound of events as an estimate, and its sentence."""
    value, low, high = (np.array(column) for column in zip(*events, strict=True))
    confidence = about["policy"].confidence
    found = stats.tolerance_bound(value, SHARE, confidence, bounds=(low, high), **about)
    shared = f"shared: {len(events)} events in {rounds} rounds; those of one round share a boot"
    return found.estimate, (f"tolerance: {found.text}", *[shared] * (len(events) > rounds))


def _usual(events: Sequence[Timed]) -> bool:
    """Say whether a geometric mean of the events exists."""
    return all(0 < event.value < math.inf for event in events)


def _by_round(results: Sequence[StepResult], of: Callable[[StepResult], Sequence[T]]) -> dict[int, list[T]]:
    """Return the events of each round in order; ValueError if there are none at all."""
    found: dict[int, list[T]] = {}
    for result in sorted(results, key=lambda result: result.step.round):
        if result.status is Status.DONE and (events := of(result)):
            found.setdefault(result.step.round, []).extend(events)
    if not found:
        raise ValueError("no event was measured at this point")
    return found


def _about(row: Mapping[str, Any], policy: StatsPolicy) -> About:
    return About(unit=row["unit"], direction=Direction(row["direction"]), indicator_id=row["id"],
                 measurand=row["name"], policy=policy)


def _done(estimate: Estimate, scores: Mapping[int, float], results: Sequence[StepResult], policy: StatsPolicy,
          said: Sequence[str], fail: str, gates: Sequence[Gate] = ()) -> Evaluated:
    estimate = dataclasses.replace(estimate, warnings=(*estimate.warnings, *said))
    made = finished(estimate, scores, Method(score=lambda result: math.nan, gates=gates), results, policy)
    return dataclasses.replace(made, fail=fail)
