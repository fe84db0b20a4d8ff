"""Network virtualization: throughput on one host and across hosts, overhead, round-trip times, jitter and loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness import stats
from harness.indicators import percentiles
from harness.indicators.base import Indicator, Method, both, given, overhead, pick, single, value, where
from harness.model import Series, Step, StepResult
from harness.stats.records import Check, Direction, StatsPolicy

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER
FULL = 0.98  # of a core


def generator(results: Sequence[StepResult], policy: StatsPolicy) -> tuple[Check, ...]:
    """Return whether a full processor at one end, and not the network, may have been the limit."""
    used = [series.values[0] for result in results for series in pick(result, "net.cpu")]
    return (Check("ends not saturated", True, max(used), FULL, "" if max(used) < FULL else
                  "caution: one end used a whole processor; this is the limit of the ends as much as of the network"),
            ) if used else ()


def loopback(results: Sequence[StepResult]) -> list[str]:
    """Return a warning where both ends were one machine."""
    paths = {series.labels.get("path") for result in results for series in result.series}
    return ["loopback: both ends are one machine; no network was crossed"] if "loopback" in paths else []


def trips(result: StepResult) -> Series:
    """Return the round-trip times of a step."""
    found = pick(result, "net.latency", stat="sample")
    if not found:
        raise ValueError(f"{result.step.id}: no round-trip times")
    return found[0]


def step_of(results: Sequence[StepResult]) -> float:
    """Return the resolution of the round-trip times in s: the coarsest that was printed."""
    return max(float(trips(result).labels.get("resolution", 0)) for result in results)


def kept(result: StepResult) -> float:
    """Return the share of sent bytes that were not sent again."""
    segments = value("net.retransmits")(result)
    sent = value("net.sent")(result)
    return 1 - min(1.0, segments * value("net.segment")(result) / sent)


def least_loss(results: Sequence[StepResult]) -> float:
    """Return the resolution of a share of lost packets: one of the fewest sent."""
    return 1 / min(value("net.packets")(result) for result in results)


def round_trip(p: float | None) -> Method:
    """Return how round-trip times are scored: a percentile of a step, or (None) their mean."""
    if p is None:
        return Method(score=lambda result: percentiles.mean(trips(result)), resolution=step_of, warn=loopback)
    return Method(score=lambda result: percentiles.at(trips(result), p), resolution=step_of, warn=loopback,
                  gates=(percentiles.sample_gate(trips, p),))


def tcp(path: str) -> Callable[[Step], bool]:
    """Return the predicate of TCP steps between guests, or from the client, on a path."""
    return where("guest", measure="tcp", path=path)


COMMON = {"area": "network", "workload": "network"}
RTT = where("guest", measure="rtt")
TCP = Method(score=value("net.bandwidth", stat="mean", side="receiver"), gates=(generator,), warn=loopback)
INDICATORS: tuple[Indicator, ...] = (
    single(TCP, id="NET-01", name="TCP throughput, same host", name_zh="同主机虚机间吞吐", unit="B/s", direction=UP,
           **COMMON, applies=tcp("same-host"), source="ETSI GS NFV-TST 001, throughput provided to a VM",
           definition="Bytes per second received over TCP between two guests of one host."),
    single(TCP, id="NET-02", name="TCP throughput, across hosts", name_zh="跨主机虚机间吞吐", unit="B/s", direction=UP,
           **COMMON, applies=tcp("cross-host"), source="ETSI GS NFV-TST 001; RFC 6349",
           definition="Bytes per second received over TCP between guests of two hosts."),
    single(Method(score=kept, estimator=stats.mean_ci, warn=loopback), id="NET-02.efficiency", name="TCP efficiency",
           name_zh="TCP效率", unit="1", direction=UP, **COMMON, applies=tcp("cross-host"), source="RFC 6349",
           definition="Share of sent bytes that were not retransmitted."),
    single(TCP, id="NET-02.client", name="TCP throughput, client to guest", name_zh="客户端到虚机吞吐", unit="B/s",
           direction=UP, **COMMON, applies=tcp("client"), source="ETSI GS NFV-TST 001, throughput provided to a VM",
           definition="Bytes per second received in the guest over TCP from the client outside."),
    overhead(TCP, UP, id="NET-03", name="Network virtualization overhead, throughput",
             name_zh="网络虚拟化损耗率（吞吐）", **COMMON, applies=both(lambda step: given(step, "measure") == "tcp"),
             definition="Share of TCP throughput lost between guests against their hosts, paired by round.",
             source="RFC 8172; virtmark: paired arms in one round"),
    overhead(round_trip(None), DOWN, id="NET-03.latency", name="Network virtualization overhead, round trip",
             name_zh="网络虚拟化损耗率（时延）", **COMMON, applies=both(lambda step: given(step, "measure") == "rtt"),
             definition="Relative increase of the mean round-trip time between guests against their hosts, by round.",
             source="RFC 8172; virtmark: paired arms in one round"),
    single(round_trip(None), id="NET-04", name="Round-trip time, mean", name_zh="网络往返时延（均值）", unit="s",
           direction=DOWN, **COMMON, applies=RTT, definition="Mean round-trip time of a small packet.",
           source="OPNFV Yardstick TC002, TC043; ETSI GS NFV-TST 001"),
    single(round_trip(0.99), id="NET-04.p99", name="Round-trip time, 99th percentile", name_zh="网络往返时延（P99）",
           unit="s", direction=DOWN, **COMMON, applies=RTT, definition="99th percentile of a step's round-trip times.",
           source="OPNFV Yardstick TC002, TC043; ETSI GS NFV-TST 001"),
    single(Method(score=lambda result: max(trips(result).values), resolution=step_of, warn=loopback), id="NET-04.max",
           name="Round-trip time, maximum", name_zh="网络往返时延（最大值）", unit="s", direction=DOWN, **COMMON,
           applies=RTT, definition="Longest round-trip time of a step.", source="OPNFV Yardstick TC002, TC043"),
    single(Method(score=value("net.jitter"), warn=loopback), id="NET-05", name="Packet delay variation",
           name_zh="网络抖动", unit="s", direction=DOWN, **COMMON, applies=where("guest", measure="udp"),
           definition="Smoothed inter-arrival jitter of RFC 3550 at the end of a UDP stream of fixed rate.",
           source="OPNFV Yardstick TC011; ETSI GS NFV-TST 001"),
    single(Method(score=value("net.loss"), estimator=stats.mean_ci, resolution=least_loss, warn=loopback),
           id="NET-05.loss", name="Datagrams lost", name_zh="UDP丢包率", unit="1", direction=DOWN, **COMMON,
           applies=where("guest", measure="udp"), definition="Share of the datagrams of a UDP stream that were lost.",
           source="OPNFV Yardstick TC011; ETSI GS NFV-TST 001"),
)
