"""Memory virtualization: bandwidth, latency of dependent loads, and what of both the guest loses."""

from __future__ import annotations

from collections.abc import Sequence

from harness.indicators.base import Indicator, Method, both, given, overhead, single, value, where
from harness.model import Step, StepResult
from harness.stats.records import Direction

UP, DOWN = Direction.HIGHER_IS_BETTER, Direction.LOWER_IS_BETTER


def measures(what: str) -> dict[str, str]:
    """Return the parameters of steps that measure `what`."""
    return {"measure": what}


def is_latency(step: Step) -> bool:
    """Return whether a step measures latency."""
    return given(step, "measure") == "latency"


def default_pages(results: Sequence[StepResult]) -> list[str]:
    """Return a warning where the kernel alone chose the size of pages."""
    sizes = {series.labels.get("pages") for result in results for series in result.series}
    return ["pages: their size was left to the kernel; huge pages on one side alone change this number"
            ] if "default" in sizes else []


COMMON = {"area": "memory", "workload": "memory"}
BANDWIDTH = Method(score=value("memory.bandwidth", part="all"))
LATENCY = Method(score=value("memory.latency"), warn=default_pages)
INDICATORS: tuple[Indicator, ...] = (
    single(BANDWIDTH, id="MEM-01", name="Memory bandwidth", name_zh="内存带宽", unit="B/s", direction=UP, **COMMON,
           applies=where("guest", **measures("bandwidth")),
           definition="Bytes per second that the threads read, wrote, or both (stream), over blocks beyond the caches.",
           source="OPNFV Yardstick TC012, TC069; ETSI GS NFV-TST 001"),
    single(LATENCY, id="MEM-02", name="Memory read latency", name_zh="内存读时延", unit="s", direction=DOWN, **COMMON,
           applies=where("guest", **measures("latency")),
           definition="Mean time of a load that waits for the one before, over a random ring through `span` bytes, "
                      "one node in each cache line; caches and address translation included.",
           source="OPNFV Yardstick TC010; ETSI GS NFV-TST 001"),
    overhead(BANDWIDTH, UP, id="MEM-03", name="Memory virtualization overhead, bandwidth",
             name_zh="内存虚拟化损耗率（带宽）", **COMMON, applies=both(lambda step: not is_latency(step)),
             definition="Share of memory bandwidth lost in the guest against its host, paired by round.",
             source="virtmark: paired arms in one round"),
    overhead(LATENCY, DOWN, id="MEM-03.latency", name="Memory virtualization overhead, latency",
             name_zh="内存虚拟化损耗率（时延）", **COMMON, applies=both(is_latency),
             definition="Relative increase of the latency of dependent loads in the guest, paired by round.",
             source="virtmark: paired arms in one round"),
)
