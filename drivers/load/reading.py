"""What the generator is called by and what it wrote: command lines, rows of requests, and series made of rows.

The one thing to know: every request is a row of the output, and every histogram and rate is made of rows. Rows of
several workers are counted into one histogram, so that it is that of all requests, exactly; each counts time from the
begin of the one schedule on its own clock.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.load import schedule
from drivers.load.schedule import COLUMNS, CUT, NEVER, OK, REFUSED, TIMEOUT, UNSENT
from harness.errors import ToolError
from harness.model import Series
from harness.stats import FioLayout, LatencyHistogram, clock_fit

TOOL, MODULE = "locust", "drivers.load.generator"
VERSION = "import importlib.metadata; print(importlib.metadata.version('locust'))"
SAID = {REFUSED: "refused", TIMEOUT: "no answer in time", UNSENT: "not sent in time",
        CUT: "no answer before the end"}
WINDOWS = 600       # a longer run is shown in windows of several seconds
LAYOUT = FioLayout()
Column = NDArray[np.int64]


def argv(python: str, folder: str, spec: Mapping[str, Any]) -> list[str]:
    """Return the command line of one process of the generator, whose files lie in `folder`."""
    return ["env", f"PYTHONPATH={folder}", python, "-m", MODULE, worded(spec)]


def worded(spec: Mapping[str, Any]) -> str:
    """Return what a process is told as text."""
    return json.dumps(spec, separators=(",", ":"))


@dataclass(eq=False)
class Output:
    """What one process wrote: its head, when the schedule began on its clock (ns), its rows, and what went wrong.

    `cpu` is the processor time that it had used before (ns).
    """

    head: dict[str, Any]
    begin: int = 0
    cpu: int = 0
    end: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    names: dict[int, str] = field(default_factory=dict)
    lost: list[tuple[int, float]] = field(default_factory=list)
    clocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=list)

    def rows(self) -> Iterator[dict[str, Column]]:
        """Yield the rows block by block; `intended` in ns since the begin of the schedule."""
        for block in self.blocks:
            found = {name: unpacked(block[name], rising=name == "intended") for name in COLUMNS}
            if any(len(column) != block["rows"] for column in found.values()):
                raise ToolError(f"{TOOL}: a block of {block['rows']} rows has columns of other lengths")
            yield found | {"intended": found["intended"] - self.begin}


def read(text: str) -> Output:
    """Return what the lines of a process hold; ToolError if they are none. A last line that was cut off is left out."""
    found = Output({})
    try:
        for line in text.splitlines():
            if not (line.startswith("{") and line.endswith("}")):
                continue
            said = json.loads(line)
            if "head" in said:
                found.head = said
            elif "rows" in said:
                found.blocks.append(said)
            elif "names" in said:
                found.names |= {int(number): name for number, name in said["names"].items()}
            elif "begin" in said:
                found.begin, found.cpu = said["begin"], said.get("cpu", 0)
            elif "lost" in said:
                found.lost.append((said["lost"], said["after"] / 1e9))
            elif "clock" in said:
                found.clocks[said["clock"]] = said
            elif "end" in said:
                found.end = said
            found.error = said.get("error", found.error)
    except (KeyError, TypeError, ValueError) as error:
        raise ToolError(f"{TOOL}: what it wrote cannot be read: {type(error).__name__}: {error}") from None
    held = sum(block["rows"] for block in found.blocks)
    if found.end and found.end["written"] != held:
        raise ToolError(f"{TOOL}: {held} of {found.end['written']} rows arrived")
    return found


def unpacked(text: str, *, rising: bool = False) -> Column:
    """Return the column that `schedule.packed` packed."""
    try:
        data = zlib.decompress(base64.b64decode(text, validate=True))
    except (zlib.error, binascii.Error) as error:
        raise ToolError(f"{TOOL}: a column of its rows cannot be read: {error}") from None
    values = np.frombuffer(data, np.uint8).reshape(8, -1).T.copy().view("<i8").reshape(-1)
    return np.cumsum(values) if rising else values


class Tally:
    """Rows, counted: one histogram of all good answers, of all delays of sending, and numbers of each second."""

    def __init__(self, window: int) -> None:
        self.window = window        # s
        self.answered, self.lag = (np.zeros(LAYOUT.size, dtype=np.int64) for _ in range(2))
        self.named: dict[str, Column] = {}
        self.refused: dict[str, int] = {}
        self.requests, self.last = 0, 0
        self.failed: dict[int, int] = {}
        self.seconds = {name: np.zeros(0, dtype=np.int64) for name in ("due", "sent", "served")}
        self.windows: dict[int, Column] = {}

    def add(self, rows: Mapping[str, Column], names: Mapping[int, str]) -> None:
        """Count a block of rows."""
        due, sent, good = rows["intended"], rows["intended"] + rows["lag"], rows["code"] == OK
        took = rows["latency"][good]
        self.requests += len(due)
        self.answered += LAYOUT.count(np.maximum(took, 0))
        self.lag += LAYOUT.count(np.maximum(rows["lag"], 0))
        for code, number in zip(*np.unique(rows["code"][~good], return_counts=True), strict=True):
            self.failed[int(code)] = self.failed.get(int(code), 0) + int(number)
        left = rows["code"] != UNSENT
        for name, at in (("due", due), ("sent", sent[left]), ("served", due[good] + took)):
            self._second(name, at)
        for which in np.unique(rows["which"]).tolist():
            its = rows["which"] == which
            mine, name = took[its[good]], names.get(which, str(which))
            self.refused[name] = self.refused.get(name, 0) + int((its & ~good).sum())
            self.named[name] = self.named.get(name, np.zeros(LAYOUT.size, dtype=np.int64)) + LAYOUT.count(mine)
        self._windows(due[good], took)
        self.last = max(self.last, int(due.max(initial=0)))

    def _second(self, name: str, at: Column) -> None:
        found = np.bincount(np.maximum(at, 0) // 10**9)
        held = self.seconds[name]
        longest = max(found.size, held.size)
        self.seconds[name] = np.pad(held, (0, longest - held.size)) + np.pad(found, (0, longest - found.size))

    def _windows(self, due: Column, took: Column) -> None:
        at = due // (10**9 * self.window)
        for number in np.unique(at).tolist():
            held = self.windows.setdefault(number, np.zeros(LAYOUT.size, dtype=np.int64))
            held += LAYOUT.count(took[at == number])


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One level of load, as its processes wrote it: the workers' outputs in order, and the master's if there was one.

    `seconds` is how long requests were to be sent; `lost` tells how a worker ended that did so too early.
    """

    workers: Sequence[Output]
    master: Output | None
    seconds: float
    lost: Sequence[str] = ()

    def tally(self) -> Tally:
        """Return all rows of all workers, counted."""
        tally = Tally(max(1, math.ceil(self.seconds / WINDOWS)))
        for worker in self.workers:
            for rows in worker.rows():
                tally.add(rows, worker.names)
        return tally

    def clock(self) -> tuple[float, float]:
        """Return what the workers' clocks leave unknown: of a moment (s), and as a share of a duration.

        A worker with the master's kernel has the master's clock, unless the exchanges show another. Of others, offset
        and drift are fitted to the exchanges of time with the master.
        """
        bound = share = 0.0
        for said in (self.master.clocks if self.master else {}).values():
            stamps = np.asarray(said["exchanges"], dtype=np.int64)
            if self.master and stamps.size and not _same(stamps, said["boot"] == self.master.head["boot"]):
                model = clock_fit(*((stamps - stamps[0, 0]).T / 1e9))
                bound = max(bound, math.hypot(model.u_offset_s, model.drift_ppm * 1e-6 * self.seconds))
                share = max(share, abs(model.drift_ppm) * 1e-6)
        return bound, share


