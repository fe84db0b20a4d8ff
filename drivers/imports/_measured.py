"""What a file of another tool holds: one record per load, in virtmark's own terms or in general ones.

The one thing to know: a load that a workload of virtmark makes too (fio's jobs, iperf3's streams) is filed under that
workload and reaches its indicators. Everything else is filed under `imported`, where `params["gives"]` names what
the file holds of it; the rows of `harness/indicators/imported.py` pick by that. Of several repetitions inside one file
the score is their median: they are samples of one process, and a few disturbed ones must not move it, nor may their
number, which is why it is not the minimum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

from harness.errors import ToolError
from harness.model import Series, Value

WORKLOAD = "imported"
BETTER = ("higher", "lower")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One load found in a file: what it was, and what came of it.

    `started` is s since 1970, 0 if the file is mute; `facts` are what the file says of the system, by key. Files whose
    facts called `commit` or `system` differ are no rounds of one thing. `part` tells rounds of one load apart where one
    file says that it holds several.
    """

    workload: str
    stage: str
    params: dict[str, Value]
    series: list[Series]
    elapsed: float
    version: str
    started: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)
    part: str = ""


class Format(Protocol):
    """How the files of one tool are read; the reading is pure.

    EXPECTED says which output can be read. OPTIONS are those settings that steer the reading; all others of a user's
    become parameters of the loads.
    """

    EXPECTED: ClassVar[str]
    OPTIONS: ClassVar[tuple[str, ...]]

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return what the text of one file holds; loads of one name and like parameters are rounds, in order.

        `settings` are what the command line adds: what a file cannot tell, or which part of it is meant. ToolError for
        what is no sound output of a known version.
        """


def general(tool: str, benchmark: str, series: Iterable[Series], *, params: Mapping[str, Value] | None = None,
            elapsed: float = 0.0, version: str = "", **more: Any) -> Measured:
    """Return a load that no workload of virtmark makes; its name is the tool's name for the benchmark.

    `more` are further fields of Measured.
    """
    kept = list(series)
    gives = dict.fromkeys(filter(None, map(_gives, kept)))
    named: dict[str, Value] = {"tool": tool, "benchmark": benchmark, "gives": " ".join(gives), **(params or {})}
    return Measured(workload=WORKLOAD, stage=benchmark, params=named, series=kept, elapsed=elapsed, version=version,
                    **more)


def _gives(series: Series) -> str:
    what, part = series.metric.partition(".")[2], series.labels["part"]
    if part == "sample":
        return ""
    if what == "number":
        return f"{what}.{series.labels['better']}" if "better" in series.labels else ""
    return what if part == "score" else f"{what}.{part}"


def chosen(settings: Mapping[str, Value]) -> str:
    """Return the direction that the command line gives for numbers whose file is mute about it, "" for none."""
    better = str(settings.get("better", ""))
    if better and better not in BETTER:
        raise ToolError(f"better = {better!r} is unknown; allowed: {', '.join(BETTER)}")
    return better


def number(value: object, tool: str, where: str) -> float:
    """Return a finite number; ToolError says where something else stands."""
    try:
        found = float(str(value))
    except ValueError:
        found = math.nan
    if isinstance(value, bool) or not math.isfinite(found):
        raise ToolError(f"{tool}: {where}: {str(value)[:40]!r} is no finite number")
    return found


def seconds(text: object) -> float:
    """Return an ISO 8601 time as s since 1970, 0 for one that cannot be read; without an offset it is UTC."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
