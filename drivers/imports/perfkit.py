"""PerfKit Benchmarker: perfkitbenchmarker_results.json, one sample a line; a run of it (`run_uri`) is a round.

The one thing to know: a sample does not say which way is good. A unit of time is taken as lower, a rate or bandwidth as
higher is better; for the rest `--set better=` is asked for. Samples of one test and metric in one run are told apart by
what differs in their metadata; those that differ in nothing are repetitions, and count by their median.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from drivers.imports._measured import Measured, chosen, general, number
from drivers.imports._units import in_units
from harness.errors import ToolError
from harness.model import Value

TOOL = "perfkit"
NEEDED = ("test", "metric", "value", "unit", "timestamp", "run_uri")
CURVES = ("histogram", "values")  # metadata of samples that stand for a curve; their value is always 0
Sample = dict[str, Any]


class Perfkit:
    """Reads newline-delimited JSON of PerfKit Benchmarker."""

    EXPECTED: ClassVar[str] = "perfkitbenchmarker_results.json of PerfKit Benchmarker 1.x, one JSON object a line"
    OPTIONS: ClassVar[tuple[str, ...]] = ("better",)

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return each metric of each test, once for each run."""
        better = chosen(settings)
        samples = [_sample(line, number) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        kept = [each for each in samples if not any(key in each["metadata"] for key in CURVES)]
        if not kept:
            raise ToolError(f"{TOOL}: no sample that is one number")
        groups: dict[tuple[str, str, str], list[Sample]] = {}
        for each in kept:
            groups.setdefault((each["run_uri"], each["test"], each["metric"]), []).append(each)
        return [made for group in groups.values() for made in _group(group, better)]


def _sample(line: str, at: int) -> Sample:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ToolError(f"{TOOL}: line {at} is no whole JSON object: {error.msg}") from None
    missing = [key for key in NEEDED if not isinstance(found, dict) or key not in found]
    if missing:
        raise ToolError(f"{TOOL}: line {at}: {missing[0]}: is missing")
    labels = found.get("labels") or ""
    metadata = found.get("metadata") or (labels if isinstance(labels, dict) else dict(
        pair.split(":", 1) for pair in re.findall(r"\|([^|]*:[^|]*)\|", labels)))
    return {**found, "metadata": metadata, "value": number(found["value"], TOOL, f"line {at}: value")}


def _group(group: Sequence[Sample], better: str) -> list[Measured]:
    """Return the loads that samples of one run, test and metric stand for."""
    keys = sorted({key for each in group for key in each["metadata"]})
    telling = [key for key in keys if len({repr(each["metadata"].get(key)) for each in group}) > 1]
    apart: dict[tuple[str, ...], list[Sample]] = {}
    for each in group:
        apart.setdefault(tuple(str(each["metadata"].get(key, "")) for key in telling), []).append(each)
    return [_load(same, dict(zip(telling, values, strict=True)), better) for values, same in apart.items()]


def _load(same: Sequence[Sample], telling: Mapping[str, str], better: str) -> Measured:
    first = same[0]
    units = sorted({str(each["unit"]) for each in same})
    if len(units) > 1:
        raise ToolError(f"{TOOL}: {first['test']} {first['metric']}: units {' and '.join(units)} in one run")
    series = in_units([each["value"] for each in same], units[0], otherwise=better)
    said = first["metadata"]
    facts = {key: str(said[name]) for key, name in (("os.name", "os_type"), ("cpu.model", "lscpu_model_name"))
             if name in said}
    return general(TOOL, f"{first['test']} {first['metric']}", series, params=dict(telling), facts=facts,
                   started=min(float(each["timestamp"]) for each in same), part=str(first["run_uri"]),
                   version=str(said.get("perfkitbenchmarker_version", "1.x")))