def _same(stamps: Column, kernel: bool) -> bool:
    """Say whether exchanges (n, 4) are with a clock of the same kernel that shows the same time."""
    t1, t2, t3, t4 = stamps[np.argmin(stamps[:, 3] - stamps[:, 0] - (stamps[:, 2] - stamps[:, 1]))].tolist()
    return kernel and abs(t2 - t1 + t3 - t4) <= 2 * (t4 - t1 - (t3 - t2))


def series(shot: Shot, tally: Tally, start: float, **marks: str) -> list[Series]:
    """Return the series of one level, which began `start` s after the step did; ToolError where nothing was sent."""
    if not tally.requests:
        raise ToolError(f"{TOOL}: no request was sent in {shot.seconds:g} s")
    bound, share = shot.clock()
    marks = {"tool": TOOL, "model": shot.workers[0].head["model"], **marks}
    first = next(iter(shot.workers))
    counted = {"app.requests": tally.requests, "app.failed": sum(tally.failed.values()), "app.workers":
               len(shot.workers), "app.lost": len(shot.lost), "app.drift": share}
    made = [Series(metric=name, unit="1", values=(float(value),), labels=marks) for name, value in counted.items()]
    made += [Series(metric="app.seconds", unit="s", values=(shot.seconds,), labels=marks),
             Series(metric="app.memory", unit="B", values=tuple(map(float, first.end.get("resident", (0, 0)))),
                    labels={**marks, "stat": "begin, end"})]
    made += [Series(metric="app.failed", unit="1", values=(float(number),),
                    labels={**marks, "stat": "reason", "reason": SAID.get(code, f"status {code}")})
             for code, number in sorted(tally.failed.items())]
    made += [histogram("app.latency", tally.answered, marks), histogram("app.lag", tally.lag, marks)]
    if len(tally.named) > 1:
        for name, counts in sorted(tally.named.items()):
            part = {**marks, "stat": "part", "request": name}
            made += [histogram("app.latency", counts, part),
                     Series(metric="app.failed", unit="1", values=(float(tally.refused[name]),), labels=part)]
    return [each for each in made if each.values] + seconds(tally, shot.seconds, start, bound, marks)


