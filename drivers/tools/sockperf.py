"""sockperf 3.x ping-pong: the round-trip time of each message of a program to another one and back.

The one thing to know: it is closed loop, one message outstanding, so a stall shows as one long time and not as many;
`--full-rtt` makes it print round trips (its default is half of one). Every message is in its log.
"""

from __future__ import annotations

import re
from typing import Literal

from drivers.tools.reading import complaint, found, one
from harness.errors import ToolError
from harness.model import Record, Series
from harness.units import Bytes, Seconds

TOOL = "sockperf"
HEAD = "packet, txTime(sec), rxTime(sec), rtt(usec)"


def server(address: str, port: int, protocol: str) -> list[str]:
    """Return the command line of a server that stays until it is stopped."""
    return [TOOL, "server", "--ip", address, "--port", str(port), *(["--tcp"] if protocol == "tcp" else [])]


class Pingpong(Record, frozen=True, kw_only=True):
    """Messages of `size` bytes, the next one when the last has come back; the log goes to the file `log`."""

    address: str
    port: int
    log: str
    protocol: Literal["tcp", "udp"] = "udp"
    size: Bytes = Bytes(64)
    duration: Seconds = Seconds(20)

    def argv(self) -> list[str]:
        """Return the client's command line; sockperf counts whole seconds, of which it drops the first 0.4."""
        if not self.duration.is_integer() or self.duration < 2:
            raise ValueError(f"{self.duration:g} s is no duration for sockperf; it counts whole seconds, from 2 on")
        return [TOOL, "ping-pong", "--ip", self.address, "--port", str(self.port), "--msg-size", f"{self.size:.0f}",
                "--time", f"{self.duration:.0f}", "--full-rtt", "--full-log", self.log,
                *(["--tcp"] if self.protocol == "tcp" else [])]

    def parse(self, text: str, log: str) -> list[Series]:
        """Return all round-trip times in s as a weighted series of 10 ns steps, and the share of dropped messages."""
        labels = {"tool": TOOL, "protocol": self.protocol}
        seen = found(r"\[Valid Duration\].*?ReceivedMessages=(\d+)", text, TOOL, "count of valid messages")
        found(r"<MIN> observation = +([\d.]+)", text, TOOL, "shortest time at the end of its report")
        dropped = found(r"dropped messages = (\d+)", text, TOOL, "count of dropped messages")
        head, _, body = log.partition(HEAD)
        if not _ or not body.strip():
            raise ToolError(f"{TOOL}: its log holds no messages; it said {complaint(head or text)!r}")
        times = [float(field) for field in re.findall(r",\s*([\d.]+)\s*$", body, re.MULTILINE)]
        if len(times) != seen:
            raise ToolError(f"{TOOL}: {len(times)} messages in its log, {seen:.0f} in its summary; the log was cut off")
        counts: dict[int, int] = {}
        for time in times:
            counts[round(time * 100)] = counts.get(round(time * 100), 0) + 1
        kept = sorted(counts.items())
        return [Series(metric="net.latency", unit="s", values=tuple(step / 1e8 for step, _ in kept),
                       weights=tuple(float(count) for _, count in kept),
                       labels={**labels, "stat": "sample", "resolution": "1e-08"}),
                one("net.loss", "1", dropped / (dropped + seen), **labels),
                one("net.packets", "1", dropped + seen, **labels)]
