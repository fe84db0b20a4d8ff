"""fio 3: its JSON (--output-format=json or json+), one job a point."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from drivers.imports._measured import Measured
from drivers.tools import fio
from drivers.tools.reading import Document, document, noted
from harness.errors import ToolError
from harness.model import Value

UNITS = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "kib": 2**10, "m": 2**20, "mb": 2**20, "mib": 2**20, "g": 2**30,
         "gb": 2**30, "gib": 2**30}


class Fio:
    """Reads the JSON of fio."""

    EXPECTED: ClassVar[str] = "the JSON of fio 3.0 or later"
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return rates, latencies and histograms of each job."""
        read = document(text, fio.TOOL)
        fio.sound(read)
        shared = read.data.get("global options", {})
        names = [str(each.get("jobname")) for each in read.at("jobs")]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ToolError(f"{fio.TOOL}: {names.count(twice[0])} jobs called {twice[0]!r} ran side by side and were "
                            "not reported together; fio's group_reporting=1 is needed")
        return [measured for index in range(len(read.at("jobs")))
                if (measured := _fio_job(read, index, shared | read.at("jobs", index).get("job options", {})))]


def _fio_job(read: Document, index: int, options: Mapping[str, str]) -> Measured | None:
    direct = str(int(options.get("direct", "0") not in ("0", "") or options.get("buffered") == "0"))
    labels = {"tool": fio.TOOL, "engine": options.get("ioengine", "psync"), "direct": direct}
    series = fio.job(read, index, labels)
    if not series:
        return None
    params: dict[str, Value] = {"pattern": options.get("rw", "read"), "depth": int(options.get("iodepth", "1")),
                                "jobs": int(options.get("numjobs", "1"))}
    if size := _size(options.get("bs", "4k")):
        params["block"] = f"{size}B"
    runtime = max(read.number("jobs", index, op, "runtime") for op in ("read", "write")) / 1e3
    params |= {"duration": f"{runtime:.0f}s", "window": "none"}  # fio's JSON holds no history of rates
    return Measured(workload="disk", stage=str(read.at("jobs", index).get("jobname", "job")), params=params,
                    series=noted(series, read.notes), elapsed=runtime, version=fio.version(read),
                    started=float(read.data.get("timestamp_ms", 0)) / 1e3 - runtime)


def _size(text: str) -> int | None:
    """Return a size as fio writes it ("4k" is 4096), None for one that is no single size ("4k-64k")."""
    match = re.fullmatch(r"(\d+)([a-z]*)", text.strip().lower())
    return int(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else None
