"""High availability: how long a guest is out of service when it or its host fails, how often it returns, what is lost.

The one thing to know: times are those of echoes seen from outside. A guest that never came back is +inf and stays in;
two copies of a guest at once, or lost acknowledged records, are a failure whatever the times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import Unsupported
from harness.history import columns
from harness.indicators.base import Evaluated, Indicator, given, pick, value
from harness.indicators.events import Exposure, Tally, Timed, available, lost, on_time, success, times, worst
from harness.integrity import loss
from harness.model import Event, Outcome, Step, StepResult
from harness.stats.records import Direction, StatsPolicy

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
GUEST = ("guest-kill", "guest-panic", "guest-hang")
HOST = ("host-power-off", "host-isolated")
DISK = ("storage-error", "storage-slow", "storage-read-only")
PARTS = ("detected", "fenced", "restarted", "booted", "served")     # in this order


def of(kinds: Sequence[str], data: bool = False) -> Callable[[Step], bool]:
    """Return the predicate of steps whose fault is one of `kinds`; with `data`, only those that look for lost records.

    The defaults are those of the workload.
    """
    def applies(step: Step) -> bool:
        return (given(step, "fault") or "host-power-off") in kinds and not (data and given(step, "data") == "none")
    return applies


def outage(metric: str) -> Callable[[StepResult], list[Timed]]:
    """Return how to read how long something was away, with bounds; +inf where it did not come back."""
    def read(result: StepResult) -> list[Timed]:
        if not pick(result, metric):
            return [Timed(math.inf, math.inf, math.inf)]
        return [Timed(*(value(f"{metric}{end}")(result) for end in ("", ".low", ".high")))]

    return read


def recovery(result: StepResult) -> list[Timed]:
    """Return how long the guest was out of service, from echoes; +inf if it did not come back."""
    if not value("ha.recovered")(result):
        return [Timed(math.inf, math.inf, math.inf)]
    return outage("ha.rto")(result)


def component(part: str) -> Callable[[StepResult], list[Timed]]:
    """Return how to read how long a part of the recovery took: from the visible part before it, or the fault, on.

    Nothing where the platform's log does not tell of it; +inf where the guest never came so far.
    """
    def read(result: StepResult) -> list[Timed]:
        fault = start = min(event.start for event in result.events if event.actor == "fault")
        for name in PARTS:
            at = _first(result.events, name, fault)
            if name == part:
                took = max(0.0, at - start) if at is not None else math.inf
                shown = at is not None or not value("ha.recovered")(result)
                return [Timed(took, took, took)] if shown else []
            start = max(start, at or start)
        raise ValueError(f"{part}: no part of a recovery")

    return read


def _first(events: Sequence[Event], action: str, since: float) -> float | None:
    return min((event.end for event in events if event.actor == "ha" and event.action == action
                and event.outcome is Outcome.OK and event.end >= since), default=None)


def parts(part: str, **row: Any) -> Indicator:
    """Return the indicator of a part of the recovery; not applicable where no log tells of it."""
    read = component(part)
    made = times(read, **row)

    def evaluate(results: Sequence[StepResult], policy: StatsPolicy) -> Evaluated:
        if not any(read(result) for result in results):
            raise Unsupported(f"the platform's log does not tell when a guest was {part}")
        return made.evaluate(results, policy)

    return Indicator(evaluate=evaluate, **row)


def exposed(result: StepResult) -> Exposure:
    """Return how long the guest was watched and up, and how long the failure kept it down."""
    down = recovery(result)[0].value
    sent = next(columns(each).sent for each in result.histories if each.kind == "icmp")
    watched = float(sent[-1] - sent[0]) / 1e9
    return Exposure(max(0.0, watched - down) if math.isfinite(down) else 0.0, (down,))


def recovered(result: StepResult) -> Tally:
    """Return whether the guest came back in time."""
    return Tally(round(value("ha.recovered")(result)), 1)


def missing(result: StepResult) -> Tally:
    """Return how many acknowledged records are missing; none can be told where the guest did not come back."""
    if not pick(result, "integrity.acked"):
        return Tally(0, 0)
    return Tally(round(value("integrity.lost")(result)), round(value("integrity.acked")(result)))


def point(result: StepResult) -> list[Timed]:
    """Return how far back the recovery point lies; +inf where the guest did not come back, or where a database lost
    something, which does not tell since when."""
    if pick(result, "integrity.rpo"):
        found = value("integrity.rpo")(result)
    else:
        found = 0.0 if pick(result, "integrity.acked") and not value("integrity.lost")(result) else math.inf
    return [Timed(found, found, found)]


def trouble(results: Sequence[StepResult]) -> str:
    """Return why these results are a failure: two copies at once, a broken promise, lost data; "" if none of it."""
    for metric, most, what in (("ha.copies", 1, "two copies of the guest ran at once"),
                               ("ha.interleaved", 0, "two copies of the guest wrote at once")):
        twice = [result.step.id for result in results for each in pick(result, metric) if each.values[0] > most]
        if twice:
            return f"split-brain: {what} in {', '.join(twice)}"
    broken = [each.labels["reason"] for result in results for each in pick(result, "ha.broken-word")]
    return broken[0] if broken else loss(series for result in results for series in result.series)


COMMON = {"area": "availability", "workload": "failover"}
RTO: dict[str, Any] = {"unit": "s", "direction": DOWN, **COMMON}
SEEN: dict[str, Any] = {"gates": (on_time,), **RTO}
SPOKEN = {
    "detected": ("detection", "检测", "From the failure until the platform noticed it, by its own log."),
    "fenced": ("fencing", "隔离", "From detection until the failed host was fenced, by the platform's own log."),
    "restarted": ("restart", "重启", "From the decision until the platform had started the guest, by its own log."),
    "booted": ("boot", "引导", "From the restart until the guest's network answered, seen from outside."),
    "served": ("service", "服务", "From the first answer of its network until the guest took commands again."),
}


def rows(stem: str, name: str, name_zh: str, kinds: Sequence[str], shown: Sequence[str]) -> tuple[Indicator, ...]:
    """Return the parts `shown` of a recovery as indicators."""
    return tuple(parts(
        part, id=f"{stem}.{part}", name=f"{name}, {SPOKEN[part][0]}", name_zh=f"{name_zh}：{SPOKEN[part][1]}", **RTO,
        applies=of(kinds), source="virtmark: the platform's log beside a scheduled probe",
        definition=SPOKEN[part][2]) for part in shown)


INDICATORS: tuple[Indicator, ...] = (
    times(recovery, trouble, id="HA-01", name="Guest failure, recovery time", name_zh="虚机故障自恢复时间", **SEEN,
          applies=of(GUEST), source="OPNFV Yardstick TC085; virtmark: outages of a scheduled probe",
          definition="How long a guest is out of service, seen from outside, when it crashes or is killed."),
    success(recovered, trouble, id="HA-01.success", name="Guest failure, success rate", name_zh="虚机故障自恢复成功率",
            unit="1", direction=UP, **COMMON, applies=of(GUEST), source="OPNFV Yardstick TC085",
            definition="Share of guest failures after which the guest served again in time."),
    times(recovery, trouble, id="HA-02", name="Host failure, recovery time (RTO)", name_zh="主机故障HA恢复时间", **SEEN,
          applies=of(HOST), source="OPNFV Yardstick TC086; GB/T 20988",
          definition="How long a guest is out of service, seen from outside, when its host fails."),
    worst(recovery, trouble, id="HA-02.worst", name="Host failure, recovery time, bound of 95 % of events",
          name_zh="主机故障HA恢复时间（95%容许限）", **SEEN, applies=of(HOST), source="ISO 16269-6; GB/T 20988",
          definition="What 95 % of all recoveries from host failures stay below, with 95 % confidence."),
    success(recovered, trouble, id="HA-02.success", name="Host failure, success rate", name_zh="主机故障HA成功率",
            unit="1", direction=UP, **COMMON, applies=of(HOST), source="OPNFV Yardstick TC086",
            definition="Share of host failures after which the guest served again in time."),
    available(exposed, trouble, (on_time,), id="HA-02.availability", name="Availability under host failures",
              name_zh="主机故障下的可用性", unit="1", direction=UP, **COMMON, applies=of(HOST),
              source="GB/T 20988; virtmark: exact bounds",
              definition="Share of the time watched, failures made included, in which the guest was in service."),
    times(outage("ha.management"), id="HA-03", name="Management outage", name_zh="管理面故障中断时间", **SEEN,
          applies=of(("manager-kill",)), source="OPNFV Yardstick TC019, TC045",
          definition="How long the management interface answers no question after its daemon was killed."),
    worst(recovery, trouble, id="HA-03.guest", name="Guest's outage while management is away",
          name_zh="管理面故障时的虚机中断时间", **SEEN, applies=of(("manager-kill",)), source="OPNFV Yardstick TC087",
          definition="How long a guest is out of service, seen from outside, when the management daemon is killed."),
    times(recovery, trouble, id="HA-04", name="Network path failover", name_zh="网络链路切换时间", **SEEN,
          applies=of(("link-down",)), source="OPNFV Yardstick TC087 to TC093",
          definition="How long a guest answers nothing from outside when one of two links of its host goes down."),
    times(outage("ha.write-gap"), trouble, id="HA-05", name="Writes held up by storage trouble",
          name_zh="存储路径故障时的写入中断时间", **RTO, applies=of(DISK, data=True),
          source="GB/T 20988; virtmark: sequence writer",
          definition="Longest time without an acknowledged record while the guest's storage fails, stalls or is slow."),
    lost(missing, trouble, id="HA-06", name="Acknowledged records lost", name_zh="故障切换数据丢失率", unit="1",
         direction=DOWN, **COMMON, applies=of(GUEST + HOST + DISK, data=True),
         source="GB/T 20988; virtmark: sequence writer",
         definition="Share of records acknowledged outside that are missing after recovery."),
    worst(point, trouble, id="HA-06.rpo", name="Recovery point (RPO)", name_zh="恢复点目标（RPO）", **RTO,
          applies=of(GUEST + HOST, data=True), source="GB/T 20988",
          definition="How far before the failure the last record lies up to which nothing acknowledged is lost."),
)
INDICATORS += rows("HA-01", "Guest failure", "虚机故障", GUEST, ("detected", "restarted", "booted", "served"))
INDICATORS += rows("HA-02", "Host failure", "主机故障", HOST, PARTS)