def seconds(tally: Tally, length: float, start: float, bound: float, marks: Mapping[str, str]) -> list[Series]:
    """Return what was due, sent and served in each whole second, with times at its end."""
    made = []
    for name, counts in tally.seconds.items():
        counts = _whole(counts, length)
        made.append(Series(metric=f"app.{name}", unit="1/s", values=tuple(counts.astype(float).tolist()),
                           times=tuple((start + np.arange(1.0, counts.size + 1)).tolist()),
                           labels={**marks, "stat": "seconds", "clock_bound": f"{bound:.9f}"}))
    return [each for each in made if each.values]


def _whole(counts: Column, length: float) -> Column:
    """Return a number for each whole second of `length` s, also where nothing was counted any more."""
    whole = int(length + 1e-9)
    return np.pad(counts, (0, max(0, whole - counts.size)))[:whole]


def timeline(shown: Iterable[tuple[Tally, float, float]], marks: Mapping[str, str]) -> list[Series]:
    """Return the rate of good answers and the 99th percentile over the whole step, all levels after one another.

    Of each level: what was counted, when it began (s since the step did), and for how many s it sent.
    """
    rates, times, slow, slow_at = [], [], [], []
    for tally, start, length in shown:
        served = _whole(tally.seconds["served"], length)
        rates += served.astype(float).tolist()
        times += (start + np.arange(1.0, served.size + 1)).tolist()
        for number, counts in sorted(tally.windows.items()):
            if total := int(counts.sum()):
                rank = math.ceil(0.99 * total)
                slow.append(float(LAYOUT.key(int(np.searchsorted(np.cumsum(counts), rank)))) / 1e9)
                slow_at.append(start + (number + 1) * tally.window)
    return [Series(metric="app.rate", unit="1/s", values=tuple(rates), times=tuple(times),
                   labels=dict(marks)),
            Series(metric="app.p99", unit="s", values=tuple(slow), times=tuple(slow_at),
                   labels=dict(marks))]


def histogram(metric: str, counts: Column, marks: Mapping[str, str]) -> Series:
    """Return a histogram as a weighted series, keys of bins in s."""
    at = np.flatnonzero(counts)
    return Series(metric=metric, unit="s", values=tuple((LAYOUT.key(at) / 1e9).tolist()),
                  weights=tuple(counts[at].astype(float).tolist()),
                  labels={"stat": "histogram", **marks, "layout": "fio"})


def merged(outputs: Iterable[Output]) -> LatencyHistogram:
    """Return the histogram of all good answers of some processes."""
    parts = [rows["latency"][rows["code"] == OK] for output in outputs for rows in output.rows()]
    return LatencyHistogram.from_samples(np.concatenate([np.zeros(0, dtype=np.int64), *parts]))


__all__ = ["NEVER", "Output", "Shot", "Tally", "argv", "histogram", "merged", "read", "schedule", "series", "timeline",
           "unpacked"]
