"""iperf3 3.1 or later: the client's JSON (--json), one test a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from drivers.imports._measured import Measured
from drivers.tools import iperf3
from drivers.tools.reading import document, noted
from harness.errors import ToolError
from harness.model import Value


class Iperf3:
    """Reads the JSON of iperf3's client."""

    EXPECTED: ClassVar[str] = "the JSON of iperf 3.1 or later"
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return throughput, or jitter and loss; which path it took only the command line can say (path=cross-host)."""
        read = iperf3.sound(document(text, iperf3.TOOL))
        test = read.at("start", "test_start")
        protocol = str(test.get("protocol", "")).lower()
        if protocol not in ("tcp", "udp"):
            raise ToolError(f"{iperf3.TOOL}: protocol {protocol or 'none'!r}; tcp and udp can be read")
        series = iperf3.tcp(read) if protocol == "tcp" else iperf3.udp(read)
        elapsed = float(test.get("duration", 0))
        params: dict[str, Value] = {"measure": protocol, "path": "unknown", "duration": f"{elapsed:.0f}s"}
        if protocol == "tcp":
            params["streams"] = int(test.get("num_streams", 1))
        return [Measured(workload="network", stage=f"iperf3-{protocol}", params=params, elapsed=elapsed,
                         series=noted(series, read.notes), version=iperf3.version(read),
                         started=float(read.at("start").get("timestamp", {}).get("timesecs", 0)))]
