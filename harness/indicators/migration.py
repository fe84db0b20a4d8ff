"""Live migration: how long it takes, how long the guest is away by three views, what it costs, whether it went well.

The one thing to know: the platform's downtime is the pause that it believes in. The heartbeat adds what passes until
the guest really runs again, the view from outside until the network finds it; only that is what a user sees. Success is
judged by the guest: one found corrupted or dead is a failure whatever the times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from harness import probing, stats
from harness.history import columns
from harness.indicators.base import Method, single
from harness.indicators.events import MARGIN, Tally, Timed, longest, measured, on_time, success, times, worst
from harness.model import Event, History, Outcome, Step, StepResult
from harness.stats.records import Direction

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
BEGINNING = 1.0         # s of a history in which all begins, and nothing is ordinary yet
PLATFORM = "the platform says"


def disk(storage: str) -> Callable[[Step], bool]:
    """Return the predicate of steps whose guests' disk is shared, or copied along."""
    return lambda step: step.params.get("storage", "shared") == storage


def every(step: Step) -> bool:
    """Take every step."""
    return True


def moves(result: StepResult) -> list[Event]:
    """Return the moves of a step, in order."""
    return sorted((event for event in result.events if event.actor == "migration"), key=lambda event: event.start)


def arrived(result: StepResult) -> list[Event]:
    """Return the moves after which the guest was sound."""
    return [event for event in moves(result) if event.outcome is Outcome.OK]


def histories(result: StepResult, kind: str) -> list[tuple[History, list[Event]]]:
    """Return the histories of probes of that kind, one a guest that was moved, each with the moves that it saw.

    ValueError if there is none.
    """
    found = []
    for each in result.histories:
        if each.kind == kind and each.count:
            sent = columns(each).sent / 1e9
            found.append((each, [move for move in moves(result) if sent[0] <= move.start <= sent[-1]]))
    if not found:
        raise ValueError(f"{result.step.id}: no probe of kind {kind} looked at it")
    return found


def interruption(kind: str) -> Callable[[StepResult], list[Timed]]:
    """Return how to read the longest outage that the probe saw around each move that went well, with its bounds.

    An answer is late if it took longer than any before the moves. Where none was late or lost the outage was shorter
    than two intervals, and than that longest latency: 0, within 0 and their sum.
    """
    def read(result: StepResult) -> list[Timed]:
        return [timed for seen, moved in histories(result, kind) for timed in _interrupted(seen, moved)]

    return read


def _interrupted(seen: History, moved: Sequence[Event]) -> Iterator[Timed]:
    first = min((move.start for move in moved), default=0.0)
    late = probing.slowest(seen, first - MARGIN / 2, since=BEGINNING)
    found, shortest = probing.outages(seen, late=late), 2 * seen.interval + late / 1e9
    for move in moved:
        if move.outcome is Outcome.OK:
            yield longest(found, move.start, move.end) or Timed(0.0, 0.0, shortest)


def degradation(result: StepResult) -> float:
    """Return the share of requests, of those that were answered in time before, that were not during the moves."""
    before: list[bool] = []
    during: list[bool] = []
    for seen, moved in histories(result, "http"):
        its = columns(seen)
        ok, sent = probing.answered(its, seen.interval), its.sent / 1e9
        before.extend(ok[sent < min((move.start for move in moved), default=0.0)])
        for move in moved:
            during.extend(ok[(sent >= move.start) & (sent <= move.end)])
    if not during or not any(before):
        raise ValueError(f"{result.step.id}: no request was sent before or during the moves")
    return float(1 - np.mean(during) / np.mean(before))


def sound(result: StepResult) -> Tally:
    """Return after how many of the moves the guest was sound, by its own word."""
    return Tally(len(arrived(result)), len(moves(result)))


def corrupted(results: Sequence[StepResult]) -> str:
    """Return which moves left a guest dead or corrupted, though the platform called them done or refused them."""
    found = [f"{result.step.id} {event.detail}" for result in results for event in moves(result)
             if event.outcome is not Outcome.OK and not _refused(event)]
    return f"a guest was not sound after a move: {' | '.join(found)}" if found else ""


def _refused(event: Event) -> bool:
    """Say whether only the platform gave up, and the guest is as it was."""
    said = event.detail.partition(": ")[2].split("; ")
    return len(said) == 1 and said[0].startswith(PLATFORM)


COMMON: dict[str, Any] = {"area": "migration", "workload": "migration"}
TIME: dict[str, Any] = {"unit": "s", "direction": DOWN, **COMMON}
SEEN: dict[str, Any] = {"gates": (on_time,), **TIME}
INDICATORS = (
    times(measured("migration.total"), id="MIG-01", name="Live-migration total time", name_zh="热迁移总时间", **TIME,
          applies=disk("shared"), source="GB/T 35293; libvirt job statistics",
          definition="From start to completion of a live migration with shared storage, by the platform's counters."),
    worst(measured("migration.total"), id="MIG-01.worst", name="Live-migration total time, bound of 95 % of moves",
          name_zh="热迁移总时间（95%容许限）", **TIME, applies=disk("shared"), source="GB/T 35293; ISO 16269-6",
          definition="What 95 % of all live migrations stay below, with 95 % confidence."),
    times(measured("migration.downtime"), id="MIG-02", name="Hypervisor-reported downtime", name_zh="热迁移停机时间",
          **TIME, applies=every, source="libvirt and QEMU job statistics",
          definition="How long the guest was paused, as the platform itself believes."),
    times(interruption("icmp"), id="MIG-03", name="Client-observed interruption", name_zh="热迁移业务中断时间", **SEEN,
          applies=every, source="virtmark: outages of a scheduled probe",
          definition="How long the guest answered no echo from outside around a move."),
    worst(interruption("icmp"), id="MIG-03.worst", name="Client-observed interruption, bound of 95 % of moves",
          name_zh="热迁移业务中断时间（95%容许限）", **SEEN, applies=every, source="virtmark; ISO 16269-6",
          definition="What 95 % of all interruptions stay below, with 95 % confidence."),
    times(interruption("udp"), id="MIG-03.udp", name="Client-observed interruption of a service",
          name_zh="热迁移业务中断时间（UDP服务）", **SEEN, applies=every,
          source="virtmark: outages of a scheduled probe",
          definition="How long a program in the guest answered no datagram from outside around a move."),
    times(measured("migration.heartbeat"), id="MIG-03.inside", name="Interruption of the guest's heartbeat",
          name_zh="热迁移心跳中断时间", **TIME, applies=every, source="virtmark: heartbeat stamped outside",
          definition="How long no heartbeat of the guest arrived outside around a move."),
    single(Method(score=degradation, estimator=stats.mean_ci), id="MIG-04",
           name="Requests not answered in time during migration", name_zh="迁移期间性能下降", unit="1",
           direction=DOWN, **COMMON, applies=every, source="VMmark 3; SPECvirt Datacenter 2021",
           definition="Share of open-loop HTTP requests during moves that were late or lost, relative to before."),
    success(sound, corrupted, id="MIG-05", name="Migration success rate and integrity",
            name_zh="迁移成功率与数据完整性", unit="1", direction=UP, **COMMON, applies=every,
            source="GB/T 22239-2019; virtmark: network, commands, memory pages, file hashes and kernel log checked",
            definition="Share of moves after which the guest was found sound by all checks."),
    times(measured("migration.total"), id="MIG-06", name="Migration time with storage", name_zh="存储迁移时间", **TIME,
          applies=disk("copied"), source="VMmark 3",
          definition="From start to completion of a live migration that takes the guest's disk along."),
)
