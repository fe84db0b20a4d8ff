"""cyclictest of rt-tests 2.x: what it prints with --histogram and --quiet, or its file of --json.

The one thing to know: only a histogram says how late 999 of 1,000 wake-ups were; without one (no -h) nothing is read.
Several threads are added up, bin by bin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from drivers.imports._measured import Measured
from drivers.tools import cyclictest
from drivers.tools.reading import Document, document, one
from harness.errors import ToolError, Unsupported
from harness.model import Series, Value

TOOL = cyclictest.TOOL
LAYOUT = 1  # "file_version" of the JSON


class Cyclictest:
    """Reads the histogram of cyclictest."""

    EXPECTED: ClassVar[str] = "what cyclictest -h -q prints for one thread, or its file of --json, rt-tests 2.x"
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return the histogram of lateness with its extremes."""
        if text.lstrip().startswith("{"):
            return [_json(document(text, TOOL))]
        try:
            series = cyclictest.Cyclictest().parse(text)
        except Unsupported as error:
            raise ToolError(str(error)) from None
        return [Measured(workload="scheduling", stage=TOOL, params={"threads": 1}, series=series, elapsed=0.0,
                         version="unknown")]


def _json(read: Document) -> Measured:
    if read.data.get("file_version") != LAYOUT:
        raise ToolError(f"{TOOL}: file_version {read.data.get('file_version')!r}; {LAYOUT} is known")
    if code := read.at("return_code"):
        raise ToolError(f"{TOOL}: ended with code {code}")
    threads: dict[str, dict[str, Any]] = read.at("thread")
    if not threads or len(threads) != read.number("num_threads"):
        raise ToolError(f"{TOOL}: {len(threads)} of {read.data.get('num_threads')} threads are in its JSON")
    unit = 1e-9 if read.number("resolution_in_ns") else 1e-6
    labels = {"tool": TOOL, "policy": "unknown"}
    bins: Counter[int] = Counter()
    overflow = 0.0
    for name, thread in threads.items():
        counted = {int(late): int(count) for late, count in (thread.get("histogram") or {}).items()}
        if not counted:
            raise ToolError(f"{TOOL}: thread {name} has no histogram; cyclictest's option -h is needed")
        bins.update(counted)
        overflow += read.number("thread", name, "cycles") - sum(counted.values())
    kept = sorted(bins.items())
    cycles = sum(read.number("thread", name, "cycles") for name in threads)
    mean = sum(read.number("thread", name, "avg") * read.number("thread", name, "cycles") for name in threads) / cycles
    extremes = {"min": min(each["min"] for each in threads.values()), "mean": mean,
                "max": max(each["max"] for each in threads.values())}
    series = [Series(metric="scheduling.latency", unit="s", values=tuple(late * unit for late, _ in kept),
                     weights=tuple(float(count) for _, count in kept), labels={"stat": "histogram", **labels}),
              *(one("scheduling.latency", "s", value * unit, stat=stat, **labels) for stat, value in extremes.items()),
              one("scheduling.overflow", "1", overflow, **labels)]
    began = _seconds(str(read.data.get("start_time", "")))
    return Measured(workload="scheduling", stage=TOOL, params={"threads": len(threads)}, series=series, started=began,
                    elapsed=max(0.0, _seconds(str(read.data.get("end_time", ""))) - began),
                    version=str(read.data.get("rt_test_version:", "unknown")),
                    facts={"kernel.release": str(read.at("sysinfo").get("release", "unknown"))})


def _seconds(text: str) -> float:
    try:
        return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S %z").timestamp()
    except ValueError:
        return 0.0
