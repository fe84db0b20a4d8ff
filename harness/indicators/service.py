"""Services of several parts: a breaker that opens and closes, a replica that dies, limits, shares, and an update.

The one thing to know: all numbers are of requests, seen from outside, one by one. What took hold between two moments
gives a time with bounds; something that never came to its end is +inf and stays in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness import stats
from harness.history import NEVER, columns
from harness.indicators.base import Applies, Evaluated, Indicator, Method, finished, given, pick, quantity
from harness.indicators.events import LOAD, Tally, Timed, on_time, part, tallied, times
from harness.model import Event, Step, StepResult
from harness.stats.inputs import About
from harness.stats.records import Direction, StatsPolicy

DOWN = Direction.LOWER_IS_BETTER
GATEWAYS_OWN, BEYOND_LIMIT = "status 503", "status 429"
FAST = 0.1          # s within which a refusal is a fast one
LAST = 3.0          # s before the end of the load; who still fails in them has not recovered
NEVER_ENDED = Timed(math.inf, math.inf, math.inf)
FIRST = 1.5         # s at the begin of the load in which a limit that looks back a second finds its level


class Failure(NamedTuple):
    """A request that failed: when it was due and how long it took until that was known (s), and why."""

    due: float
    took: float
    reason: str

    @property
    def known(self) -> float:
        """Return when it was known."""
        return self.due + self.took


class Requests(NamedTuple):
    """All requests of a step: when each was due (s), whether it was answered well, and how far apart they were (s)."""

    due: np.ndarray[Any, np.dtype[np.float64]]
    well: np.ndarray[Any, np.dtype[np.bool_]]
    interval: float


def requests(result: StepResult) -> Requests:
    """Return what became of the requests of a step; ValueError where it was not loaded."""
    for each in result.histories:
        if each.probe == LOAD:
            seen = columns(each)
            return Requests(seen.sent / 1e9, seen.latency != NEVER, each.interval)
    raise ValueError(f"{result.step.id}: no load beside it")


def failures(result: StepResult) -> list[Failure]:
    """Return the requests of a step that failed, by when they were due."""
    return sorted(Failure(due, took, series.labels.get("reason", "")) for series in pick(result, "app.failure")
                  for due, took in zip(series.times, series.values, strict=True))


def did(result: StepResult, action: str, actor: str = "service") -> Event:
    """Return what was done to the service, or seen by its gateway, first; ValueError where it was not."""
    found = [event for event in result.events if (event.actor, event.action) == (actor, action)]
    if not found:
        raise ValueError(f"{result.step.id}: nothing of the {actor} is said to be {action!r}")
    return min(found, key=lambda event: event.start)


def since(event: Event, moment: float, spacing: float = 0.0) -> Timed:
    """Return how long after an event, which took hold between its start and end, something was; at least 0."""
    low, high = max(0.0, moment - event.end), max(0.0, moment - event.start) + spacing
    return Timed((low + high) / 2, low, high)


def opened(result: StepResult) -> list[Timed]:
    """Return how long after the fault requests still reached the part that failed: until the gateway refused them all.

    inf where it never refused one before the repair.
    """
    fault, repair, interval = did(result, "killed"), did(result, "back"), requests(result).interval
    during = [each for each in failures(result) if fault.start <= each.due < repair.start]
    if not any(each.reason == GATEWAYS_OWN for each in during):
        return [NEVER_ENDED]
    reached = max((each.known for each in during if each.reason != GATEWAYS_OWN), default=fault.start)
    return [since(fault, min(reached, repair.start), interval)]


def quick(result: StepResult) -> Tally:
    """Return how many of the requests that were refused while the breaker was open were so at once."""
    refused = [each for each in failures(result) if each.reason == GATEWAYS_OWN
               and did(result, "killed").start <= each.due < did(result, "back").start]
    return Tally(sum(each.took <= FAST for each in refused), len(refused))


def false(result: StepResult) -> Tally:
    """Return how many requests the gateway refused before anything had failed, of how many."""
    fault, seen = did(result, "killed").start, requests(result)
    return Tally(sum(each.reason == GATEWAYS_OWN and each.due < fault for each in failures(result)),
                 int((seen.due < fault).sum()))


def recovered(action: str) -> Callable[[StepResult], list[Timed]]:
    """Return how to read how long after an event the last request failed; inf where they do so to the end."""

    def read(result: StepResult) -> list[Timed]:
        event, seen = did(result, action), requests(result)
        late = [each for each in failures(result) if each.known >= event.start]
        if late and late[-1].due > seen.due[-1] - LAST:
            return [NEVER_ENDED]
        last = max((each.known for each in late), default=event.start)
        return [since(event, last, seen.interval)]

    return read


def noticed(result: StepResult) -> list[Timed]:
    """Return how long after a replica was killed its gateway had taken it out; inf where it never did."""
    killed, seen = did(result, "killed"), [
        event for event in result.events if event.actor == "gateway" and event.action.endswith(" down")]
    after = [event for event in seen if event.end >= killed.start]
    if not after:
        return [NEVER_ENDED]
    low, high = max(0.0, after[0].start - killed.end), max(0.0, after[0].end - killed.start)
    return [Timed((low + high) / 2, low, high)]


def failed(first: str, last: str) -> Callable[[StepResult], Tally]:
    """Return how to read how many requests failed from one event to the end of another, of how many."""

    def read(result: StepResult) -> Tally:
        seen, start, end = requests(result), did(result, first).start, did(result, last).end
        inside = (seen.due >= start - seen.interval) & (seen.due <= end)
        return Tally(int((inside & ~seen.well).sum()), int(inside.sum()))

    return read


def lasted(action: str) -> Callable[[StepResult], list[Timed]]:
    """Return how to read how long it took to do something."""

    def read(result: StepResult) -> list[Timed]:
        event = did(result, action)
        return [Timed(*[event.end - event.start] * 3)]

    return read


def let_through(result: StepResult) -> Tally:
    """Return how many requests the gateway let through, of how many, once its limit has found its level."""
    seen = requests(result)
    begin = float(seen.due[0]) + FIRST
    refused = sum(each.reason == BEYOND_LIMIT and each.due >= begin for each in failures(result))
    of = int((seen.due >= begin).sum())
    return Tally(of - refused, of)


def diverted(result: StepResult) -> Tally:
    """Return how many answers came from the second replica, of all that say whom they are from."""
    by: dict[str, float] = {}
    for series in pick(result, "app.latency", stat="part"):
        _, _, who = series.labels["request"].rpartition(" [")
        by[who[:1]] = by.get(who[:1], 0.0) + sum(series.weights)
    return Tally(round(by.get("b", 0.0)), round(by.get("a", 0.0) + by.get("b", 0.0)))


def configured(step: Step) -> float:
    """Return the share that the gateway was told to let through, or to give to the second replica."""
    return 0.5 if given(step, "happens") == "limit" else quantity(step, "canary", "1")


def deviation(of: Callable[[StepResult], Tally], **row: Any) -> Indicator:
    """Return the indicator of how far a share is from the one that was set, relative to that, all rounds together."""

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        found = tallied(results, of)
        count, total = (sum(getattr(each, name) for each in found.values()) for name in ("number", "of"))
        wanted = configured(results[0].step)
        about = About(unit="1", direction=DOWN, indicator_id=row["id"], measurand=row["name"], policy=policy)
        estimate = stats.proportion_ci(count, total, **about)
        ends = [abs(end / wanted - 1) for end in (estimate.ci.lo, estimate.ci.hi)]
        low = 0.0 if estimate.ci.lo <= wanted <= estimate.ci.hi else min(ends)
        estimate = dataclasses.replace(
            estimate, estimate=abs(count / total / wanted - 1),
            ci=dataclasses.replace(estimate.ci, lo=low, hi=max(ends)), estimand="relative deviation of a proportion",
            warnings=(*estimate.warnings, f"counted: {count} of {total} requests; {wanted:.4g} of them was set"))
        scores = {turn: abs(each.number / each.of / wanted - 1) for turn, each in found.items()}
        return finished(estimate, scores, Method(score=lambda result: math.nan, gates=(on_time,)), results, policy)

    return Indicator(evaluate=evaluate, **row)


def when(happens: str) -> Applies:
    """Return the predicate of steps in which that happens."""
    return lambda step: given(step, "happens") == happens


SHARE: dict[str, Any] = {"area": "application", "workload": "microservice", "unit": "1", "direction": DOWN,
                         "gates": (on_time,)}
TIME: dict[str, Any] = {**SHARE, "unit": "s"}
BREAKER: dict[str, Any] = {"applies": when("breaker")}
REPLICA: dict[str, Any] = {"applies": when("replica")}
UPDATE: dict[str, Any] = {"applies": when("update")}
CIRCUIT = "catalogue APP-03; virtmark: a dependency killed under open-model load"
DISCOVERY = "catalogue APP-04; virtmark: a replica killed under open-model load"
ROLLING = "catalogue CON-06; virtmark: replicas replaced under open-model load"
PARTED: dict[str, Any] = {"area": "application", "workload": "microservice", "unit": "1", "direction": DOWN}
INDICATORS: tuple[Indicator, ...] = (
    times(opened, id="APP-03", name="Circuit breaker, fault to open", name_zh="熔断生效时间", source=CIRCUIT, **TIME,
          **BREAKER, definition="From the fault of a dependency to the last request that still reached it; then the "
                                "gateway refuses all at once."),
    times(recovered("back"), id="APP-03.close", name="Circuit breaker, repair to closed", name_zh="熔断恢复时间",
          source=CIRCUIT, **TIME, **BREAKER,
          definition="From the repair of the dependency to the last request that failed."),
    part(quick, "refused requests that were refused within 100 ms", id="APP-03.fast",
         name="Circuit breaker, fast refusals", name_zh="熔断期快速失败比例", source=CIRCUIT, **BREAKER,
         **{**SHARE, "direction": Direction.HIGHER_IS_BETTER},
         definition="Share of the requests refused by the open breaker that were refused within 100 ms."),
    part(false, "requests refused before the fault", id="APP-03.false", name="Circuit breaker, false openings",
         name_zh="熔断误触发比例", source=CIRCUIT, **SHARE, **BREAKER,
         definition="Share of the requests before the fault that the gateway refused, though nothing had failed."),
    times(recovered("killed"), id="APP-04", name="Service failover, window of errors", name_zh="服务故障切换错误窗口",
          source=DISCOVERY, **TIME, **REPLICA,
          definition="From the end of a replica to the last request that failed."),
    part(failed("killed", "back"), "requests that failed", id="APP-04.lost", name="Service failover, failed requests",
         name_zh="服务故障切换失败请求比例", source=DISCOVERY, **SHARE, **REPLICA,
         definition="Share of the requests that failed, from the end of a replica until it is back."),
    times(noticed, id="APP-04.discovery", name="Service discovery, convergence", name_zh="注册发现收敛时间",
          source=DISCOVERY, **TIME, **REPLICA,
          definition="From the end of a replica to when its gateway has taken it out, by the gateway's own word."),
    deviation(let_through, id="APP-05", name="Rate limit, deviation", name_zh="限流准确度（相对偏差）", **PARTED,
              applies=when("limit"), source="catalogue APP-05; virtmark: twice the limit offered",
              definition="How far the share of requests let through at twice the limit is from one half, relative to "
                         "it."),
    deviation(diverted, id="APP-05.canary", name="Canary share, deviation", name_zh="灰度比例准确度（相对偏差）",
              **PARTED, applies=when("canary"), source="catalogue APP-05; virtmark: answers by who gave them",
              definition="How far the share of answers given by the canary is from the share set, relative to it."),
    part(failed("update", "rollback"), "requests that failed", id="CON-06", name="Rolling update, failed requests",
         name_zh="滚动升级失败请求比例", source=ROLLING, **SHARE, **UPDATE,
         definition="Share of the requests that failed during a rolling update, the time after it, and its rollback."),
    times(lasted("update"), id="CON-06.update", name="Rolling update, duration", name_zh="滚动升级用时",
          source=ROLLING, **TIME, **UPDATE, definition="How long it takes to replace all replicas by another version."),
    times(lasted("rollback"), id="CON-06.rollback", name="Rolling update, rollback", name_zh="滚动升级回退用时",
          source=ROLLING, **TIME, **UPDATE, definition="How long it takes to go back to the version before."),
)
