"""What watching costs: CPU time of the sampler at 10 Hz as a share of one core, beside two baselines of the same run.

`woken` does nothing ten times a second, `files` reads the same files of /proc and throws them away. The figures are
in `extra_info`; only their being finite decides the tests, since this machine may be busy with other things.
"""

import os
import threading
import time

import pytest

from harness.telemetry import kernel
from harness.telemetry.host import BUDGET, Sampler

SECONDS = 2.0
FILES = ("/proc/stat", "/proc/meminfo", "/proc/vmstat", "/proc/diskstats", "/proc/net/dev")


def loop(read):
    """Call `read` on the sampler's schedule for a while; return the CPU time it took as a share of one core."""
    never = threading.Event()
    sampler = Sampler(0.1, budget=1.0)
    sampler._quick, sampler._dear = {"read": read}, {}
    return spent(sampler, never)


def spent(sampler, never):
    end = time.monotonic() + SECONDS
    sampler.run(time.monotonic, lambda wait: never.wait(wait) or time.monotonic() >= end, time.thread_time)
    return sampler.spent / SECONDS


def woken():
    return {}


def raw(path="/proc/stat"):
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 1 << 16)
    os.close(fd)


def files():
    for path in FILES:
        raw(path)
    return {}


def test_share_of_a_core_at_10_hz(benchmark):
    shares = {"woken": loop(woken), "files": loop(files)}
    unbounded = Sampler(0.1, budget=1.0)
    shares["sampler"] = benchmark.pedantic(lambda: spent(unbounded, threading.Event()), rounds=1)
    ratio = shares["sampler"] / shares["files"]
    benchmark.extra_info.update({f"share of a core, {name}": f"{share:.3%}" for name, share in shares.items()})
    benchmark.extra_info.update({"sampler / files": round(ratio, 2), "budget": f"{BUDGET:.0%}",
                                 "samples": len(unbounded.samples), "missed": unbounded.missed})
    assert len(unbounded.samples) + unbounded.missed > SECONDS / 0.1 / 2
    assert 0 < shares["sampler"] < 1


@pytest.mark.benchmark(group="one sample")
@pytest.mark.parametrize("readers", ["raw /proc/stat", "quick", "dear", "all psutil at once"])
def test_one_sample(benchmark, readers):
    psutil_only = [kernel.cpu, kernel.switches, kernel.memory, kernel.disk, kernel.net, kernel.frequency]
    chosen = {"raw /proc/stat": [raw],
              "quick": list(kernel.QUICK.values()), "dear": works(kernel.DEAR.values()),
              "all psutil at once": works(psutil_only)}[readers]
    benchmark(lambda: [read() for read in chosen])


def works(readers):
    """Return those readers that this machine has something for."""
    found = []
    for read in readers:
        try:
            read()
        except OSError:
            continue
        found.append(read)
    return found
