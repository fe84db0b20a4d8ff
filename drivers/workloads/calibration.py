"""How far off the prober is: the path to a guest is cut for exactly known times, and probes tell how long they were.

The one thing to know: nothing is judged here. The cuts become events of the step and the probes histories; the
indicators hold one to the other. ping looks at the same cuts beside our own prober.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import ClassVar, Literal

import numpy as np

from drivers import witness
from drivers.tools import ping
from drivers.workloads import _machines
from drivers.workloads._probing import Probe, probing
from harness import history
from harness.errors import ToolError
from harness.history import Columns
from harness.model import Event, History, Record, Series
from harness.protocols import Cuts, Lab, Machine, Target, Viewed
from harness.units import Seconds

QUIET = 3.0         # s before the first cut, in which prober and ping start, and after the last
GAP = 0.7           # s between cuts, and up to an interval and 10 ms more: a phase at random
PATIENCE = 12.0


class Calibration(Record, frozen=True, kw_only=True):
    """`events` cuts, log-uniform from `shortest` to `longest`, at a random phase of probes `interval` apart.

    `kinds` packets is ICMP and UDP, connections TCP and HTTP; what answers runs in the guest or, with `where` host, on
    the lab host below it.
    """

    needs: ClassVar[tuple[type, ...]] = (Cuts, Viewed)
    tools: ClassVar[tuple[str, ...]] = (ping.TOOL,)

    kinds: Literal["packets", "connections"] = "packets"
    interval: Seconds = Seconds(0.01)
    events: int = 30
    shortest: Seconds = Seconds(0.001)
    longest: Seconds = Seconds(10)
    where: _machines.Where = "guest"

    def __post_init__(self) -> None:
        if not (0.001 <= self.interval <= 1 and 0 < self.shortest < self.longest <= PATIENCE - 2 and self.events > 0):
            raise ValueError(f"interval = {self.interval:g}s, shortest = {self.shortest:g}s, longest = "
                             f"{self.longest:g}s, events = {self.events}; allowed are intervals of 1ms to 1s, at least "
                             f"one event, and lengths that rise to at most {PATIENCE - 2:g}s")

    def seconds(self) -> float:
        """Return how long one step takes, on average."""
        usual = (self.longest - self.shortest) / math.log(self.longest / self.shortest)
        return 2 * QUIET + 4 + self.events * (GAP + self.interval / 2 + usual)

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event | History]:
        """Cut and look; yield how long the cuts were, and what each probe saw."""
        machine = _machines.side(lab, self.where)
        kinds: tuple[Literal["icmp", "udp", "tcp", "http"], ...] = (
            ("icmp", "udp") if self.kinds == "packets" else ("tcp", "http"))
        with ExitStack() as stack:
            port = stack.enter_context(witness.serving(lab, machine))
            probes = [Probe(kind, machine.address, port, self.interval, PATIENCE, kind) for kind in kinds]
            with probing(lab, machine, probes) as seen:
                windows = self._planned(lab, lab.clock.now() + QUIET)
                left = math.ceil(windows[-1][1] + QUIET - lab.clock.now())
                pinging = stack.enter_context(lab.client().start(
                    ["ping", "-n", "-D", "-O", "-i", f"{self.interval:g}", "-w", str(left), machine.address]))
                with lab.cut(machine, windows) as exact:
                    lab.clock.sleep(windows[-1][1] + QUIET + 1.5 - lab.clock.now())
            said = pinging.stop().stdout
        histories = [*seen.histories(), pinged(said, lab, machine, self.interval)]
        for each in histories:
            if not each.count or history.columns(each).sent[0] / 1e9 + lab.began > exact[0][0] - 0.1:
                raise ToolError(f"{each.probe}: did not start before the first cut; the client is too busy")
        yield Series(metric="probe.cut", unit="s", values=tuple(end - begin for begin, end in exact))
        yield from histories

    def _planned(self, lab: Lab, start: float) -> list[tuple[float, float]]:
        """Return when to cut, on the lab's clock."""
        made, at = [], start
        for _ in range(self.events):
            length = self.shortest * (self.longest / self.shortest) ** lab.rng.random()
            at += GAP + lab.rng.uniform(0, self.interval + 0.01)
            made.append((at, at + length))
            at += length
        return made


def pinged(text: str, lab: Lab, machine: Machine, interval: float) -> History:
    """Return what `ping -D` saw as a history; ToolError if it saw nothing."""
    rows = ping.stamped(text)
    if len(rows.sequence) < 2:
        raise ToolError(f"{ping.TOOL}: fewer than two echoes of {machine.address} came back; it printed {text[:80]!r}")
    every = np.arange(rows.sequence[0], rows.sequence[-1] + 1)
    shift = lab.clock.now() - time.time() - lab.began
    sent = np.interp(every, rows.sequence, (rows.sent + shift) * 1e9).astype(np.int64)
    latency = np.full(every.size, history.NEVER, dtype=np.int64)
    latency[rows.sequence - every[0]] = (rows.latency * 1e9).astype(np.int64)
    keep = np.concatenate(([True], np.diff(np.maximum.accumulate(sent)) > 0))
    columns = Columns(sent[keep], np.zeros(int(keep.sum()), dtype=np.int64), latency[keep])
    return history.made(columns, probe="ping", kind="ping", machine=machine.name, interval=interval, patience=PATIENCE)


__all__ = ["Calibration", "pinged"]
