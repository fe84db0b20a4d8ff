"""cyclictest of rt-tests 2.x: how late a thread wakes up, as an exact histogram in whole microseconds.

The one thing to know: bin k counts wake-ups that were [k, k+1) us late, and what lies beyond the last bin is counted
as overflow, never dropped: a quantile that falls there is right-censored.
"""

from __future__ import annotations

import re

from drivers.tools.reading import complaint, found, one
from harness.errors import ToolError, Unsupported
from harness.model import Record, Series
from harness.units import Seconds

TOOL = "cyclictest"


class Cyclictest(Record, frozen=True, kw_only=True):
    """One thread of real-time priority that sleeps to absolute times `interval` apart; cyclictest runs as no other."""

    duration: Seconds = Seconds(600)
    interval: Seconds = Seconds(0.001)
    bins: int = 20000
    priority: int = 95

    def argv(self) -> list[str]:
        """Return the command line; the number of loops ends it, so that short runs are exact."""
        loops = max(1, round(self.duration / self.interval))
        return [TOOL, "--mlockall", "--policy=fifo", f"--priority={self.priority}",
                f"--interval={self.interval * 1e6:.0f}", f"--loops={loops}", f"--histogram={self.bins}", "--quiet"]

    def parse(self, text: str) -> list[Series]:
        """Return the histogram (values in s, weights are counts), the exact extremes, and the overflow."""
        if "Unable to change scheduling policy" in text:
            raise Unsupported(f"{TOOL}: real-time priority is not allowed here; it takes CAP_SYS_NICE and, in control "
                              "groups of version 1, cpu.rt_runtime_us above 0")
        bins = [(int(late), int(count)) for late, count in re.findall(r"^(\d{6,}) (\d{6,})\s*$", text, re.MULTILINE)]
        if not bins:
            raise ToolError(f"{TOOL}: printed no histogram; it said {complaint(text)!r}")
        overflow = found(r"^# Histogram Overflows:\s*(\d+)", text, TOOL, "count of overflows")
        total = found(r"^# Total:\s*(\d+)", text, TOOL, "total")
        kept = [(late, count) for late, count in bins if count]
        if (counted := sum(count for _, count in kept)) != total:
            raise ToolError(f"{TOOL}: the histogram holds {counted} wake-ups, its total says {total:.0f}")
        if not kept:
            raise ToolError(f"{TOOL}: all {overflow:.0f} wake-ups were later than {self.bins} us; take more bins")
        labels = {"tool": TOOL, "policy": "fifo"}
        extremes = [one("scheduling.latency", "s", found(rf"^# {name} Latencies:\s*(\d+)", text, TOOL, name) / 1e6,
                        stat=stat, **labels) for stat, name in (("min", "Min"), ("mean", "Avg"), ("max", "Max"))]
        return [Series(metric="scheduling.latency", unit="s", values=tuple(late / 1e6 for late, _ in kept),
                       weights=tuple(float(count) for _, count in kept),
                       labels={"stat": "histogram", "layout": "us", **labels}),
                *extremes, one("scheduling.overflow", "1", overflow, **labels)]
