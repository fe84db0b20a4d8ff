"""What a simulated platform does with its guests in simulated time: moves them, loses them, restarts them elsewhere.

Times are constants at the top, with noise, chosen to look like a small cluster, not to be one.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.clock import FakeClock
from harness.errors import TargetError
from harness.model import Event, Outcome
from harness.protocols import Fault, Injected, Life, Migration, Moved

COPIED = 2e8            # B/s of a migration without a limit
TOUCHED = 0.2           # share of a guest's memory that is sent
DOWNTIME = 0.08         # s
DETECTION = 2.2         # s until the cluster has noticed
FENCING = 1.0           # s
RESTART = 0.8           # s from the decision until the guest boots
INJECTION = 0.01        # s
HEALING = 0.2           # s
MANAGER = "simulated://"
REVIVAL = 1.5           # s until a management daemon that was killed answers again
FAILOVER = 0.03         # s without packets when one of two links goes down
SPREAD = 0.15           # of the logarithm of each of these
KINDS = {
    "guest-kill": "simulated: the guest ends", "guest-panic": "simulated: the guest's kernel panics",
    "guest-hang": "simulated: the guest stands still", "host-power-off": "simulated: the host has no power",
    "host-isolated": "simulated: the host's cable is out", "link-down": "simulated: one of two cables is out",
    "manager-kill": "simulated: the management daemon ends", "disk-full": "simulated: no room on the guest's disk",
    "packet-loss": "simulated: packets are lost", "packet-delay": "simulated: packets are late"}
FATAL = ("guest-kill", "guest-panic")
WHILE_IT_LASTS = ("guest-hang", "host-isolated")
OF_A_HOST = ("host-power-off", "host-isolated")


@dataclass
class Down:
    """When a guest gave no answer: from `start` until `end`, s of simulated time; inf for ever."""

    start: float
    end: float = math.inf
    boots: bool = False     # it is another boot of the guest that answers afterwards
    held: bool = False      # what came meanwhile is answered afterwards


@dataclass
class Tenant:
    """A guest as the platform sees it: where it runs, in whose care, and when it was not there."""

    name: str
    address: str
    host: int
    life: Life
    memory: int
    boot: float
    down: list[Down] = field(default_factory=list)
    chronicle: list[Event] = field(default_factory=list)
    loss: float = 0.0
    delay: float = 0.0
    speed: float = 1.0

    def answers(self, now: float) -> bool:
        """Say whether it answers at a moment of simulated time."""
        return not any(each.start <= now < each.end for each in self.down)


@dataclass
class Cluster:
    """The hosts and guests of one simulated platform."""

    clock: FakeClock
    rng: random.Random
    hosts: int
    dark: set[int] = field(default_factory=set)
    managers: list[tuple[int, Down]] = field(default_factory=list)
    tenants: dict[str, Tenant] = field(default_factory=dict)

    def tenant(self, address: str) -> Tenant:
        """Return the guest that has an address; TargetError if it is gone."""
        if address not in self.tenants:
            raise TargetError(f"{address}: there is no such guest")
        return self.tenants[address]

    def migrate(self, guest: Tenant, to: int, how: Migration) -> Moved:
        """Move a guest: it is silent for its downtime at the end."""
        sent = guest.memory * TOUCHED * self._around(1.0)
        rate = min(COPIED, how.bandwidth or COPIED)
        downtime, setup = self._around(min(DOWNTIME, how.downtime or DOWNTIME)), self._around(0.005)
        total = setup + sent / rate + downtime
        start = self.clock.now()
        self.clock.sleep(total)
        end, error = self.clock.now(), ""
        if not guest.answers(start):
            error = f"{guest.name}: is not running"
        elif to in self.dark:
            error = f"host {to}: unable to connect"
        else:
            guest.down.append(Down(end - downtime, end, held=True))
            guest.host = to
        counters = {} if error else {
            "total": total, "downtime": downtime, "setup": setup, "transferred": sent, "memory": sent, "disk": 0.0,
            "iterations": 3.0, "dirty_rate": 0.0}
        raw = json.dumps({"simulated": True, "error": error, **counters}).encode()
        return Moved(start=start, end=end, error=error, counters=counters, raw=raw)

    @contextmanager
    def fault(self, fault: Fault, guest: Tenant | None) -> Iterator[Injected]:
        """Let it happen; leaving the context heals, and takes simulated time."""
        start = self.clock.now()
        self.clock.sleep(self._around(INJECTION))
        injected = Injected(start=start, end=self.clock.now(), how=KINDS[fault.kind])
        hit = [each for each in self.tenants.values()
               if each.host == fault.host] if fault.kind in OF_A_HOST else [guest] if guest else []
        mine = [(each, self._strike(each, fault, start)) for each in hit]
        if fault.kind == "host-power-off":
            self.dark.add(fault.host)
        if fault.kind == "manager-kill":
            self.managers.append((fault.host, Down(start, start + self._around(REVIVAL))))
        try:
            yield injected
        finally:
            if fault.kind not in FATAL:
                self._heal(fault, mine)
                injected.healed = self.clock.now()

    def _heal(self, fault: Fault, hit: list[tuple[Tenant, Down | None]]) -> None:
        self.clock.sleep(self._around(HEALING))
        self.dark.discard(fault.host)
        for guest, down in hit:
            guest.loss = guest.delay = 0.0
            if down and fault.kind in WHILE_IT_LASTS:
                down.end = min(down.end, self.clock.now())

    def _strike(self, guest: Tenant, fault: Fault, now: float) -> Down | None:
        """Let a fault come over a guest; return what it makes of it."""
        if fault.kind == "packet-loss":
            guest.loss = fault.share
        if fault.kind == "packet-delay":
            guest.delay = fault.delay
        if fault.kind not in (*FATAL, *WHILE_IT_LASTS, "host-power-off", "link-down"):
            return None
        down = Down(now, held=fault.kind == "guest-hang")
        guest.down.append(down)
        if fault.kind == "link-down":
            down.end = now + self._around(FAILOVER)
        elif guest.life == "protected" and fault.kind != "guest-hang":
            down.end, down.boots = self._restart(guest, fault, now), True
        return down

    def _restart(self, guest: Tenant, fault: Fault, now: float) -> float:
        """Restart a guest as a cluster does; return when it serves again."""
        elsewhere = fault.kind in OF_A_HOST
        steps = [("detected", self._around(DETECTION)), ("fenced", self._around(FENCING) if elsewhere else 0.0),
                 ("restarted", self._around(RESTART))]
        moment = now
        for action, took in steps:
            if took:
                guest.chronicle.append(Event(actor="ha", action=action, start=moment, end=moment + took,
                                             outcome=Outcome.OK, detail="simulated"))
                moment += took
        if elsewhere:
            guest.host = (guest.host + 1) % self.hosts
        return moment + self._around(guest.boot)

    def _around(self, value: float) -> float:
        return value * math.exp(self.rng.gauss(0.0, SPREAD))
