"""pytest-benchmark 3 to 5: the file of `pytest --benchmark-json FILE`, one benchmark a point.

The one thing to know: its "rounds" are repetitions in one process, virtmark's rounds are files. With
`--set baseline=TEXT` the benchmark of a group whose name holds TEXT is the baseline of the group: every other one gives
its time relative to that, measured by the same process, which is what can be compared from machine to machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from drivers.imports._measured import Measured, general, number, seconds
from drivers.imports._units import samples, score
from drivers.tools.reading import Document, document
from harness.errors import ToolError
from harness.model import Value

TOOL = "pytest-benchmark"
OLDEST, NEWEST = 3, 5


class PytestBenchmark:
    """Reads the JSON of pytest-benchmark."""

    EXPECTED: ClassVar[str] = "the JSON of pytest --benchmark-json, pytest-benchmark 3 to 5"
    OPTIONS: ClassVar[tuple[str, ...]] = ("baseline",)

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return the median time per call of each benchmark, and relative to the baseline of its group, if named."""
        read = document(text, TOOL)
        version = _version(read)
        if not read.at("benchmarks"):
            raise ToolError(f"{TOOL}: no benchmark in its JSON; it ran none, or all were disabled")
        facts = _facts(read)
        baselines = _baselines(read, str(settings.get("baseline", "")))
        return [_one(read, at, baselines, version, facts) for at in range(len(read.at("benchmarks")))]


def _one(read: Document, at: int, baselines: Mapping[str, tuple[str, float]], version: str,
         facts: Mapping[str, str]) -> Measured:
    here = ("benchmarks", at)
    name, group = str(read.at(*here, "fullname")), str(read.at(*here).get("group") or "")
    data = read.at(*here, "stats").get("data") or []
    middle = read.number(*here, "stats", "median")
    series = (samples("time", "s", [number(each, TOOL, f"{name}: data") for each in data]) if data
              else [score("time", "s", middle, stat="median")])
    base, time = baselines.get(group, ("", 0.0))
    params: dict[str, Value] = {"group": group} if group else {}
    if base and base != name:
        series.append(score("relative", "1", middle / time, baseline=base))
        params["baseline"] = base
    return general(TOOL, name, series, params=params, version=version, facts=facts,
                   started=seconds(read.data.get("datetime")),
                   elapsed=float(read.at(*here, "stats").get("total") or 0.0))


def _baselines(read: Document, wanted: str) -> dict[str, tuple[str, float]]:
    """Return name and median of the baseline of each group; a group without one has none."""
    found: dict[str, tuple[str, float]] = {}
    if not wanted:
        return found
    for at, each in enumerate(read.at("benchmarks")):
        group, name = str(each.get("group") or ""), str(read.at("benchmarks", at, "fullname"))
        if group and wanted in name:
            if group in found:
                raise ToolError(f"{TOOL}: baseline {wanted!r} names several benchmarks of group {group!r}: "
                                f"{found[group][0]}, {name}; one of each group is expected")
            found[group] = name, _positive(read, at, name)
    if not found:
        raise ToolError(f"{TOOL}: no benchmark of any group has {wanted!r} in its name")
    return found


def _positive(read: Document, at: int, name: str) -> float:
    middle = read.number("benchmarks", at, "stats", "median")
    if middle <= 0:
        raise ToolError(f"{TOOL}: {name}: the median {middle:g} s is no baseline; it must be positive")
    return middle


def _version(read: Document) -> str:
    said = str(read.data.get("version", ""))
    major = re.match(r"(\d+)\.", said)
    if not major or not OLDEST <= int(major[1]) <= NEWEST:
        raise ToolError(f"{TOOL}: {f'output of version {said[:40]!r}' if said else 'no version in its JSON'}")
    return said


def _facts(read: Document) -> dict[str, str]:
    commit: dict[str, Any] = read.data.get("commit_info") or {}
    machine: dict[str, Any] = read.data.get("machine_info") or {}
    named = {"commit": commit.get("id"), "branch": commit.get("branch"), "dirty": commit.get("dirty") or None,
             "commit.time": commit.get("time"), "kernel": machine.get("release"), "os": machine.get("system"),
             "python": machine.get("python_version"), "cpu.model": (machine.get("cpu") or {}).get("brand_raw")}
    return {key: str(value).lower() if value is True else str(value) for key, value in named.items()
            if value not in (None, "", "unversioned", "unknown", "(unknown)", "(detached head)")}
