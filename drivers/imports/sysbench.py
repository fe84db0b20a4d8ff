"""sysbench 1.x: what its cpu and memory tests print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from drivers.imports._measured import Measured
from drivers.tools import sysbench
from drivers.tools.reading import found
from harness.errors import ToolError
from harness.model import Value
from harness.units import Seconds


class Sysbench:
    """Reads what sysbench prints."""

    EXPECTED: ClassVar[str] = "the output of sysbench 1.x, cpu or memory"
    OPTIONS: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def read(text: str, settings: Mapping[str, Value]) -> list[Measured]:
        """Return the rate of events, or the bandwidth."""
        head = re.search(r"^sysbench (\d+\.\S+)", text, re.MULTILINE)
        if not head or not head[1].startswith("1."):
            raise ToolError(f"{sysbench.TOOL}: {f'version {head[1]}' if head else 'no version line'}; the output of "
                            "sysbench 1.x is expected")
        threads = int(found(r"^Number of threads: (\d+)", text, sysbench.TOOL, "number of threads"))
        elapsed = found(r"total time:\s+([\d.]+)s", text, sysbench.TOOL, "total time")
        params: dict[str, Value] = {"threads": threads, "duration": f"{max(1, round(elapsed))}s"}
        if prime := re.search(r"^Prime numbers limit: (\d+)", text, re.MULTILINE):
            series = sysbench.Cpu(threads=threads, duration=Seconds(60), prime=int(prime[1])).parse(text)
            params |= {"method": "prime", "prime": int(prime[1])}
            return [Measured(workload="compute", stage="sysbench-cpu", params=params, series=series, elapsed=elapsed,
                             version=head[1])]
        operation = re.search(r"^\s+operation: (read|write)\s*$", text, re.MULTILINE)
        if operation and (block := re.search(r"^\s+block size: (\d+)KiB", text, re.MULTILINE)):
            job = sysbench.Memory(threads=threads, operation="read" if operation[1] == "read" else "write")
            params |= {"measure": "bandwidth", "operation": operation[1], "span": f"{block[1]}KiB"}
            return [Measured(workload="memory", stage="sysbench-memory", params=params, series=job.parse(text),
                             elapsed=elapsed, version=head[1])]
        raise ToolError(f"{sysbench.TOOL}: neither a cpu nor a memory test; only these can be read")
