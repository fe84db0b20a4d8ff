"""sysbench 1.x: prime numbers, memory bandwidth, and a chain of dependent loads (`chase.lua`, run by its LuaJIT).

The one thing to know: sysbench counts whole seconds, so a duration with a fraction is refused.
"""

from __future__ import annotations

from importlib import resources
from typing import Literal

from drivers.tools.reading import found, one
from harness.errors import ToolError
from harness.model import Record, Series
from harness.units import Bytes, Seconds

TOOL = "sysbench"


def whole(duration: Seconds) -> str:
    """Return a duration as sysbench takes it; ValueError where it is no whole number of seconds."""
    if not duration.is_integer() or duration < 1:
        raise ValueError(f"{duration:g} s is no duration for sysbench; it counts whole seconds, from 1 on")
    return f"{duration:.0f}"


class Cpu(Record, frozen=True, kw_only=True):
    """Trial division of all numbers up to `prime`, again and again; one pass is one event."""

    threads: int = 1
    duration: Seconds = Seconds(60)
    prime: int = 20000

    def argv(self) -> list[str]:
        """Return the command line."""
        return [TOOL, "cpu", f"--cpu-max-prime={self.prime}", f"--threads={self.threads}",
                f"--time={whole(self.duration)}", "run"]

    def parse(self, text: str) -> list[Series]:
        """Return the rate of events in 1/s."""
        rate = found(r"events per second:\s+([\d.]+)", _sound(text), TOOL, "events per second")
        return [one("cpu.rate", "1/s", rate, tool=TOOL, threads=str(self.threads), method=f"prime-{self.prime}")]


class Memory(Record, frozen=True, kw_only=True):
    """Words of a private block of each thread, read or written in order; a block beyond the caches shows memory."""

    threads: int = 1
    duration: Seconds = Seconds(60)
    block: Bytes = Bytes(64 * 2**20)
    operation: Literal["read", "write"] = "read"

    def argv(self) -> list[str]:
        """Return the command line; the total is set out of reach, so that time alone ends the run."""
        return [TOOL, "memory", f"--memory-block-size={self.block:.0f}", "--memory-total-size=1000T",
                "--memory-scope=local", f"--memory-oper={self.operation}", "--memory-access-mode=seq",
                f"--threads={self.threads}", f"--time={whole(self.duration)}", "run"]

    def parse(self, text: str) -> list[Series]:
        """Return the bandwidth in B/s, over all threads."""
        rate = found(r"\(([\d.]+) MiB/sec\)", _sound(text), TOOL, "transfer rate")
        return [one("memory.bandwidth", "B/s", rate * 2**20, tool=TOOL, threads=str(self.threads), part="all",
                    operation=self.operation)]


class Chase(Record, frozen=True, kw_only=True):
    """One thread follows a random ring through `span` bytes: each load waits for the address that the last one brought.

    The result is the mean time of one such load: cache or memory, address translation included.
    """

    script: str
    span: Bytes
    duration: Seconds = Seconds(10)
    stride: Bytes = Bytes(64)
    steps: int = 20000
    pages: Literal["default", "small", "huge"] = "default"

    def argv(self) -> list[str]:
        """Return the command line; `script` is where `chase.lua` was put on the machine."""
        return [TOOL, self.script, f"--span={self.span:.0f}", f"--stride={self.stride:.0f}", f"--steps={self.steps}",
                f"--pages={self.pages}", "--threads=1", f"--time={whole(self.duration)}", "run"]

    def parse(self, text: str) -> list[Series]:
        """Return the time of one dependent load in s: busy time over events times steps."""
        events = found(r"total number of events:\s+(\d+)", _sound(text), TOOL, "number of events")
        busy = found(r"execution time \(avg/stddev\):\s+([\d.]+)/", text, TOOL, "execution time")
        if not events or not busy:
            raise ToolError(f"{TOOL}: no event ended within {self.duration:g} s; take a longer duration or fewer steps")
        return [one("memory.latency", "s", busy / (events * self.steps), tool="sysbench-chase", pages=self.pages,
                    span=f"{self.span:.0f}")]


def chase_script() -> bytes:
    """Return the Lua script that `Chase` runs."""
    return resources.files("drivers.tools").joinpath("chase.lua").read_bytes()


def _sound(text: str) -> str:
    """Return `text`, or raise with the error that sysbench printed in it, or where its end is missing."""
    if "FATAL:" in text:
        said = next(line for line in text.splitlines() if "FATAL:" in line)
        raise ToolError(f"{TOOL}: {said.partition('FATAL:')[2].strip()[:160]}")
    found(r"execution time \(avg/stddev\):\s+([\d.]+)/", text, TOOL, "execution time at the end of its report")
    return text
