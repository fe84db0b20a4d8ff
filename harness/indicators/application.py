"""Applications: the load that a service keeps to, how long its answers take at a load, and how many fail.

The one thing to know: only the open model measures what the public would see. Latency counts from when a request was
due, a failed request counts as slower than any answered one, and a generator that fell behind its schedule makes the
number INVALID: it would tell of the generator. Numbers of the closed model have ids of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness import stats
from harness.indicators.base import Evaluated, Indicator, Method, by_round, finished, given, only, quantity, single
from harness.indicators.percentiles import tail
from harness.load import Capacity, Level, Objective, capacity, levels
from harness.model import Status, Step, StepResult
from harness.stats.records import Check, Direction, StatsPolicy

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER


def only_level(result: StepResult) -> Level:
    """Return the one level of a step; ValueError where there is none."""
    found = levels(result.series)
    if not found:
        raise ValueError(f"{result.step.id}: no level of load")
    return found[-1]


def searched(result: StepResult) -> Capacity:
    """Return what the search of a step found, by the objective that its parameters set."""
    step = result.step
    return capacity(levels(result.series), Objective(
        limit=quantity(step, "slo", "s"), quantile=quantity(step, "slo_quantile", "1"),
        errors=quantity(step, "slo_errors", "1")))


def throughput(result: StepResult) -> float:
    """Return the rate of the requests that were answered well at the highest level within the objective."""
    found = searched(result)
    if found.best is None:
        at = found.above.offered if found.above else 0.0
        raise ValueError(f"{result.step.id}: even {at:g}/s is beyond the objective ({found.stopped or 'no level'}); "
                         "begin with a lower rate")
    return found.best.good


def gap(results: Sequence[StepResult]) -> Mapping[str, float]:
    """Return the standard uncertainty in 1/s that the distance of the last two levels leaves: the largest one."""
    found = [searched(result) for result in results]
    widths = [each.above.offered - each.best.offered for each in found if each.above and each.best]
    return {"step of the search": max(widths) / 12 ** 0.5} if widths else {}


def bounds(results: Iterable[StepResult]) -> list[str]:
    """Return which searches did not find the limit of the service, and why: their number is a lower bound."""
    reasons = {"": "the highest rate was still within the objective; the number is a lower bound, raise most",
               "generator": "the generator fell behind its schedule before the service did; the number is a lower "
                            "bound, give it more workers"}
    found = {result.step.id: searched(result).stopped for result in results if result.status is Status.DONE}
    return [f"{name}: {reasons[why]}" for name, why in found.items() if why in reasons]


def limit_found(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether the service came to its limit: not the search to its end, nor the generator to its own."""
    ends = bounds(results)
    return (Check("limit of the service found", None if ends else True, None, None, "; ".join(ends[:2])),)


