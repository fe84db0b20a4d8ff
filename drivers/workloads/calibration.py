"""How far off the prober is: a guest, or the path to it, is disturbed in an exactly known way, and probes tell how.

The one thing to know: nothing is judged here. The disturbances become events of the step and the probes histories; the
indicators hold one to the other. ping looks at the same events beside our own prober.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
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
from harness.protocols import Disturbs, Dropped, Fault, Lab, Machine, Target, Viewed
from harness.units import Seconds

QUIET = 3.0         # s before the first event, in which prober and ping start, and after the last
GAP = 0.7           # s between events, and up to an interval and 10 ms more: a phase at random
SETUP = 1.3         # s that loss takes to begin and to be counted
PATIENCE = 12.0
SHARES = (0.01, 0.05, 0.2)          # of packets to drop, in turn
DELAYS = (0.005, 0.02, 0.1)         # s to hold packets up, in turn
BETWEEN = {"loss": SETUP, "delay": 4.0}     # s more between events, for what begins and ends them
PING = 100          # B of a packet of ping, so that it can be told from other echoes, and what of it is payload
PAYLOAD = PING - 28


class Calibration(Record, frozen=True, kw_only=True):
    """`events` of length log-uniform from `shortest` to `longest`, at a random phase of probes `interval` apart.

    injects: cut drops everything on the way to the guest, pause stops the guest; for `longest` each, loss drops 1, 5
    and 20 % of packets in turn, and delay has the guest's kernel hold up what it sends for 5, 20 and 100 ms. kinds:
    packets is ICMP and UDP, connections TCP and HTTP; what answers runs in the guest or, with `where` host, on the lab
    host below it.
    """

    needs: ClassVar[tuple[type, ...]] = (Disturbs, Viewed)
    tools: ClassVar[tuple[str, ...]] = (ping.TOOL,)

    injects: Literal["cut", "pause", "loss", "delay"] = "cut"
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
        if self.injects in ("pause", "delay") and self.where != "guest":
            raise ValueError(f"where = {self.where}; injects = {self.injects} is done to a guest")
        if self.injects in BETWEEN and self.kinds != "packets":
            raise ValueError(f"kinds = connections; injects = {self.injects} needs kinds = packets")

    def seconds(self) -> float:
        """Return how long one step takes, on average."""
        usual = (self.longest - self.shortest) / math.log(self.longest / self.shortest)
        if self.injects in BETWEEN:
            usual = self.longest + BETWEEN[self.injects]
        return 2 * QUIET + 4 + self.events * (GAP + self.interval / 2 + usual)

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event | History]:
        """Disturb and look; yield what exactly was done, and what each probe saw."""
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
                    ["ping", "-n", "-D", "-O", "-i", f"{self.interval:g}", "-s", str(PAYLOAD), "-w", str(left),
                     machine.address]))
                exact, series = self._injected(lab, machine, windows)
                lab.clock.sleep(max(QUIET, windows[-1][1] + QUIET + 1.5 - lab.clock.now()))
                said = pinging.stop().stdout
        histories = [*seen.histories(), pinged(said, lab, machine, self.interval)]
        for each in histories:
            if not each.count or history.columns(each).sent[0] / 1e9 + lab.began > exact[0][0] - 0.1:
                raise ToolError(f"{each.probe}: did not start before the first event; the client is too busy")
        yield from series
        yield from histories

    def _injected(self, lab: Lab, machine: Machine, windows: Sequence[tuple[float, float]]
                  ) -> tuple[Sequence[tuple[float, float]], list[Series]]:
        """Disturb as planned and return when that exactly was, and what there is to say of it."""
        made: Sequence[tuple[float, float]]
        if self.injects == "cut":
            with lab.cut(machine, windows) as made:
                lab.clock.sleep(windows[-1][1] - lab.clock.now())
        elif self.injects == "pause":
            made = []
            with lab.pausing(machine) as pause:
                for begin, end in windows:
                    lab.clock.sleep(max(0.0, begin - lab.clock.now()))
                    made.append(pause(end - begin))
        elif self.injects == "delay":
            return self._delayed(lab, machine, windows)
        else:
            lost = []
            for number, (begin, end) in enumerate(windows):
                lab.clock.sleep(max(0.0, begin - lab.clock.now()))
                lost.append(lab.lose(machine, SHARES[number % len(SHARES)], end - begin))
            return [(each.start, each.end) for each in lost], counted(lost)
        lengths = tuple(end - begin for begin, end in made)
        return made, [Series(metric=f"probe.{self.injects}", unit="s", values=lengths)]

    def _delayed(self, lab: Lab, machine: Machine, windows: Sequence[tuple[float, float]]
                 ) -> tuple[Sequence[tuple[float, float]], list[Series]]:
        """Hold up what the guest sends, event by event; return when that was, and for how long each packet."""
        held = [DELAYS[number % len(DELAYS)] for number in range(len(windows))]
        made = []
        for (begin, _), delay in zip(windows, held, strict=True):
            lab.clock.sleep(max(0.0, begin - lab.clock.now()))
            with lab.fault(Fault(kind="packet-delay", delay=Seconds(delay)), machine) as injected:
                lab.clock.sleep(injected.end + self.longest - lab.clock.now())
                made.append((injected.start, lab.clock.now()))
        return made, [Series(metric="probe.delayed", unit="s", values=tuple(held))]

    def _planned(self, lab: Lab, start: float) -> list[tuple[float, float]]:
        """Return when to disturb, on the lab's clock."""
        made, at = [], start
        for _ in range(self.events):
            length = self.shortest * (self.longest / self.shortest) ** lab.rng.random()
            if self.injects in BETWEEN:
                length, at = self.longest, at + BETWEEN[self.injects]
            at += GAP + lab.rng.uniform(0, self.interval + 0.01)
            made.append((at, at + length))
            at += length
        return made


def counted(lost: Sequence[Dropped]) -> list[Series]:
    """Return how many packets of each probe were dropped, event by event."""
    probes: dict[str, list[float]] = {"icmp": [], "udp": [], "ping": []}
    for each in lost:
        for probe, numbers in probes.items():
            numbers.append(sum(count for packet, count in each.packets.items() if whose(*packet) == probe))
    return [Series(metric="probe.dropped", unit="1", values=tuple(numbers), labels={"probe": probe})
            for probe, numbers in probes.items()]


def whose(protocol: str, length: int) -> str:
    """Return the probe that sends packets of this protocol and length (B), "" if none does."""
    if protocol == "icmp":
        return "ping" if length == PING else "icmp"
    return protocol if protocol == "udp" else ""


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


__all__ = ["Calibration", "counted", "pinged", "whose"]
