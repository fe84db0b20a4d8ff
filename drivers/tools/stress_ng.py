"""stress-ng: matrix products per second, and memory bandwidth by its variant of STREAM.

The one thing to know: its "bogo operations" compare only with themselves, same version on both sides. It prints to
standard error; `parse` takes both streams together.
"""

from __future__ import annotations

import re

from drivers.tools.reading import complaint, one
from harness.errors import ToolError
from harness.model import Record, Series
from harness.units import Seconds

TOOL = "stress-ng"
SHORTEST_STREAM = 5.0  # below 4.5 s it gives no rate, "run duration too short"


class Matrixprod(Record, frozen=True, kw_only=True):
    """Products of two 128 x 128 matrices in extended precision, by `threads` processes."""

    threads: int = 1
    duration: Seconds = Seconds(60)

    def argv(self) -> list[str]:
        """Return the command line."""
        return [TOOL, "--cpu", str(self.threads), "--cpu-method", "matrixprod", "--timeout", f"{self.duration:.0f}s",
                "--metrics"]

    def parse(self, text: str) -> list[Series]:
        """Return products per second of real time, and how many there were in all (the resolution is one)."""
        operations, rate = _row(text, "cpu")
        labels = {"tool": TOOL, "threads": str(self.threads), "method": "matrixprod"}
        return [one("cpu.rate", "1/s", rate, **labels), one("cpu.operations", "1", operations, **labels)]


class Stream(Record, frozen=True, kw_only=True):
    """Copy, scale, add and triad over arrays of four times the last-level cache, by `threads` processes."""

    threads: int = 1
    duration: Seconds = Seconds(60)

    def __post_init__(self) -> None:
        if self.duration < SHORTEST_STREAM:
            raise ValueError(f"{self.duration:g} s is too short for stress-ng's stream; at least {SHORTEST_STREAM:g}s")

    def argv(self) -> list[str]:
        """Return the command line."""
        return [TOOL, "--stream", str(self.threads), "--timeout", f"{self.duration:.0f}s", "--metrics"]

    def parse(self, text: str) -> list[Series]:
        """Return bandwidth in B/s summed over the processes: read, written, and both together."""
        rows = re.findall(r"memory rate: ([\d.]+) MB read/sec, ([\d.]+) MB write/sec", ended(text))
        if len(rows) != self.threads:
            short = " (its own run was too short)" if "too short" in text else ""
            raise ToolError(f"{TOOL}: {len(rows)} of {self.threads} processes gave a memory rate{short}; "
                            f"it said {complaint(text)!r}")
        read, written = (sum(float(row[i]) for row in rows) * 2**20 for i in (0, 1))  # its MB is 2**20
        return [one("memory.bandwidth", "B/s", value, tool=TOOL, threads=str(self.threads), operation="stream",
                    part=part) for part, value in (("all", read + written), ("read", read), ("write", written))]


def _row(text: str, stressor: str) -> tuple[float, float]:
    """Return operations and operations per second of real time from the table of metrics."""
    number = r"\s+([\d.]+)"
    row = re.search(rf"\]\s+{stressor}{number * 6}", ended(text))
    if not row:
        raise ToolError(f"{TOOL}: printed no metrics of {stressor!r}; it said {complaint(text)!r}")
    return float(row[1]), float(row[5])


def ended(text: str) -> str:
    """Return `text`, or raise if it does not say that the run came to its end, and well."""
    if "unsuccessful run" in text or "run completed in" not in text:
        raise ToolError(f"{TOOL}: the run did not come to its end, or not well; it said {complaint(text)!r}")
    return text
