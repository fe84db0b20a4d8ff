"""Disk I/O on one file, measured by fio: rates, latency histograms, and a rate per window for the steady-state gate.

The one thing to know: the file is written in full before anything is measured, and O_DIRECT is used where the file
system allows it; where not, the series say direct=0 and show the page cache, not the disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

import msgspec

from drivers.tools import fio
from drivers.tools.reading import one
from drivers.workloads._machines import GRACE, Where, marked, shifted, side
from harness.model import Record, Series
from harness.protocols import Completed, Lab, Machine, Target
from harness.units import Bytes, Rate, Seconds, Share

SLOWEST = 2e6  # B/s; a disk that fills slower than this is taken for dead


class Disk(Record, frozen=True, kw_only=True):
    """`pattern` with `block` at `depth` for `duration`, after `precondition` full overwrites of the file.

    `load` below 100 % first measures for `calibrate` what the disk can do, then offers that share of it in an open
    loop. `mix` is the share of reads in randrw. The file lies in the machine's working directory; the target says on
    which disk that is. It is removed afterwards; with `keep` it stays for the other steps of the round, which then
    need not fill a file of this size again, and goes with the guest.
    """

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("fio",)

    pattern: fio.Pattern
    block: Bytes = Bytes(4096)
    depth: int = 32
    jobs: int = 1
    mix: Share = Share(0.7)
    size: Bytes = Bytes(2**30)
    precondition: int = 2
    keep: bool = False
    duration: Seconds = Seconds(300)
    ramp: Seconds = Seconds(0)
    load: Share = Share(1)
    calibrate: Seconds = Seconds(10)
    window: Seconds = Seconds(1)
    direct: Literal["auto", "yes", "no"] = "auto"
    engine: Literal["libaio", "io_uring", "psync"] = "libaio"
    where: Where = "guest"

    def __post_init__(self) -> None:
        wrong = {
            "engine = psync has one I/O at a time; take depth = 1 or engine = libaio":
                self.engine == "psync" and self.depth > 1,
            "depth, jobs and precondition must be at least 1": min(self.depth, self.jobs, self.precondition) < 1,
            "block must be at least 512B and the size a multiple of it": self.block < 512 or self.size % self.block,
            "load must be above 0% and at most 100%": not 0 < self.load <= 1,
            "mix must be between 1% and 99%": not 0.01 <= self.mix <= 0.99,
            "duration must be two windows at least, and a window 10ms": not 0.02 <= 2 * self.window <= self.duration,
        }
        if reasons := [text for text, bad in wrong.items() if bad]:
            raise ValueError(reasons[0])

    def seconds(self) -> float:
        """Return how long one step takes, filling the file at 500 MB/s included (with `keep` once for five steps)."""
        calibrated = self.calibrate + 0.3 if self.load < 1 else 0.0
        filling = self.size * self.precondition / 500e6 + 0.3
        return self.duration + self.ramp + calibrated + (filling / 5 if self.keep else filling) + 0.5

    def run(self, target: Target, lab: Lab) -> Iterator[Series]:
        """Fill, measure once, yield rates, latencies and the rate per window; remove the file in any case."""
        began, machine = lab.clock.now(), side(lab, self.where)
        stem = f"virtmark-{lab.rng.randrange(16**8):08x}"
        file, direct = self._kept(machine) if self.keep else ("", True)
        try:
            if not file:
                file = f"virtmark-{self.size:.0f}-{self.precondition}" if self.keep else stem
                file, direct = self._fill(machine, file)
            offered = self._offer(machine, file, direct)
            start = lab.clock.now() - began + self.ramp
            job = self._job(file, direct, stem, offered, self.duration)
            series = job.parse(self._run(machine, job))
            log = machine.read(f"{stem}_iops.log").decode("ascii", "replace")
        finally:
            if not self.keep:
                machine.run(["rm", "-f", f"{stem}_iops.log", *filter(None, [file])], timeout=GRACE)
        marks = {key: value for key, value in series[0].labels.items() if key not in ("op", "stat")}
        series += [shifted(each, start) for each in fio.windows(log, "disk.rate", "1/s", self.window, marks)]
        series += [one("disk.offered", "1/s", offered, **marks)] if offered else []
        for each in series:
            yield marked(each, where=self.where)

    def _kept(self, machine: Machine) -> tuple[str, bool]:
        """Return the file that an earlier step of the round left ("": none), and whether it was written by O_DIRECT."""
        kind = {"auto": "*", "yes": "direct", "no": "cached"}[self.direct]
        names = machine.run(["sh", "-c", f"ls virtmark-{self.size:.0f}-{self.precondition}.{kind}"],
                            timeout=GRACE).stdout
        file = (names.split() or [""])[0]
        return file, file.endswith(".direct")

    def _fill(self, machine: Machine, stem: str) -> tuple[str, bool]:
        """Write the file; return its name, and whether it was done by O_DIRECT. Half a file is never left."""
        job = fio.Fill(file=f"{stem}.direct", size=self.size, loops=self.precondition, direct=self.direct != "no")
        patience = self.size * self.precondition / SLOWEST + GRACE
        try:
            done = machine.run(job.argv(), timeout=patience)
            if self.direct == "auto" and re.search(r"O_DIRECT|direct=1", done.stderr):
                machine.run(["rm", "-f", job.file], timeout=GRACE)
                job = msgspec.structs.replace(job, file=f"{stem}.cached", direct=False)
                done = machine.run(job.argv(), timeout=patience)
            job.parse(_output(done))
        except BaseException:
            machine.run(["rm", "-f", job.file], timeout=GRACE)
            raise
        return job.file, job.direct

    def _offer(self, machine: Machine, file: str, direct: bool) -> Rate:
        """Return the rate to offer in 1/s, 0 for as much as goes."""
        if self.load >= 1:
            return Rate(0)
        job = self._job(file, direct, "", Rate(0), self.calibrate)
        most = sum(each.values[0] for each in job.parse(self._run(machine, job)) if each.metric == "disk.rate")
        return Rate(most * self.load)

    def _job(self, file: str, direct: bool, logs: str, rate: Rate, duration: Seconds) -> fio.Load:
        return fio.Load(file=file, size=self.size, pattern=self.pattern, block=self.block, depth=self.depth,
                        jobs=self.jobs, duration=duration, ramp=self.ramp, mix=self.mix, direct=direct,
                        engine=self.engine, rate=rate, logs=logs, window=self.window)

    def _run(self, machine: Machine, job: fio.Load) -> str:
        return _output(machine.run(job.argv(), timeout=job.duration + job.ramp + GRACE))


def _output(done: Completed) -> str:
    """Return what fio printed; its complaints stand on standard error, which is empty when all is well."""
    if done.code and "{" not in done.stdout:
        done.checked()
    return done.stdout if not done.code else f"{done.stderr}\n{done.stdout}"
