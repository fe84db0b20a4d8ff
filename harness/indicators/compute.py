"""Compute virtualization: throughput, scaling, overhead, stolen time, scheduling latency."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from harness import stats
from harness.errors import Unsupported
from harness.indicators import percentiles
from harness.indicators.base import (
    Evaluated,
    Indicator,
    Method,
    both,
    by_round,
    finished,
    given,
    overhead,
    pick,
    single,
    value,
    where,
)
from harness.model import Series, Step, StepResult
from harness.stats.inputs import About
from harness.stats.records import Check, Direction, StatsPolicy

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
PARAVIRTUAL = ("kvm-clock", "xen", "hyperv")


def rate(result: StepResult) -> float:
    """Return events per second."""
    return value("cpu.rate")(result)


def threads(result: StepResult) -> int:
    """Return how many threads really ran, 1 where the step does not say."""
    return max((int(series.labels.get("threads", 1)) for series in pick(result, "cpu.rate")), default=1)


def counted(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether enough operations were counted that one more or less does not matter (1 %)."""
    least = min((series.values[0] for result in results for series in pick(result, "cpu.operations")), default=math.inf)
    return () if math.isinf(least) else (
        Check("operations counted", True if least >= 100 else None, least, 100, "one operation is the resolution"),)


def efficiency(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
    """Return T(n) / (n T(1)), paired by round; both number of threads are arms of one point."""
    ones, many = ([r for r in results if (given(r.step, "threads") == 1) is one] for one in (True, False))
    base, top = by_round(ones, rate), by_round(many, lambda result: rate(result) / threads(result))
    shared = sorted(base.keys() & top.keys())
    if not shared:
        raise ValueError("CPU-02.efficiency: no round has both one thread and several")
    about = About(indicator_id="CPU-02.efficiency", measurand="Scaling efficiency", policy=policy)
    estimate = stats.ratio_paired([top[at] for at in shared], [base[at] for at in shared], **about)
    estimate = dataclasses.replace(estimate, direction=UP)
    return finished(estimate, {at: top[at] / base[at] for at in shared}, Method(score=rate), results, policy)


def steal(result: StepResult) -> float:
    """Return the share of time in which the guest's processors waited for a physical one, over the whole step."""
    if "guest.steal" in result.conditions:
        return result.conditions["guest.steal"]
    return float(np.mean(_steal_samples(result)))


def steal_p95(result: StepResult) -> float:
    """Return the 95th percentile of the sampled shares."""
    return float(np.quantile(_steal_samples(result), 0.95, method="inverted_cdf"))


def _steal_samples(result: StepResult) -> tuple[float, ...]:
    for series in result.telemetry:
        if series.metric == "cpu.steal" and series.labels.get("source") == "guest":
            return series.values
    raise Unsupported("nothing watched the guest from inside, so its stolen time is not known")


def steal_clock(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether a zero means anything: without a paravirtual clock a guest cannot see stolen time at all."""
    clocks = {label for result in results for series in result.series if (label := series.labels.get("clock"))}
    seen = any(name in clock for clock in clocks for name in PARAVIRTUAL) or any(_ever(result) for result in results)
    note = "" if seen else "the guest has no paravirtual clock; its hypervisor reports no stolen time"
    return (Check("steal is reported", True if seen else None, None, None, note),)


def _ever(result: StepResult) -> bool:
    return result.conditions.get("guest.steal", 0.0) > 0


def tick(results: Sequence[StepResult]) -> float:
    """Return the resolution of a share of processor time: one tick of 10 ms on all processors of the shortest step."""
    return 0.01 / min((result.elapsed * threads(result) for result in results if result.elapsed > 0), default=1.0)


def late(p: float | None) -> Method:
    """Return how wake-up lateness is scored: a percentile of the exact histogram, or the exact maximum."""
    if p is None:
        return Method(score=value("scheduling.latency", stat="max"), resolution=lambda results: 1e-6)

    def score(result: StepResult) -> float:
        series, beyond = wakeups(result)
        found = percentiles.at(series, p, beyond)
        return found if math.isfinite(found) else value("scheduling.latency", stat="max")(result)

    def gate(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
        found = [wakeups(result) for result in results]
        inside = all(math.isfinite(percentiles.at(series, p, beyond)) for series, beyond in found)
        return percentiles.tail((percentiles.count(*each) for each in found), p, inside=inside)

    return Method(score=score, gates=(gate,), resolution=lambda results: 1e-6)


def wakeups(result: StepResult) -> tuple[Series, float]:
    """Return the histogram of lateness, and how many wake-ups were later than its last bin."""
    found = pick(result, "scheduling.latency", stat="histogram")
    if not found:
        raise ValueError(f"{result.step.id}: no histogram of scheduling.latency")
    return found[0], value("scheduling.overflow")(result)


def loaded(step: Step) -> bool:
    """Return whether a step tells of stolen time: in the guest, on the most threads of its point."""
    return given(step, "where") == "guest" and ("threads" not in step.arm or many(step))


def many(step: Step) -> bool:
    """Return whether a step runs on several threads."""
    return given(step, "threads") != 1


COMMON = {"area": "compute", "workload": "compute"}
INDICATORS: tuple[Indicator, ...] = (
    single(Method(score=rate, gates=(counted,)), id="CPU-01", name="Single-thread compute throughput",
           name_zh="单线程计算性能", unit="1/s", direction=UP, **COMMON, applies=where("guest", threads=1),
           definition="Rate of a fixed load on one virtual CPU, the guest otherwise idle.",
           source="ETSI GS NFV-TST 001, processing speed"),
    single(Method(score=rate, gates=(counted,)), id="CPU-02", name="Multi-vCPU throughput", name_zh="多vCPU计算性能",
           unit="1/s", direction=UP, **COMMON,
           applies=lambda step: many(step) and given(step, "where") == "guest",
           definition="Rate of the same load on several or all virtual CPUs.",
           source="ETSI GS NFV-TST 001, processing speed"),
    Indicator(id="CPU-02.efficiency", name="Scaling efficiency", name_zh="多vCPU扩展效率", unit="1", direction=UP,
              **COMMON, applies=lambda step: "threads" in step.arm and given(step, "where") == "guest",
              evaluate=efficiency, source="ETSI GS NFV-TST 001, processing speed",
              definition="T(n) / (n T(1)): throughput on n threads over n times that on one, paired by round."),
    overhead(Method(score=rate, gates=(counted,)), UP, id="CPU-03", name="CPU virtualization overhead, one thread",
             name_zh="CPU虚拟化损耗率（单线程）", **COMMON, applies=both(lambda step: not many(step)),
             definition="Share of single-thread throughput lost in the guest against its host, paired by round.",
             source="virtmark: paired arms in one round"),
    overhead(Method(score=rate, gates=(counted,)), UP, id="CPU-03.all", name="CPU virtualization overhead, n threads",
             name_zh="CPU虚拟化损耗率（多线程）", **COMMON, applies=both(many),
             definition="Share of throughput on n threads lost in the guest against n threads on its host.",
             source="virtmark: paired arms in one round"),
    single(Method(score=steal, estimator=stats.mean_ci, gates=(steal_clock,), resolution=tick), id="CPU-04",
           name="CPU steal ratio, mean", name_zh="CPU窃取率（均值）", unit="1", direction=DOWN, **COMMON,
           applies=loaded, definition="Share of time that ready virtual CPUs waited for a physical one, over a "
           "step of full load.", source="GB/T 37736-2019 and GB/T 37938-2019, compute monitoring"),
    single(Method(score=steal_p95, estimator=stats.mean_ci, gates=(steal_clock,), resolution=tick), id="CPU-04.p95",
           name="CPU steal ratio, 95th percentile of samples", name_zh="CPU窃取率（P95）", unit="1", direction=DOWN,
           **COMMON, applies=loaded, definition="95th percentile of the share sampled within a step.",
           source="GB/T 37736-2019 and GB/T 37938-2019, compute monitoring"),
    *(single(late(p), id=f"CPU-05{suffix}", name=f"Scheduling latency, {words}", name_zh=f"调度时延（{words_zh}）",
             unit="s", direction=DOWN, area="compute", workload="scheduling", applies=where("guest"),
             definition=f"How late a real-time thread wakes up in the guest: {words}.",
             source="OPNFV Yardstick TC028 (cyclictest)")
      for p, suffix, words, words_zh in ((0.999, "", "99.9th percentile", "P99.9"), (None, ".max", "maximum", "最大值"),
                                         (0.5, ".median", "median", "中位数"))),
)
