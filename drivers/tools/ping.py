"""ping of iputils: the round-trip time of every ICMP echo, and how many never came back.

The one thing to know: a time has three or four digits (0.045 ms, 12.3 ms), so its resolution depends on its size;
the series carries the coarsest step that occurred.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from drivers.tools.reading import complaint, one
from harness.errors import ToolError
from harness.model import Record, Series
from harness.units import Bytes, Seconds

TOOL = "ping"


class Ping(Record, frozen=True, kw_only=True):
    """`count` echoes of `size` payload bytes, one each `interval`."""

    address: str
    count: int = 5000
    interval: Seconds = Seconds(0.01)
    size: Bytes = Bytes(56)

    def argv(self) -> list[str]:
        """Return the command line; names are not looked up, a lost echo is given up after one second."""
        return [TOOL, "-n", "-i", f"{self.interval:g}", "-c", str(self.count), "-s", f"{self.size:.0f}", "-W", "1",
                self.address]

    def parse(self, text: str) -> list[Series]:
        """Return the round-trip times in order (times: when each was due), and the share lost."""
        rows = re.findall(r"icmp_seq=(\d+) .*?time=(\d+(?:\.(\d+))?) ms(?! \(DUP)", text)
        counts = re.search(r"(\d+) packets transmitted, (\d+) received", text)
        if not counts:
            raise ToolError(f"{TOOL}: printed no summary; it said {complaint(text)!r}")
        sent, received = int(counts[1]), int(counts[2])
        if not rows:
            raise ToolError(f"{TOOL}: none of {sent} echoes to {self.address} came back; {complaint(text)!r}")
        if len(rows) != received:
            raise ToolError(f"{TOOL}: {len(rows)} times for {received} echoes received; output was cut off")
        labels = {"tool": TOOL, "protocol": "icmp"}
        step = max(10.0 ** -len(digits) for _, _, digits in rows) * 1e-3
        return [Series(metric="net.latency", unit="s", values=tuple(round(float(ms) * 1e-3, 9) for _, ms, _ in rows),
                       times=tuple((int(seq) - 1) * float(self.interval) for seq, _, _ in rows),
                       labels={**labels, "stat": "sample", "resolution": f"{step:g}"}),
                one("net.loss", "1", (sent - received) / sent, **labels),
                one("net.packets", "1", float(sent), **labels)]


class Stamped(NamedTuple):
    """Echoes that came back, (n,) in order of their number: which, when they were sent (s of wall time), after what."""

    sequence: npt.NDArray[np.int64]
    sent: npt.NDArray[np.float64]
    latency: npt.NDArray[np.float64]


def stamped(text: str) -> Stamped:
    """Return the first answer to each echo in what `ping -D` printed; numbers go on where they wrap at 65536."""
    rows = re.findall(r"^\[(\d+\.\d+)\] \d+ bytes .*?icmp_seq=(\d+) .*?time=([\d.]+) ms(?! \(DUP)", text, re.MULTILINE)
    found: dict[int, tuple[float, float]] = {}
    last = 0
    for moment, number, taken in rows:
        step = (int(number) - last) % 65536
        last += step - 65536 * (step > 32768)      # one that comes late counts back
        found.setdefault(last, (float(moment) - float(taken) * 1e-3, float(taken) * 1e-3))
    order = sorted(found)
    times = np.array([found[each] for each in order], dtype=np.float64).reshape(-1, 2)
    return Stamped(np.array(order, dtype=np.int64), times[:, 0], times[:, 1])
