"""High availability: how long a guest is out of service when it or its host fails, how often it returns, what is lost.

The one thing to know: times are those of echoes seen from outside. A guest that never came back is +inf and stays in;
two copies of a guest at once, or lost acknowledged records, are a failure whatever the times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from harness.indicators.base import given, pick, value
from harness.indicators.events import Tally, Timed, lost, success, times, worst
from harness.integrity import loss
from harness.model import Step, StepResult
from harness.stats.records import Direction

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
GUEST = ("guest-kill", "guest-panic", "guest-hang")
HOST = ("host-power-off", "host-isolated")


def of(kinds: Sequence[str], data: bool = False) -> Callable[[Step], bool]:
    """Return the predicate of steps whose fault is one of `kinds`; with `data`, only those that look for lost records.

    The defaults are those of the workload.
    """
    def applies(step: Step) -> bool:
        return (given(step, "fault") or "host-power-off") in kinds and not (data and given(step, "data") == "none")
    return applies


def recovery(result: StepResult) -> list[Timed]:
    """Return how long the guest was out of service, from echoes; +inf if it did not come back."""
    if not value("ha.recovered")(result) or not pick(result, "ha.rto"):
        return [Timed(math.inf, math.inf, math.inf)]
    return [Timed(*(value(f"ha.rto{end}")(result) for end in ("", ".low", ".high")))]


def recovered(result: StepResult) -> Tally:
    """Return whether the guest came back in time."""
    return Tally(round(value("ha.recovered")(result)), 1)


def missing(result: StepResult) -> Tally:
    """Return how many acknowledged records are missing; none can be told where the guest did not come back."""
    if not pick(result, "integrity.acked"):
        return Tally(0, 0)
    return Tally(round(value("integrity.lost")(result)), round(value("integrity.acked")(result)))


def point(result: StepResult) -> list[Timed]:
    """Return how far back the recovery point lies; +inf where the guest did not come back."""
    found = value("integrity.rpo")(result) if pick(result, "integrity.rpo") else math.inf
    return [Timed(found, found, found)]


def trouble(results: Sequence[StepResult]) -> str:
    """Return why these results are a failure: two copies at once, or lost data; "" if neither."""
    twice = [result.step.id for result in results for series in pick(result, "ha.copies") if series.values[0] > 1]
    if twice:
        return f"split-brain: two copies of the guest ran at once in {', '.join(twice)}"
    return loss(series for result in results for series in result.series)


COMMON = {"area": "availability", "workload": "failover"}
RTO = {"unit": "s", "direction": DOWN, **COMMON}
INDICATORS = (
    times(recovery, trouble, id="HA-01", name="Guest failure, recovery time", name_zh="虚机故障自恢复时间", **RTO,
          applies=of(GUEST), source="OPNFV Yardstick TC085; virtmark: outages of a scheduled probe",
          definition="How long a guest is out of service, seen from outside, when it crashes or is killed."),
    success(recovered, trouble, id="HA-01.success", name="Guest failure, success rate", name_zh="虚机故障自恢复成功率",
            unit="1", direction=UP, **COMMON, applies=of(GUEST), source="OPNFV Yardstick TC085",
            definition="Share of guest failures after which the guest served again in time."),
    times(recovery, trouble, id="HA-02", name="Host failure, recovery time (RTO)", name_zh="主机故障HA恢复时间", **RTO,
          applies=of(HOST), source="OPNFV Yardstick TC086; GB/T 20988",
          definition="How long a guest is out of service, seen from outside, when its host fails."),
    worst(recovery, trouble, id="HA-02.worst", name="Host failure, recovery time, bound of 95 % of events",
          name_zh="主机故障HA恢复时间（95%容许限）", **RTO, applies=of(HOST), source="ISO 16269-6; GB/T 20988",
          definition="What 95 % of all recoveries from host failures stay below, with 95 % confidence."),
    success(recovered, trouble, id="HA-02.success", name="Host failure, success rate", name_zh="主机故障HA成功率",
            unit="1", direction=UP, **COMMON, applies=of(HOST), source="OPNFV Yardstick TC086",
            definition="Share of host failures after which the guest served again in time."),
    lost(missing, trouble, id="HA-06", name="Acknowledged records lost", name_zh="故障切换数据丢失率", unit="1",
         direction=DOWN, **COMMON, applies=of(GUEST + HOST, data=True), source="GB/T 20988; virtmark: sequence writer",
         definition="Share of records acknowledged outside that are missing after recovery."),
    worst(point, trouble, id="HA-06.rpo", name="Recovery point (RPO)", name_zh="恢复点目标（RPO）", **RTO,
          applies=of(GUEST + HOST, data=True), source="GB/T 20988",
          definition="How far before the failure the last record lies up to which nothing acknowledged is lost."),
)
