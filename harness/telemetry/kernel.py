"""What is read of this machine: by psutil, and of the kernel's own files where psutil does not look.

Readers are grouped by what they cost: `QUICK` (tens of microseconds) at every sample, `DEAR` about once a second.
"""

from __future__ import annotations

import functools
import glob
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from harness.telemetry.counters import TICKS

_VMSTAT = {
    "swap.in": re.compile(r"^pswpin (\d+)$", re.MULTILINE), "swap.out": re.compile(r"^pswpout (\d+)$", re.MULTILINE),
    "events.oom": re.compile(r"^oom_kill (\d+)$", re.MULTILINE),
}

Reader = Callable[[], Mapping[str, float]]


def cpu() -> dict[str, float]:
    """Return CPU time by kind since boot, over all CPUs, in s; guest time is already part of user time."""
    times = psutil.cpu_times()
    return {tick: float(getattr(times, tick, 0.0)) for tick in TICKS}


def switches() -> dict[str, float]:
    """Return context switches since boot."""
    return {"cpu.switches": float(psutil.cpu_stats().ctx_switches)}


def controller() -> dict[str, float]:
    """Return the CPU time in s of this very process, its threads included, its children not."""
    return {"controller.cpu": time.process_time()}


def memory() -> dict[str, float]:
    """Return memory in use in B: what could not be had without swapping."""
    seen = psutil.virtual_memory()
    return {"memory.used": float(seen.total - seen.available)}


def vmstat() -> dict[str, float]:
    """Return bytes swapped in and out and processes killed for lack of memory, since boot.

    Read here and not by `psutil.swap_memory`, which reads two files, tells no kills, and costs three times as much.
    """
    text = Path("/proc/vmstat").read_text()
    pages = os.sysconf("SC_PAGE_SIZE")
    found = {name: float(match[1]) for name, pattern in _VMSTAT.items() if (match := pattern.search(text))}
    return {name: value * (1 if name == "events.oom" else pages) for name, value in found.items()}


def disk() -> dict[str, float]:
    """Return bytes read and written since boot on the real disks; the devices stacked on them would count twice."""
    disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    real = [seen for name, seen in disks.items() if _is_real(f"/sys/block/{name}")]
    if not real:
        raise OSError("no disk of its own")
    return {
        "disk.read": float(sum(seen.read_bytes for seen in real)),
        "disk.written": float(sum(seen.write_bytes for seen in real)),
    }


def net() -> dict[str, float]:
    """Return bytes received and sent since boot on the real network cards, or where there is none on all but lo."""
    links = psutil.net_io_counters(pernic=True, nowrap=False)
    real = [seen for name, seen in links.items() if _is_real(f"/sys/class/net/{name}")]
    seen = real or [link for name, link in links.items() if name != "lo"]
    return {"net.received": float(sum(c.bytes_recv for c in seen)), "net.sent": float(sum(c.bytes_sent for c in seen))}


def frequency() -> dict[str, float]:
    """Return the mean CPU frequency in 1/s; OSError where the machine does not tell."""
    seen = psutil.cpu_freq()
    if seen is None or not seen.current:
        raise OSError("no CPU frequency to be read")
    return {"cpu.frequency": seen.current * 1e6}


def throttled() -> dict[str, float]:
    """Return for how long, in s, this process's own cgroup was held back by a CPU quota; OSError without a quota."""
    seen = throttled_time(Path(_throttle_file()).read_text())
    if seen is None:
        raise OSError("no CPU quota is accounted for")
    return {"cpu.throttled": seen}


def throttle_files(cgroup: str) -> list[str]:
    """Return where the cpu.stat of the cgroups in the text of /proc/self/cgroup may be, version 2 first."""
    found: list[str] = []
    for number, controllers, path in (line.split(":", 2) for line in cgroup.splitlines() if line.count(":") >= 2):
        if number == "0" and not controllers:
            found.insert(0, os.path.normpath(f"/sys/fs/cgroup/{path}/cpu.stat"))
        elif "cpu" in controllers.split(","):
            found.append(os.path.normpath(f"/sys/fs/cgroup/{controllers}/{path}/cpu.stat"))
    return found


def throttled_time(stat: str) -> float | None:
    """Return the throttled time in s from the text of a cpu.stat: in µs in cgroup version 2, in ns in version 1."""
    fields = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    if "throttled_usec" in fields:
        return int(fields["throttled_usec"]) / 1e6
    return int(fields["throttled_time"]) / 1e9 if "throttled_time" in fields else None


def thermal() -> dict[str, float]:
    """Return how often cores were slowed down because of heat since boot; OSError where nobody counts."""
    if not (paths := _heat_files()):
        raise OSError("nobody counts")
    return {"events.thermal": float(sum(int(Path(path).read_text()) for path in paths))}


QUICK: dict[str, Reader] = {"cpu": cpu, "switches": switches, "controller": controller}
DEAR: dict[str, Reader] = {
    "memory": memory, "swap": vmstat, "disk": disk, "net": net, "frequency": frequency, "throttling": throttled,
    "heat": thermal,
}


def running() -> float:
    """Return how many tasks can run right now besides the caller."""
    return float(max(0, int(Path("/proc/loadavg").read_text().split()[3].split("/")[0]) - 1))


def wall_offset() -> float:
    """Return CLOCK_REALTIME minus CLOCK_MONOTONIC in s, from the tightest of five readings."""
    return min(_bracketed(time.time) for _ in range(5))[1]


def raw_offset() -> float:
    """Return CLOCK_MONOTONIC minus CLOCK_MONOTONIC_RAW in s: it changes at the pace at which time is being adjusted."""
    return -min(_bracketed(lambda: time.clock_gettime(time.CLOCK_MONOTONIC_RAW)) for _ in range(5))[1]


def _bracketed(other: Callable[[], float]) -> tuple[float, float]:
    """Return (how long the reading took, other clock minus CLOCK_MONOTONIC in the middle of it)."""
    before, seen, after = time.monotonic(), other(), time.monotonic()
    return after - before, seen - (before + after) / 2


# What is where does not change while a process lives, and looking would cost more than the reading.
@functools.cache
def _is_real(path: str) -> bool:
    return os.path.exists(f"{path}/device")


@functools.cache
def _throttle_file() -> str:
    files = throttle_files(Path("/proc/self/cgroup").read_text())
    found = next((file for file in files if os.path.exists(file)), None)
    if not found:
        raise OSError("no cgroup with a CPU controller")
    return found


@functools.cache
def _heat_files() -> list[str]:
    return glob.glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
