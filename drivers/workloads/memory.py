"""Memory: bandwidth (sysbench, or stress-ng's STREAM) and the latency of dependent loads (sysbench's LuaJIT).

The one thing to know: a latency is that of one load which waits for the one before, over a random ring through `span`
bytes. Caches and address translation are part of it, and nested paging shows there first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from drivers.tools import stress_ng, sysbench
from drivers.workloads._machines import GRACE, Threads, Where, marked, processors, side, threads_checked
from harness.model import Record, Series
from harness.protocols import Lab, Machine, Target
from harness.units import Bytes, Seconds

PAGE = 4096


class Memory(Record, frozen=True, kw_only=True):
    """One measurement of `measure`; `span` is the block of each thread (bandwidth by sysbench) or the ring (latency).

    `operation` = "stream" is stress-ng's, which sizes its arrays itself; `pages` asks for small or huge ones.
    """

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("sysbench", "stress-ng")

    measure: Literal["bandwidth", "latency"]
    operation: Literal["read", "write", "stream"] = "read"
    threads: Threads = 1
    span: Bytes = Bytes(64 * 2**20)
    pages: Literal["default", "small", "huge"] = "default"
    duration: Seconds = Seconds(60)
    where: Where = "guest"

    def __post_init__(self) -> None:
        threads_checked(self.threads)
        sysbench.whole(self.duration)
        latency = self.measure == "latency"
        if latency and (self.threads not in (1, "1") or self.operation != "read"):
            raise ValueError("measure = latency is one thread reading; leave out threads and operation")
        if not latency and self.pages != "default":
            raise ValueError(f"pages = {self.pages} is for measure = latency; leave it out")
        if self.operation == "stream" and self.duration < stress_ng.SHORTEST_STREAM:
            raise ValueError(f"operation = stream takes {stress_ng.SHORTEST_STREAM:g} s at least")
        if self.span % PAGE or not PAGE <= self.span <= 2**32:
            raise ValueError(f"span = {self.span:.0f} B; whole pages of 4 KiB up to 4 GiB are allowed")

    def seconds(self) -> float:
        """Return how long one step takes; building the ring is not measured but takes its time."""
        return self.duration + 0.2 + (self.span / 50e6 if self.measure == "latency" else 0.0)

    def run(self, target: Target, lab: Lab) -> Iterator[Series]:
        """Run once and yield bandwidth or latency."""
        machine = side(lab, self.where)
        found = self._latency(machine, lab) if self.measure == "latency" else self._bandwidth(machine, lab)
        for series in found:
            yield marked(series, where=self.where)

    def _bandwidth(self, machine: Machine, lab: Lab) -> list[Series]:
        threads = processors(lab.guest()).number if self.threads == "all" else int(self.threads)
        job = (stress_ng.Stream(threads=threads, duration=self.duration) if self.operation == "stream" else
               sysbench.Memory(threads=threads, duration=self.duration, block=self.span, operation=self.operation))
        done = machine.run(job.argv(), timeout=self.duration + GRACE).checked()
        return job.parse(done.stdout + done.stderr)

    def _latency(self, machine: Machine, lab: Lab) -> list[Series]:
        script = f"./virtmark-{lab.rng.randrange(16**8):08x}.lua"
        job = sysbench.Chase(script=script, span=self.span, duration=self.duration, pages=self.pages)
        machine.write(script, sysbench.chase_script())
        try:
            done = machine.run(job.argv(), timeout=self.duration + self.span / 1e6 + GRACE).checked()
            return job.parse(done.stdout + done.stderr)
        finally:
            machine.run(["rm", "-f", script], timeout=GRACE)
