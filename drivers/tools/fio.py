"""fio 3.x: one job in, its json+ out: rates, the exact completion-latency histogram, and a rate for every second.

The one thing to know: a histogram bin is carried as fio prints it, key in ns over 1e9 (label layout=fio), so that
the exact integer bins can be had back; mean, minimum, maximum come from fio's own exact fields, never from bins.
"""

from __future__ import annotations

import io
import re
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.tools.reading import Document, document, noted, one
from harness.errors import ToolError
from harness.model import Record, Series
from harness.units import Bytes, Rate, Seconds, Share

TOOL = "fio"
Pattern = Literal["randread", "randwrite", "randrw", "read", "write"]
OLDEST = 3


class Fill(Record, frozen=True, kw_only=True):
    """Write the whole file once, or `loops` times, with large blocks, so that what is measured is never fresh space."""

    file: str
    size: Bytes
    loops: int = 1
    direct: bool = True

    def argv(self) -> list[str]:
        """Return the command line; fio itself syncs at the end."""
        return [TOOL, "--name=fill", f"--filename={self.file}", f"--size={self.size:.0f}", "--rw=write", "--bs=1M",
                f"--loops={self.loops}", f"--direct={self.direct:d}", "--end_fsync=1", "--output-format=json"]

    def parse(self, text: str) -> None:
        """Raise ToolError unless all of it was written."""
        read = sound(document(text, TOOL))
        written = read.number("jobs", 0, "write", "io_bytes")
        if written < self.size * self.loops:
            raise ToolError(f"{TOOL}: wrote {written:.0f} of {self.size * self.loops:.0f} bytes of {self.file}")


class Load(Record, frozen=True, kw_only=True):
    """One measured job on a file that `Fill` made.

    `rate` bounds the whole job, arrivals then follow a Poisson process whatever the answers do (open loop);
    `logs` is the prefix of the per-window logs, one line each `window`.
    """

    file: str
    size: Bytes
    pattern: Pattern
    block: Bytes = Bytes(4096)
    depth: int = 32
    jobs: int = 1
    duration: Seconds = Seconds(300)
    ramp: Seconds = Seconds(0)
    mix: Share = Share(0.7)
    direct: bool = True
    engine: Literal["libaio", "io_uring", "psync"] = "libaio"
    rate: Rate = Rate(0)
    logs: str = ""
    window: Seconds = Seconds(1)

    def argv(self) -> list[str]:
        """Return the command line; jobs are reported together."""
        line = [TOOL, "--name=load", f"--filename={self.file}", f"--size={self.size:.0f}", f"--rw={self.pattern}",
                f"--bs={self.block:.0f}", f"--iodepth={self.depth}", f"--numjobs={self.jobs}", "--group_reporting=1",
                f"--direct={self.direct:d}", f"--ioengine={self.engine}", "--time_based",
                f"--runtime={milliseconds(self.duration)}", "--norandommap=1"]
        line += [f"--ramp_time={milliseconds(self.ramp)}"] if self.ramp else []
        line += [f"--rwmixread={self.mix * 100:.0f}"] if self.pattern == "randrw" else []
        line += self._rated() if self.rate else []
        line += [f"--write_iops_log={self.logs}", "--per_job_logs=0",
                 f"--log_avg_msec={self.window * 1e3:.0f}"] if self.logs else []
        return [*line, "--output-format=json+"]

    def _rated(self) -> list[str]:
        """Return the options that spread `rate` over jobs and directions."""
        each = self.rate / self.jobs
        read, write = {"randrw": (self.mix, 1 - self.mix)}.get(
            self.pattern, (1.0, 0.0) if "read" in self.pattern else (0.0, 1.0))
        return [f"--rate_iops={max(1, round(each * read))},{max(1, round(each * write))}", "--rate_process=poisson"]

    def parse(self, text: str) -> list[Series]:
        """Return rate, bandwidth and latency of each direction that did any I/O."""
        read = sound(document(text, TOOL))
        labels = {"tool": TOOL, "engine": self.engine, "direct": str(int(self.direct)), "block": f"{self.block:.0f}",
                  "size": f"{self.size:.0f}"}
        series = job(read, 0, labels)
        if not series:
            raise ToolError(f"{TOOL}: the job did no I/O")
        ran = max(read.number("jobs", 0, op, "runtime") for op in ("read", "write")) / 1e3
        if ran < 0.9 * self.duration:
            raise ToolError(f"{TOOL}: ran {ran:g} s of {self.duration:g} s; it was stopped early")
        return noted(series, read.notes)


