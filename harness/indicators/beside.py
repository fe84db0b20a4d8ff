"""Load beside any workload (a stage's `background`): what the users of a service had of a move, a failure or hard work.

The one thing to know: shares are those of the requests that were due while an event of the step went on (a move; a
fault until service or healing; a pause, a cut); a step without events is one whole event. A service that ends with its
guest's boot never answers again: that is told as a warning, and what is counted in the windows stays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import probing, stats
from harness.errors import Unsupported
from harness.history import NEVER, Columns, columns
from harness.indicators.base import BACKGROUND, Evaluated, Indicator, Method, finished, pick
from harness.indicators.events import LOAD, MARGIN, Tally, Timed, longest, part, times, worst
from harness.indicators.percentiles import tail
from harness.indicators.probing import LENGTHS, LOSS
from harness.model import Event, History, Outcome, Status, Step, StepResult
from harness.stats.histograms import HistQuantile, LatencyHistogram, hist_quantile
from harness.stats.records import Check, Direction, StatsPolicy

BEGINNING = 1.0     # s of a history in which all begins, and nothing is ordinary yet
SILENT = 1.0        # s of requests that failed to the end which are no chance
FEWEST = 3          # nor are so many of them
P = 0.99
Window = tuple[float, float]


def history(result: StepResult) -> History:
    """Return every request of the load beside a step; ValueError where there was none."""
    found = [each for each in result.histories if each.kind == LOAD and each.count]
    if len(found) != 1:
        raise ValueError(f"{result.step.id}: {len(found)} histories of load beside it; there must be one")
    return found[0]


def windows(result: StepResult) -> list[Window]:
    """Return from when to when (s) each event of a step went on, in order; empty where there was none.

    A fault lasts until the service was found to be back, or else until it was healed, or for good.
    """
    found = sorted((event for event in result.events if event.actor in ("fault", "migration")
                     and event.action != "healed"), key=lambda event: event.start)
    ends = [*(event.start for event in found), math.inf][1:]
    return [(event.start, _over(event, result.events, after)) for event, after in zip(found, ends, strict=False)]


def _over(event: Event, events: Sequence[Event], after: float) -> float:
    """Return when an event was over; the next one begins at `after`."""
    if event.actor == "migration" or event.action in (*LENGTHS, LOSS):
        return event.end
    inside = [each for each in events if event.start <= each.start < after]
    for actor, action in (("ha", "served"), ("fault", "healed")):
        if found := [each for each in inside if (each.actor, each.action) == (actor, action)]:
            return found[0].end if found[0].outcome is Outcome.OK else after
    return after


def late(result: StepResult) -> int:
    """Return the latency in ns beyond which an answer is slow: the longest before the first event, or, without events,
    what is ordinary in the step."""
    seen, its = history(result), windows(result)
    if its:
        return probing.slowest(seen, its[0][0] - MARGIN / 2, since=BEGINNING)
    return probing.late_after(columns(seen), seen.interval)


def inside(result: StepResult) -> Columns:
    """Return the requests that were due while an event went on; without events, all."""
    seen, its = columns(history(result)), windows(result)
    if not its:
        return seen
    due = seen.sent / 1e9       # in this history the latency, too, counts from when a request was due
    during: npt.NDArray[np.bool_] = np.any([(due >= begin) & (due <= end) for begin, end in its], axis=0)
    return Columns(*(column[during] for column in seen))


def failed(result: StepResult) -> Tally:
    """Return how many requests of those during the events had no good answer."""
    during = inside(result)
    return Tally(int((during.latency == NEVER).sum()), during.latency.size)


def slow(result: StepResult) -> Tally:
    """Return how many requests of those during the events were answered, but late."""
    during = inside(result)
    return Tally(int((during.latency > late(result)).sum()), during.latency.size)


def interrupted(result: StepResult) -> Iterator[Timed]:
    """Yield how long the load was without an answer around each event, with bounds; one that nobody noticed was shorter
    than two intervals and the longest ordinary latency. +inf where no answer came again."""
    seen, most = history(result), late(result)
    found, shortest = probing.outages(seen, late=most), 2 * seen.interval + most / 1e9
    for begin, end in windows(result):
        yield longest(found, begin, end) or Timed(0.0, 0.0, shortest)


def quantile(results: Sequence[StepResult]) -> HistQuantile:
    """Return the 99th percentile of all response times of these steps; a request that failed counts as slower than all
    others."""
    parts = [each for result in results for each in pick(result, "app.latency", stat="beside")]
    answered = LatencyHistogram.from_seconds([key for each in parts for key in each.values],
                                             [count for each in parts for count in each.weights])
    total = round(sum(each.values[0] for result in results for each in pick(result, "app.requests", stat="beside")))
    counts = np.array(answered.counts)
    counts[answered.layout.clamp_index] += total - answered.n
    return hist_quantile(LatencyHistogram(answered.layout, counts, total), P)


def silent(results: Sequence[StepResult]) -> Iterable[str]:
    """Yield after which moment no request of a step was answered any more, to the end."""
    for result in results:
        if result.status is not Status.DONE:
            continue
        seen = columns(history(result))
        good = np.flatnonzero(seen.latency != NEVER)
        rest = seen.sent[int(good[-1]) + 1 if good.size else 0:] / 1e9
        if rest.size >= FEWEST and rest[-1] - rest[0] >= SILENT:
            yield (f"{result.step.id}: from {rest[0]:.1f} s on all {rest.size} requests failed, to the end; a page "
                   "that a guest serves is gone with its boot")


def together(results: Sequence[StepResult]) -> Iterable[str]:
    """Yield what a reader of a share must know."""
    yield "requests of one event fail together; the interval takes each for itself"
    yield from silent(results)


def on_schedule(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether the generator kept its time: 99 % of requests sent within half an interval of it."""
    return (probing.punctual([history(result) for result in results if result.status is Status.DONE]),)


