"""How late a thread of real-time priority wakes up in the guest, measured by cyclictest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from drivers.tools.cyclictest import Cyclictest
from drivers.workloads._machines import GRACE, Where, marked, side
from harness.model import Record, Series
from harness.protocols import Lab, Target
from harness.units import Seconds


class Scheduling(Record, frozen=True, kw_only=True):
    """One thread that wakes up every `interval` for `duration`; lateness beyond `limit` is counted, not resolved."""

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("cyclictest",)

    duration: Seconds = Seconds(600)
    interval: Seconds = Seconds(0.001)
    limit: Seconds = Seconds(0.05)
    where: Where = "guest"

    def __post_init__(self) -> None:
        if not 50e-6 <= self.interval <= self.duration:
            raise ValueError(f"interval = {self.interval:g}s; from 50us up to the duration is allowed")
        if not 0.001 <= self.limit <= 1:
            raise ValueError(f"limit = {self.limit:g}s; from 1ms to 1s is allowed")

    def seconds(self) -> float:
        """Return how long one step takes."""
        return self.duration + 0.2

    def run(self, target: Target, lab: Lab) -> Iterator[Series]:
        """Run once and yield the histogram of lateness; Unsupported where real-time priority is not allowed."""
        job = Cyclictest(duration=self.duration, interval=self.interval, bins=round(self.limit * 1e6))
        done = side(lab, self.where).run(job.argv(), timeout=2 * self.duration + GRACE)
        for series in job.parse(done.stdout + done.stderr):
            yield marked(series, where=self.where)
