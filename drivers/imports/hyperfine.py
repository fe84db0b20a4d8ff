"""hyperfine 1.x: the file of `hyperfine --export-json FILE`, one command a point; its name is part of the point.

The one thing to know: the runs of one file follow each other in one go, so they are samples of a round, not rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from drivers.imports._measured import Measured, general, number
from drivers.imports._units import samples
from drivers.tools.reading import Document, document
from harness.errors import ToolError
from harness.model import Value

TOOL = "hyperfine"


class Hyperfine:
    """Reads the JSON of hyperfine."""

    EXPECTED: ClassVar[str] = "the JSON of hyperfine --export-json, hyperfine 1.x"
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return the median wall time of each command; one that failed in any run is refused."""
        read = document(text, TOOL)
        if not read.at("results"):
            raise ToolError(f"{TOOL}: no result in its JSON; it was stopped before the first command was through")
        return [_one(read, at) for at in range(len(read.at("results")))]


def _one(read: Document, at: int) -> Measured:
    command = str(read.at("results", at, "command"))
    times = [number(each, TOOL, f"{command}: times") for each in read.at("results", at, "times")]
    codes = read.at("results", at).get("exit_codes", [])
    if not times:
        raise ToolError(f"{TOOL}: {command!r}: times: is empty; hyperfine 1.13 or later writes one for every run")
    if bad := [code for code in codes if code != 0]:
        raise ToolError(f"{TOOL}: {command!r} ended with code {bad[0]} in {len(bad)} of {len(codes)} runs; the time of "
                        "a failure is no result")
    given = {f"parameter.{key}": str(value) for key, value in (read.at("results", at).get("parameters") or {}).items()}
    return general(TOOL, command, samples("time", "s", times), params=given, elapsed=sum(times), version="1.x")