def on_schedule(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether in every second at least 99 % of what was due was sent."""
    found = [(result, only_level(result)) for result in results]
    worst, level = max(found, key=lambda each: each[1].short)
    note = (f"{worst.step.id}: saturated; in {level.short} of {level.due.size} seconds less than 99 % of the requests "
            "that were due left in time") if level.short else ""
    return (Check("offered load reached", not level.short, float(level.short), 0.0, note),)


def workers_whole(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether all workers of the generator were there to the end."""
    lost = [event.detail for result in results for event in result.events
            if event.actor == "load" and ": " in event.detail and "was lost" in event.detail]
    count = sum(level.lost for result in results for level in levels(result.series))
    return (Check("workers of the generator", not count, float(count), 0.0, lost[0] if lost else (
        f"{count} workers were lost" if count else "")),)


def percentile(p: float) -> Callable[[StepResult], float]:
    """Return the score that is a percentile of the response times in s; inf is beyond the histogram."""
    return lambda result: only_level(result).quantile(p).mid / 1e9


def known(p: float) -> Callable[[Sequence[StepResult], StatsPolicy], tuple[Check, ...]]:
    """Return the gate on a percentile: requests enough beyond it, and not one of a request that failed."""

    def gate(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
        found = [only_level(result).quantile(p) for result in results]
        return tail((each.n for each in found), p, inside=not any(each.censored for each in found))

    return gate


def unknown(p: float) -> Callable[[Sequence[StepResult]], Mapping[str, float]]:
    """Return the standard uncertainties in s of a percentile: the width of its bin, and the rate of workers' clocks."""

    def parts(results: Sequence[StepResult]) -> Mapping[str, float]:
        found = [(only_level(result), only_level(result).quantile(p)) for result in results]
        return {"bin width": max(each.u_b for _, each in found) / 1e9,
                "clocks of workers": max(level.drift * each.mid for level, each in found) / 1e9}

    return parts


def waiting(results: Sequence[StepResult]) -> Iterable[str]:
    """Yield what a reader of a rate of the closed model must know."""
    yield "closed model: users wait for answers, so a stall hides the requests that others would have sent meanwhile"


def load(model: str, *, searching: bool = False) -> Callable[[Step], bool]:
    """Return the predicate of steps under one level of load, or of those that search for the highest one."""
    return lambda step: (given(step, "model") == model and (given(step, "shape") == "steps") == searching
                         and not given(step, "through"))


def both_ways(step: Step) -> bool:
    """Say whether a step is one of two that send the same load through a gateway and around it."""
    return "through" in step.arm and given(step, "model") == "open" and given(step, "shape") != "steps"


def added(p: float, **row: Any) -> Indicator:
    """Return the indicator of what a gateway adds to a percentile of the response times, paired by round."""
    gates = (workers_whole, on_schedule, known(p))

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        ways = [by_round(only(results, through=way), percentile(p)) for way in (True, False)]
        found = {at: ways[0][at] - ways[1][at] for at in sorted(ways[0].keys() & ways[1].keys())}
        if not found:
            raise ValueError(f"{row['id']}: no round has a step through the gateway and one around it")
        estimate = stats.mean_ci(list(found.values()), unit="s", direction=DOWN, indicator_id=row["id"],
                                 measurand=row["name"], policy=policy, u_b=unknown(p)(results))
        return finished(estimate, found, Method(score=percentile(p), gates=gates), results, policy)

    return Indicator(evaluate=evaluate, unit="s", direction=DOWN, applies=both_ways, **row)


COMMON = {"area": "application", "workload": "application"}
SOURCE = "catalogue APP-02; SPECvirt Datacenter 2021, quality of service; wrk2, coordinated omission"
SHARES = (("p50", 0.5, "median", "中位数"), ("p95", 0.95, "95th percentile", "P95"),
          ("p99", 0.99, "99th percentile", "P99"))
INDICATORS: tuple[Indicator, ...] = (
    *(added(p, id=f"APP-01{suffix}", name=f"Gateway added latency, {words}", name_zh=f"网关附加时延（{words_zh}）",
            **COMMON, source="catalogue APP-01; virtmark: paired arms in one round",
            definition=f"Response time through the gateway minus that around it at the same rate, {words}, by round.")
      for suffix, p, words, words_zh in (("", 0.99, "99th percentile", "P99"), (".p50", 0.5, "median", "中位数"))),
    single(Method(score=throughput, gates=(workers_whole, limit_found), u_b=gap, warn=bounds), id="APP-02",
           name="Throughput within objective", name_zh="满足SLO的最大业务吞吐", unit="1/s", direction=UP, **COMMON,
           applies=load("open", searching=True), source=SOURCE,
           definition="Requests per second that were answered well at the highest rate of arrivals at which a "
                      "percentile of the response times and the share of failed requests keep to the objective."),
    *(single(Method(score=percentile(p), gates=(workers_whole, on_schedule, known(p)), u_b=unknown(p)),
             id=f"APP-02.{suffix}", name=f"Response time under load, {words}", name_zh=f"负载下响应时间（{words_zh}）",
             unit="s", direction=DOWN, **COMMON, applies=load("open"), source=SOURCE,
             definition=f"Time from when a request was due to the end of its answer, {words} of a step; a request that "
                        "failed counts as slower than any other.")
      for suffix, p, words, words_zh in SHARES),
    single(Method(score=lambda result: only_level(result).errors, estimator=stats.mean_ci,
                  gates=(workers_whole, on_schedule),
                  resolution=lambda results: max(1 / only_level(result).requests for result in results)),
           id="APP-02.errors", name="Failed requests", name_zh="请求失败率", unit="1", direction=DOWN, **COMMON,
           applies=load("open"), source=SOURCE,
           definition="Share of the requests that were refused, not answered in time, or answered by a status of 400 "
                      "or above."),
    single(Method(score=lambda result: only_level(result).rate, gates=(workers_whole,), warn=waiting),
           id="APP-02.closed", name="Throughput of waiting users, closed model", name_zh="等待用户吞吐（闭环模型）",
           unit="1/s", direction=UP, **COMMON, applies=load("closed"), source="Locust; virtmark",
           definition="Good answers per second to a fixed number of users who each wait for an answer."),
    single(Method(score=percentile(0.99), gates=(workers_whole, known(0.99)), u_b=unknown(0.99), warn=waiting),
           id="APP-02.closedp99", name="Response time of waiting users, 99th percentile, closed model",
           name_zh="等待用户响应时间（P99，闭环模型）", unit="s", direction=DOWN, **COMMON, applies=load("closed"),
           source="Locust; virtmark",
           definition="99th percentile of the time from sending a request to the end of its answer."),
)
