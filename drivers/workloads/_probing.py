"""Probes from the client while something else happens: histories of when each left and when its answer came.

The one thing to know: the prober is a process of its own on the client, and stamps with that machine's monotonic
clock. Where that is the controller's kernel (same boot id), it is the same clock; else the offset is bounded by two
exchanges, one before and one after, and the bound stands among the labels of each history.

    with probing(lab, guest, [Probe("udp", guest.address, port, 0.01)]) as seen:
        ...
    yield from seen.histories()
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from drivers import probe
from drivers.workloads._machines import GRACE
from harness import history
from harness import probing as judged
from harness.errors import ToolError
from harness.history import Columns
from harness.model import History
from harness.protocols import Lab, Machine, Running
from harness.units import Seconds

SOURCE = Path(probe.__file__)
OFFSET = "import time; print(open('/proc/sys/kernel/random/boot_id').read().strip(), time.monotonic_ns())"
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Probe:
    """What to ask, every `interval` s; an answer is waited for `patience` s, so that pauses up to that are seen whole.

    `address` is a folder for kind disk, a URI for libvirt; the name must be another for each probe of a prober.
    """

    kind: Literal["icmp", "udp", "tcp", "http", "disk", "libvirt", "listen"]
    address: str
    port: int = 0
    interval: float = 0.01
    patience: float = 30.0
    name: str = ""


@dataclass(frozen=True)
class Offset:
    """What is to be added to a machine's monotonic clock to get the lab's, in s, and by how much that may be wrong."""

    seconds: float
    bound: float


class Seen:
    """What a prober saw; complete when its context has ended."""

    def __init__(self, lab: Lab, client: Machine, machine: Machine, probes: Sequence[Probe]) -> None:
        self._lab, self._client, self._machine, self._probes = lab, client, machine, probes
        self._before = offset(lab, client)
        self._text, self._after = "", self._before

    def finish(self, running: Running) -> None:
        """Stop the prober and take what it wrote."""
        done = running.stop()
        if done.code not in (0, 143) or '"boot"' not in done.stdout:
            said = (done.stderr.strip() or "nothing").splitlines()
            raise ToolError(f"prober on {self._client.name}: exit status {done.code}; it said {said[-1]!r}")
        self._text, self._after = done.stdout, offset(self._lab, self._client)

    def histories(self) -> list[History]:
        """Return one history a probe, on the clock of the step; probes that never left are left out."""
        found = judged.parse(self._text)
        best = min(self._before, self._after, key=lambda each: each.bound)
        bound = max(best.bound, abs(self._before.seconds - self._after.seconds))
        shift = round((best.seconds - self._lab.began) * 1e9)
        labels = {"clock_bound": f"{bound:.9f}", "scheduler": found.scheduler, "cpu": f"{found.cpu:.3f}"}
        made = []
        for each in self._probes:
            columns = found.columns.get(named(each))
            if columns is not None:
                sent = np.maximum.accumulate(columns.sent) + shift
                keep = np.concatenate(([True], np.diff(sent) > 0))
                made.append(history.made(
                    Columns(*(column[keep] for column in columns._replace(sent=sent))), probe=named(each),
                    kind=each.kind, machine=self._machine.name, interval=each.interval, patience=each.patience,
                    **labels))
        return made


@contextmanager
def probing(lab: Lab, machine: Machine, probes: Sequence[Probe], client: Machine | None = None) -> Iterator[Seen]:
    """Look at `machine` from the client (the lab's own unless another is given) until the context ends; ToolError
    where that cannot."""
    if len({named(each) for each in probes}) < len(probes):
        raise ValueError("probes of one prober need names that differ")
    client = client or lab.client()
    seen = Seen(lab, client, machine, probes)
    spec = {"probes": [{**asdict(each), "name": named(each)} for each in probes]}
    with client.start(["python3", "-c", SOURCE.read_text(), json.dumps(spec)]) as running:
        try:
            yield seen
        finally:
            seen.finish(running)


def named(each: Probe) -> str:
    """Return the name of a probe: its own, else its kind and interval."""
    return each.name or f"{each.kind}-{Seconds(each.interval)}"


def offset(lab: Lab, machine: Machine) -> Offset:
    """Return how the monotonic clock of `machine` is to be read; exact where it is this machine's kernel."""
    before = lab.clock.now()
    boot, there = machine.run(["python3", "-c", OFFSET], timeout=GRACE).checked().stdout.split()
    after = lab.clock.now()
    if boot == BOOT.read_text().strip():
        return Offset(0.0, 0.0)
    return Offset((before + after) / 2 - int(there) / 1e9, (after - before) / 2)


__all__ = ["Offset", "Probe", "Seen", "named", "offset", "probing"]