def job(read: Document, index: int, labels: dict[str, str]) -> list[Series]:
    """Return the series of one job of a json or json+ document; plain json has no histogram."""
    series: list[Series] = []
    for op in ("read", "write"):
        part = ("jobs", index, op)
        if not read.number(*part, "total_ios"):
            continue
        marks = {**labels, "op": op}
        series += [one("disk.rate", "1/s", read.number(*part, "iops"), stat="mean", **marks),
                   one("disk.bandwidth", "B/s", _bandwidth(read, part), stat="mean", **marks),
                   *_latency(read, part, marks)]
    return series


def windows(text: str, metric: str, unit: str, window: Seconds, labels: dict[str, str]) -> list[Series]:
    """Return a series per direction from a log of averages; what several jobs did in their n-th window is added.

    Windows that not all jobs have reported are left out: fio often cuts the last one. Times are s from fio's start.
    """
    rows, series = log_rows(text), []
    for way, op in ((0, "read"), (1, "write")):
        mine = rows[rows[:, 2] == way]
        # Every job appends its own log, so time goes back where the next one begins.
        jobs = np.split(mine, np.flatnonzero(np.diff(mine[:, 0]) <= 0) + 1)
        shortest = min(map(len, jobs))
        if shortest:
            total = np.sum([job[:shortest, 1] for job in jobs], axis=0)
            series.append(Series(metric=metric, unit=unit, values=tuple(total.astype(float).tolist()),
                                 times=tuple((jobs[0][:shortest, 0] / 1e3).tolist()),
                                 labels={**labels, "op": op, "stat": "series", "window": f"{window:g}"}))
    return series


def log_rows(text: str) -> NDArray[np.int64]:
    """Return the first three columns of a fio log, shape (lines, 3): time in ms, value, direction (0 is read)."""
    if not text.strip():
        return np.empty((0, 3), dtype=np.int64)
    try:
        return np.loadtxt(io.StringIO(text), delimiter=",", usecols=(0, 1, 2), dtype=np.int64, ndmin=2)
    except ValueError:
        wrong = next((number, line) for number, line in enumerate(text.splitlines(), 1)
                     if line.strip() and not re.match(r"\s*\d+\s*,\s*\d+\s*,\s*\d+\s*(,|$)", line))
        raise ToolError(f"{TOOL}: line {wrong[0]} of a log cannot be read: {wrong[1][:60]!r}") from None


def milliseconds(duration: Seconds) -> str:
    """Return a duration as fio takes it without rounding."""
    return f"{duration * 1e3:.0f}ms"


def version(read: Document) -> str:
    """Return the version, as "3.33"; ToolError where its fields mean something else (before 3.0: microseconds)."""
    said = str(read.data.get("fio version") or read.data.get("fioversion") or "")
    found = re.match(r"fio-(\d+)(\.\d+)*", said)
    if not found or int(found[1]) < OLDEST:
        raise ToolError(f"{TOOL}: output of {said or 'an unnamed version'!r}; fio {OLDEST}.0 or later is needed, "
                        "older ones count in microseconds")
    return said.removeprefix("fio-")


def sound(read: Document) -> Document:
    """Return `read` if its version is known and no job of it failed."""
    version(read)
    jobs = read.at("jobs")
    if not isinstance(jobs, list) or not jobs:
        raise ToolError(f"{TOOL}: no job in its JSON; {(*read.notes, 'it was stopped before any ended')[0]}")
    for index in range(len(jobs)):
        if code := read.number("jobs", index, "error"):
            raise ToolError(f"{TOOL}: job {index} ended with error {code:.0f}"
                            + (f"; {read.notes[0]}" if read.notes else ""))
    return read


def _bandwidth(read: Document, part: tuple[Any, ...]) -> float:
    """Return B/s: `bw_bytes` where there is one, else `bw`, which is KiB/s."""
    if "bw_bytes" in read.at(*part):
        return read.number(*part, "bw_bytes")
    return read.number(*part, "bw") * 1024


def _latency(read: Document, part: tuple[Any, ...], labels: dict[str, str]) -> list[Series]:
    where = (*part, "clat_ns")
    count = read.number(*where, "N") if "N" in read.at(*where) else read.number(*part, "total_ios")
    series = [one("disk.latency", "s", read.number(*where, stat) / 1e9, stat=stat, **labels)
              for stat in ("mean", "min", "max")]
    series.append(one("disk.count", "1", count, **labels))
    bins = read.at(*where).get("bins")
    if bins:
        if sum(bins.values()) != count:
            raise ToolError(f"{TOOL}: {'.'.join(map(str, where))}: bins hold {sum(bins.values())} of {count:.0f} I/Os")
        ordered = sorted((int(key), float(n)) for key, n in bins.items())
        series.append(Series(metric="disk.latency", unit="s", values=tuple(key / 1e9 for key, _ in ordered),
                             weights=tuple(n for _, n in ordered),
                             labels={**labels, "stat": "histogram", "layout": TOOL}))
    return series
