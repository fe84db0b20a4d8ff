"""stress-ng: what it prints with --metrics, one stressor a point; or its file of --yaml, which names the version.

The one thing to know: "bogo operations" compare only with themselves, same version on both sides. The output does not
tell the method of the cpu stressor; `--set method=matrixprod` does, and then it counts for CPU-01 and CPU-02.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from drivers.imports._measured import Measured, general, number
from drivers.imports._units import score
from drivers.tools import stress_ng
from drivers.tools.reading import complaint
from harness.errors import ToolError
from harness.model import Value
from harness.units import Seconds

TOOL = stress_ng.TOOL
HEAD = re.compile(r"stressor\s+bogo ops real time\s+usr time\s+sys time\s+bogo ops/s\s+bogo ops/s")
ROW = re.compile(r"\]\s+(?P<name>[a-z][\w-]*)\s+(?P<count>\d+)\s+(?P<real>[\d.]+)\s+[\d.]+\s+[\d.]+\s+(?P<rate>[\d.]+)"
                 r"\s+[\d.]+")
BLOCK = re.compile(r"^\s*- stressor: (?P<name>\S+)\n(?P<rest>(?:\s+[\w.-]+: .*\n)+)", re.MULTILINE)


class StressNg:
    """Reads what stress-ng prints or writes."""

    EXPECTED: ClassVar[str] = "what stress-ng prints with --metrics, or its file of --yaml"
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return operations per second of real time of each stressor; of stream, the bandwidth of memory."""
        return _yaml(text) if text.lstrip().startswith("---") else _printed(text, str(settings.get("method", "")))


def _printed(text: str, method: str) -> list[Measured]:
    if not HEAD.search(text):
        raise ToolError(f"{TOOL}: printed no table of metrics in the known columns; it said {complaint(text)!r}")
    stress_ng.ended(text)
    rows = {row["name"]: row for row in ROW.finditer(text)}
    dispatched = re.search(r"dispatching hogs: (.+)", text)
    hogs = {name: int(count) for count, name in re.findall(r"(\d+) ([\w-]+)", dispatched[1] if dispatched else "")}
    if missing := hogs.keys() - rows.keys():
        raise ToolError(f"{TOOL}: printed no metrics of {min(missing)!r}; it was cut off, or that stressor was skipped")
    return [_stressor(text, row, hogs.get(name, 1), method) for name, row in rows.items()]


def _stressor(text: str, row: re.Match[str], threads: int, method: str) -> Measured:
    name, elapsed = row["name"], float(row["real"])
    params: dict[str, Value] = {"threads": threads, "duration": f"{max(1, round(elapsed))}s"}
    if name == "cpu" and method == "matrixprod":
        job = stress_ng.Matrixprod(threads=threads, duration=Seconds(elapsed))
        return Measured(workload="compute", stage="stress-ng-cpu", params=params, series=job.parse(text),
                        elapsed=elapsed, version="unknown")
    if name == "stream" and "memory rate:" in text:
        bandwidth = stress_ng.Stream(threads=threads, duration=Seconds(max(elapsed, stress_ng.SHORTEST_STREAM)))
        return Measured(workload="memory", stage="stress-ng-stream", series=bandwidth.parse(text), elapsed=elapsed,
                        params=params | {"measure": "bandwidth", "operation": "stream"}, version="unknown")
    return general(TOOL, name, [score("rate", "1/s", float(row["rate"]), stat="mean")], params=params, elapsed=elapsed,
                   version="unknown")


def _yaml(text: str) -> list[Measured]:
    """Read the fixed layout that stress-ng writes; it is no YAML of anybody else's."""
    version = re.search(r"^\s+stress-ng-version: (\S+)$", text, re.MULTILINE)
    kernel = re.search(r"^\s+release: (\S+)$", text, re.MULTILINE)
    began = re.search(r"^\s+epoch-secs: (\d+)$", text, re.MULTILINE)
    blocks = list(BLOCK.finditer(text))
    if not version or not blocks or not text.rstrip().endswith("..."):
        what = "no version" if not version else "no metrics" if not blocks else "no end ('...')"
        raise ToolError(f"{TOOL}: {what} in its YAML")
    facts = {"kernel.release": kernel[1]} if kernel else {}
    return [_block(block, version[1], float(began[1]) if began else 0.0, facts) for block in blocks]


def _block(block: re.Match[str], version: str, began: float, facts: Mapping[str, str]) -> Measured:
    name, said = block["name"], dict(re.findall(r"^\s+([\w.-]+): (.*)$", block["rest"], re.MULTILINE))
    rate = number(said.get("bogo-ops-per-second-real-time"), TOOL, f"{name}: bogo-ops-per-second-real-time")
    elapsed = number(said.get("wall-clock-time"), TOOL, f"{name}: wall-clock-time")
    return general(TOOL, name, [score("rate", "1/s", rate, stat="mean")], version=version, started=began, facts=facts,
                   params={"duration": f"{max(1, round(elapsed))}s"}, elapsed=elapsed)
