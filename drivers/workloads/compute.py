"""Computing power: sysbench's prime numbers or stress-ng's matrix products, on one thread, some, or all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from drivers.tools import stress_ng, sysbench
from drivers.workloads._machines import GRACE, Processors, Threads, Where, marked, processors, side, threads_checked
from harness.model import Record, Series
from harness.protocols import Lab, Target
from harness.units import Seconds


class Compute(Record, frozen=True, kw_only=True):
    """A fixed load for `duration`; `threads` = "all" means the guest's processors, on the host arm too."""

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("sysbench", "stress-ng")

    method: Literal["prime", "matrixprod"] = "prime"
    threads: Threads = 1
    duration: Seconds = Seconds(60)
    prime: int = 20000
    where: Where = "guest"

    def __post_init__(self) -> None:
        threads_checked(self.threads)
        sysbench.whole(self.duration)
        if self.prime < 3:
            raise ValueError(f"prime = {self.prime}; at least 3")

    def seconds(self) -> float:
        """Return how long one step takes."""
        return self.duration + 0.2

    def run(self, target: Target, lab: Lab) -> Iterator[Series]:
        """Run once and yield the rate."""
        machine = side(lab, self.where)
        known = processors(lab.guest()) if self.threads == "all" else Processors(int(self.threads), "")
        threads = known.number
        job = (sysbench.Cpu(threads=threads, duration=self.duration, prime=self.prime) if self.method == "prime"
               else stress_ng.Matrixprod(threads=threads, duration=self.duration))
        done = machine.run(job.argv(), timeout=self.duration + GRACE).checked()
        for series in job.parse(done.stdout + done.stderr):
            yield marked(series, where=self.where, **({"clock": known.clock} if known.clock else {}))
