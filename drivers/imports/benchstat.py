"""Go's benchmark text, which benchstat reads: lines `BenchmarkName N value unit ...`, `key: value` and `Unit ...`.

The one thing to know: lines of one name in one file are samples of one process, as `go test -count` makes them, and
count by their median; files are rounds. What virtmark itself writes says `replicate: round`, and then lines are rounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from drivers.imports._measured import BETTER, Measured, chosen, general, number
from drivers.imports._units import in_units
from drivers.tools.reading import complaint
from harness.errors import ToolError
from harness.model import Value

TOOL = "benchstat"
ROUND = ("replicate", "round")
KEY = re.compile(r"(?P<key>[a-z][^\sA-Z:]*):(?:\s+(?P<value>.*))?")
RESULT = re.compile(r"Benchmark(?P<name>[^a-z\s]\S*|)\s+(?P<times>\d+)\s+(?P<values>\S.*)")


@dataclass
class Lines:
    """What the lines of one benchmark say: values by unit, in order, and the configuration they stand under."""

    config: dict[str, str]
    values: dict[str, list[float]] = field(default_factory=dict)


class Benchstat:
    """Reads Go's benchmark text."""

    EXPECTED: ClassVar[str] = "Go's benchmark text, as go test -bench prints it and benchstat reads it"
    OPTIONS: ClassVar[tuple[str, ...]] = ("better",)

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return each benchmark with a series for every unit; `Unit X better=` says which way is good."""
        config: dict[str, str] = {}
        ways: dict[str, str] = {}
        found: dict[tuple[str, ...], Lines] = {}
        for at, line in enumerate(text.splitlines(), 1):
            if pair := KEY.fullmatch(line):
                config[pair["key"]] = pair["value"] or ""
            elif line.startswith("Unit "):
                ways |= _way(line)
            elif result := RESULT.fullmatch(line.rstrip()):
                lines = found.setdefault((result["name"], *sorted(f"{key}={config[key]}" for key in config)),
                                         Lines(dict(config)))
                for value, unit in _pairs(result["values"].split(), at):
                    lines.values.setdefault(unit, []).append(value)
            elif line.startswith("Benchmark") and len(line.split()) > 1 and "--- " not in line:
                raise ToolError(f"{TOOL}: line {at} is no benchmark line: {line[:80]!r}; name, count, value and unit")
        if not found:
            raise ToolError(f"{TOOL}: no benchmark line; the text begins {complaint(text)!r}")
        return [made for (name, *_), lines in found.items() for made in _loads(name, lines, ways, chosen(settings))]


def _way(line: str) -> dict[str, str]:
    _, unit, *pairs = line.split()
    said = dict(pair.partition("=")[::2] for pair in pairs)
    return {unit: said["better"]} if said.get("better") in BETTER else {}


def _pairs(words: Sequence[str], at: int) -> list[tuple[float, str]]:
    if len(words) % 2:
        raise ToolError(f"{TOOL}: line {at}: {words[-1]!r} has no unit; the line was cut off")
    return [(number(value, TOOL, f"line {at}"), unit) for value, unit in zip(words[::2], words[1::2], strict=True)]


def _loads(name: str, lines: Lines, ways: Mapping[str, str], better: str) -> Iterator[Measured]:
    """Yield one load a unit for all lines, or one a line where lines are rounds."""
    config = {key: value for key, value in lines.config.items() if value}
    rounds = config.pop(ROUND[0], "") == ROUND[1]
    for unit, values in lines.values.items():
        for at, part in enumerate([[value] for value in values] if rounds else [values]):
            yield general(TOOL, name, in_units(part, unit, ways.get(unit, ""), better), version="any", part=str(at),
                          params={"unit": unit, **config})
