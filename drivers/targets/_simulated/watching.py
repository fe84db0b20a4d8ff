"""Simulated programs that watch guests from outside and inside: echoes, the sequence writer and who hears of it.

What they print is computed when they end, from when their guest was there (see `platform`).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from drivers import witness
from drivers.targets._simulated.platform import Tenant
from drivers.targets._simulated.world import Answer

ROUND_TRIP = 0.0006     # s
LATE = 0.00005          # s by which a send is late
BOOT_ID = ["cat", "/proc/sys/kernel/random/boot_id"]


@dataclass
class Writing:
    """One start of the sequence writer in a guest: into which file, to which port, how often, from when to when."""

    guest: Tenant
    file: str
    port: int
    interval: float
    start: float
    end: float = math.inf

    def records(self, now: float) -> list[tuple[int, float]]:
        """Return the records until now: number, and when it was on the disk. A guest that ends takes its writer along.
        """
        until = min(self.end, now, *(each.start for each in self.guest.down if each.start >= self.start))
        count = max(0, int((until - self.start) / self.interval))
        return [(number, self.start + (number + 1) * self.interval) for number in range(count)]


@dataclass
class Watching:
    """What all watchers of one platform know of each other."""

    now: Callable[[], float]
    tenants: dict[str, Tenant]
    rng: random.Random
    writers: list[Writing] = field(default_factory=list)

    def answer(self, argv: Sequence[str], address: str) -> Answer | None:
        """Return what a program will print; None for one that is none of these."""
        if argv[0] == "python3" and "-c" in argv:
            code, rest = argv[argv.index("-c") + 1], argv[argv.index("-c") + 2:]
            if code == "import time; print(time.monotonic_ns())":
                return Answer(stdout=f"{self.now() * 1e9:.0f}\n")
            if "IPPROTO_ICMP" in code:
                return self._echoes(rest[0], float(rest[1]))
            if "SO_TIMESTAMPNS" in code:
                return Answer(seconds=math.inf, listens=int(rest[0]), ending=lambda: self._heard(int(rest[0])))
        if argv[0] == witness.PROGRAM and address in self.tenants:
            return self._witness(argv[1:], self.tenants[address])
        if list(argv) == BOOT_ID and address in self.tenants:
            guest = self.tenants[address]
            boots = sum(math.isfinite(each.end) and each.boots for each in guest.down)
            return Answer(stdout=f"{guest.address}-{boots}\n")
        return None

    def _echoes(self, address: str, interval: float) -> Answer:
        """Send for as long as it is let, then tell what came back."""
        began, guest = self.now(), self.tenants[address]

        def ending() -> str:
            lines = []
            for number in range(int((self.now() - began) / interval)):
                due = began + number * interval
                late = self.rng.expovariate(1 / LATE)
                lines.append(f"s {number} {(due + late) * 1e9:.0f} {late * 1e9:.0f}")
                if guest.answers(due) and self.rng.random() >= guest.loss:
                    trip = ROUND_TRIP * math.exp(self.rng.gauss(0, 0.2)) + guest.delay
                    lines.append(f"r {number} {trip * 1e9:.0f}")
            return "\n".join([*lines, ""])

        return Answer(seconds=math.inf, ending=ending)

    def _witness(self, words: Sequence[str], guest: Tenant) -> Answer:
        if words[0] == "version":
            return Answer(stdout=f"{witness.version()}\n")
        if words[0] == "check":
            mine = [each for each in self.writers if each.guest is guest and each.file == words[1]]
            runs = [[epoch, 0, len(records) - 1] for epoch, each in enumerate(mine, 1)
                    if (records := each.records(self.now()))]
            total = sum(last + 1 for _, _, last in runs)
            found = {"records": total, "torn": 0, "runs": runs, "bytes": total * 64}
            return Answer(stdout=f"{json.dumps(found)}\n", seconds=0.1)
        if words[0] == "write":
            writing = Writing(guest, words[1], int(words[3]), max(int(words[4]) / 1e6, 0.001), self.now())
            self.writers.append(writing)
            return Answer(seconds=math.inf, ending=lambda: self._stopped(writing))
        return Answer(stderr=f"{witness.PROGRAM}: {words[0]}: not simulated\n", code=2)

    def _stopped(self, writing: Writing) -> str:
        writing.end = min(writing.end, self.now())
        return ""

    def _heard(self, port: int) -> str:
        """Return the acknowledgements that came to a port, as the receiver prints them."""
        lines = []
        for each in self.writers:
            if each.port == port:
                epoch = 1 + sum(other.guest is each.guest and other.file == each.file
                                for other in self.writers[:self.writers.index(each)])
                lines += [f"{(when + ROUND_TRIP) * 1e9:.0f} ack {epoch} {number} {when * 1e9:.0f}"
                          for number, when in each.records(self.now())]
        return "\n".join([*lines, ""])
