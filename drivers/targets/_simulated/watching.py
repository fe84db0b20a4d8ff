"""Simulated programs that watch guests from outside and inside: prober, load, the sequence writer and who hears of it.

What they print is computed when they end, from when their guest was there (see `platform`).
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers import probe, witness
from drivers.load import reading
from drivers.targets._simulated import load
from drivers.targets._simulated.platform import MANAGER, Cluster, Tenant
from drivers.targets._simulated.world import Answer
from drivers.workloads._sound import FILE as KNOWN
from drivers.workloads._sound import SWEPT
from harness.history import NEVER

ROUND_TRIP = 0.0006     # s
PROBER = Path(probe.__file__).read_text()
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


@dataclass(frozen=True)
class Heart:
    """A heartbeat of a guest: to which port, how often, since when."""

    guest: Tenant
    port: int
    interval: float
    start: float

    def beats(self, now: float) -> list[tuple[int, float]]:
        """Return the beats until now: number, and when it left; a guest that is away does not beat."""
        count = max(0, int((now - self.start) / self.interval))
        every = ((number, self.start + number * self.interval) for number in range(count))
        return [(number, at) for number, at in every if self.guest.answers(at)]


@dataclass
class Watching:
    """What all watchers of one platform know of each other."""

    now: Callable[[], float]
    cluster: Cluster
    rng: random.Random
    writers: list[Writing] = field(default_factory=list)
    hearts: list[Heart] = field(default_factory=list)
    sweeps: dict[str, float] = field(default_factory=dict)
    signs: dict[str, str] = field(default_factory=dict)

    def answer(self, argv: Sequence[str], address: str) -> Answer | None:
        """Return what a program will print; None for one that is none of these."""
        if argv[0] == "env" and reading.MODULE in argv:
            spec = json.loads(argv[-1])
            guest = self.cluster.tenants.get(spec["url"].removeprefix("http://").partition(":")[0])
            if "sign" in spec:
                self.signs[spec["sign"]] = "begun" if guest else "failed"
            return load.answer(spec, self.now, guest, self.rng)
        if argv[-1] in self.signs:
            return Answer(stdout=f"{self.signs[argv[-1]]}\n", seconds=load.REACHING)
        if Path(argv[0]).name.startswith("python") and "-c" in argv:
            code, rest = argv[argv.index("-c") + 1], argv[argv.index("-c") + 2:]
            if "boot_id" in code and "monotonic_ns" in code and not rest:
                return Answer(stdout=f"simulated {self.now() * 1e9:.0f}\n")
            if code == reading.VERSION:
                return Answer(stdout=f"{load.RELEASE}\n")
            if code == PROBER:
                return self._probes(json.loads(rest[0])["probes"])
            if "SO_TIMESTAMPNS" in code:
                return Answer(seconds=math.inf, listens=int(rest[0]), ending=lambda: self._heard(int(rest[0])))
        if argv[0] == witness.PROGRAM and address in self.cluster.tenants:
            return self._witness(argv[1:], self.cluster.tenants[address])
        if address in self.cluster.tenants and (sound := self._soundness(list(argv), address)):
            return sound
        if list(argv) == BOOT_ID and address in self.cluster.tenants:
            guest = self.cluster.tenants[address]
            boots = sum(math.isfinite(each.end) and each.boots for each in guest.down)
            return Answer(stdout=f"{guest.address}-{boots}\n")
        return None

    def _probes(self, specs: Sequence[Mapping[str, Any]]) -> Answer:
        """Probe for as long as it is let, then tell what came back, as the prober does."""
        began = self.now()

        def ending() -> str:
            head = {"boot": "simulated", "monotonic": round(began * 1e9), "realtime": round(began * 1e9),
                    "cpu": 0, "scheduler": "simulated"}
            blocks = [self._block(each, began + index * each["interval"] / len(specs))
                      for index, each in enumerate(specs)]
            lines = [head, *blocks, {"end": round(self.now() * 1e9), "cpu": 0}]
            return "".join(f"{json.dumps(line)}\n" for line in lines)

        return Answer(seconds=math.inf, ending=ending)

    def _block(self, spec: Mapping[str, Any], first: float) -> dict[str, Any]:
        """Return the columns of one probe from `first` until now."""
        interval, rows = spec["interval"], []
        count = max(0, int((self.now() - first) / interval)) if spec["kind"] != "listen" else 0
        for number in range(count):
            due = first + number * interval
            late = min(self.rng.expovariate(1 / LATE), interval / 2)
            took = self._latency(spec, due, first)
            rows.append((round((due + late) * 1e9), round(late * 1e9), NEVER if took is None else round(took * 1e9)))
        columns = zip(("sent", "lag", "latency"), zip(*rows, strict=True) if rows else ((), (), ()), strict=True)
        return {"probe": spec["name"], "first": 0, "count": count, **{k: probe.packed(list(v)) for k, v in columns}}

    def _latency(self, spec: Mapping[str, Any], due: float, began: float) -> float | None:
        """Return how long a probe that is sent at `due` waits for its answer; None if there is none in time."""
        trip, held = ROUND_TRIP * math.exp(self.rng.gauss(0, 0.2)), 0.0
        if spec["kind"] == "libvirt":
            index = int(spec["address"].removeprefix(MANAGER))
            return None if any(h == index and d.start <= due < d.end for h, d in self.cluster.managers) else trip
        guest = self.cluster.tenants.get(spec["address"])
        if guest is None:
            return trip if spec["kind"] == "disk" else None
        for each in guest.down:
            if spec["kind"] != "icmp" and each.boots and began <= each.start <= due:
                return None     # the program that answered is gone with the boot
            if each.start <= due < each.end:
                if not each.held or not math.isfinite(each.end) or each.end > self.now():
                    return None
                held = max(held, each.end - due)
        if self.rng.random() < guest.loss or held > spec["patience"]:
            return None
        return held + trip + guest.delay

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
        if words[0] == "serve":
            return Answer(seconds=math.inf, listens=int(words[1]), ending=str)
        if words[0] == "beat":
            self.hearts.append(Heart(guest, int(words[2]), int(words[3]) / 1e6, self.now()))
            return Answer(seconds=math.inf, ending=str)
        if words[0] == "write":
            writing = Writing(guest, words[1], int(words[3]), max(int(words[4]) / 1e6, 0.001), self.now())
            self.writers.append(writing)
            return Answer(seconds=math.inf, ending=lambda: self._stopped(writing))
        return Answer(stderr=f"{witness.PROGRAM}: {words[0]}: not simulated\n", code=2)

    def _soundness(self, argv: list[str], address: str) -> Answer | None:
        """Return what a guest says of its memory, its file and its kernel: it is always sound."""
        if argv[:2] == ["sh", "-c"] and witness.PROGRAM in argv and "sweep" in argv:
            self.sweeps[address] = self.now()
            return Answer(seconds=math.inf, ending=str)
        if argv[0] in ("cat", "tail") and argv[-1] == SWEPT:
            elapsed = self.now() - self.sweeps.get(address, self.now())
            said = {"elapsed": elapsed, "passes": int(elapsed), "pages": 4096, "dirtied": int(256 * elapsed),
                    "checked": int(256 * elapsed), "mismatches": 0, "stale": 0, "damaged": 0, "first_bad": -1,
                    "final": False}
            return Answer(stdout=f"{json.dumps(said)}\n")
        if argv == ["sha256sum", KNOWN]:
            return Answer(stdout=f"{hashlib.sha256(address.encode()).hexdigest()}  {KNOWN}\n")
        if argv[0] in ("dd", "dmesg") or (argv[:2] == ["sh", "-c"] and "drop_caches" in argv[2]):
            return Answer()     # nothing of it may reach the machine that simulates
        return None

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
        for heart in self.hearts:
            if heart.port == port:
                lines += [f"{(at + ROUND_TRIP) * 1e9:.0f} beat {number} {at * 1e9:.0f} {at * 1e9:.0f}"
                          for number, at in heart.beats(self.now())]
        return "\n".join([*lines, ""])