def percentile(**row: Any) -> Indicator:
    """Return the indicator of the 99th percentile; the arms of a round, which are all loaded, are taken together.

    Not applicable where requests failed so often that it would lie among them.
    """
    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        done = [result for result in results if result.status is Status.DONE]
        found = {turn: quantile([result for result in done if result.step.round == turn])
                 for turn in sorted({result.step.round for result in done})}
        if censored := [turn for turn, each in found.items() if each.censored]:
            raise Unsupported(f"the percentile lies among the requests that failed, in {len(censored)} of {len(found)} "
                              "rounds")
        scores = {turn: each.mid / 1e9 for turn, each in found.items()}
        estimate = stats.gm_ci(list(scores.values()), unit=row["unit"], direction=row["direction"],
                               indicator_id=row["id"], measurand=row["name"], policy=policy,
                               u_b={"bin width": max(each.u_b for each in found.values()) / 1e9})
        sampled = partial(tail, [each.n for each in found.values()], P)
        method = Method(score=lambda result: math.nan, warn=silent,
                        gates=(on_schedule, lambda results, policy: sampled()))
        return finished(estimate, scores, method, results, policy)

    return Indicator(evaluate=evaluate, **row)


def every(step: Step) -> bool:
    """Take every step."""
    return True


def around(make: Callable[..., Indicator], **row: Any) -> Indicator:
    """Return the indicator of the interruption around events, not applicable where there were none."""
    made = make(lambda result: list(interrupted(result)), gates=(on_schedule,), warn=silent, **row)

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        if not any(map(windows, results)):
            raise Unsupported("nothing happened to the service in these steps: no move, no fault")
        return made.evaluate(results, policy)

    return dataclasses.replace(made, evaluate=evaluate)


COMMON: dict[str, Any] = {"area": "application", "workload": BACKGROUND, "direction": Direction.LOWER_IS_BETTER,
                          "applies": every}
SOURCE = "virtmark: open-model load beside the workload, seen from outside"
INDICATORS: tuple[Indicator, ...] = (
    part(failed, "requests failed or lost", gates=(on_schedule,), warn=together, id="LOAD-01", unit="1", **COMMON,
         name="Requests failed or lost during events", name_zh="事件期间请求失败或丢失率", source=SOURCE,
         definition="Share of the requests beside a workload, due while an event went on (without events: in the "
                    "whole step), that were refused, answered by an error, or not answered in time."),
    part(slow, "requests slow", gates=(on_schedule,), warn=together, id="LOAD-02", unit="1", **COMMON,
         name="Slow requests during events", name_zh="事件期间慢请求率", source=SOURCE,
         definition="Share of the requests beside a workload, due while an event went on (without events: in the "
                    "whole step), that were answered later than any before the first event."),
    around(times, id="LOAD-03", unit="s", **COMMON, name="Interruption seen by the load",
           name_zh="背景负载所见中断时间", source="virtmark: outages of a scheduled probe",
           definition="Longest time around an event in which no request beside a workload was answered in time."),
    around(worst, id="LOAD-03.worst", unit="s", **COMMON, name="Interruption seen by the load, bound of 95 % of events",
           name_zh="背景负载所见中断时间（95%容许限）", source="virtmark; ISO 16269-6",
           definition="What 95 % of all interruptions seen by the load stay below, with 95 % confidence."),
    percentile(id="LOAD-04", unit="s", **COMMON, name="Response time beside other work, 99th percentile",
               name_zh="背景负载响应时间（P99）",
               source="SPECvirt Datacenter 2021, quality of service; wrk2, coordinated omission",
               definition="99th percentile over a step of the time from when a request beside a workload was due to "
                          "the end of its answer; one that failed counts as slower than any other."),
)
