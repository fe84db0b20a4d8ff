"""A guest is moved there and back while it works, and is looked at from three sides: the platform's own counters, the
guest's heartbeat, and probes from outside.

The one thing to know: whether a move went well is the guest's word, never the platform's return code (see `_sound`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import ClassVar, Literal

from drivers import witness
from drivers.tools import fio, stress_ng
from drivers.workloads import _hearing, _machines, _sound
from drivers.workloads._probing import Probe, offset, probing
from harness import protocols
from harness.model import Count, Event, History, Outcome, Series
from harness.protocols import Lab, Machine, Migrates, Moved, Running, Target, Viewed
from harness.units import Bandwidth, Bytes, Seconds

QUIET = 3.0             # s of probes before the first move, and after each
SETTLED = 5.0           # s that a sound guest is asked for after a move, at most, by what was seen
PATIENCE = 60.0         # s after which a probe counts as never answered
VERIFIER = (16 * 2**20, 2**20)      # B of memory and B/s of the sweep where memory is not the load
DISK = Bytes(64 * 2**20)
UNITS = {"total": "s", "downtime": "s", "setup": "s", "transferred": "B", "memory": "B", "disk": "B",
         "dirty_rate": "B/s"}


class Migration(protocols.Migration, frozen=True, kw_only=True):
    """`moves` live migrations of one guest, there and back, under `load`; what is 0 is left to the platform.

    Each goes as `harness.protocols.Migration` says, whose parameters this has as well; `storage` copied takes the disk
    along. memory: `working_set` is written all over again at `dirty_rate`. `interval` is that of the echoes from
    outside and of the heartbeat, `requests` that of the HTTP requests.
    """

    needs: ClassVar[tuple[type, ...]] = (Migrates, Viewed)
    tools: ClassVar[tuple[str, ...]] = ("stress-ng", "fio")

    moves: Count = 4
    load: Literal["idle", "cpu", "memory", "disk"] = "idle"
    working_set: Bytes = Bytes(96 * 2**20)
    dirty_rate: Bandwidth = Bandwidth(32 * 2**20)
    timeout: Seconds = Seconds(120)
    interval: Seconds = Seconds(0.01)
    requests: Seconds = Seconds(0.05)

    def __post_init__(self) -> None:
        wrong = {
            "interval and requests must be between 1ms and 1s":
                not (0.001 <= self.interval <= 1 and 0.001 <= self.requests <= 1),
            "timeout must be at least 1s": self.timeout < 1,
            "working_set must be at least 1MiB": self.working_set < 2**20,
        }
        if reasons := [text for text, bad in wrong.items() if bad]:
            raise ValueError(reasons[0])

    def seconds(self) -> float:
        """Return how long one step takes, boot included, by what was seen of small guests on the embedded lab."""
        call = {"idle": 2.0, "cpu": 3.0, "memory": 6.0, "disk": 4.0}[self.load] * (2 if self.storage == "copied" else 1)
        return 20.0 + self.moves * (call + QUIET + SETTLED)

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event | History]:
        """Move and look; in place of a guest that is found dead or corrupted a fresh one is moved on."""
        tried = 0
        while tried < self.moves:
            for record in self._of_one_guest(lab, tried):
                tried += isinstance(record, Event)
                yield record

    def _of_one_guest(self, lab: Lab, first: int) -> Iterator[Series | Event | History]:
        """Move a fresh guest until it is found unsound, or all moves but the `first` ones have been tried."""
        role = f"mover-{lab.rng.randrange(16**4):04x}"      # nobody else gets a guest that may be corrupted
        guest = lab.guest(role, life="carried" if self.storage == "copied" else "movable")
        client = lab.client()
        with ExitStack() as stack:
            size, rate = (self.working_set, self.dirty_rate) if self.load == "memory" else VERIFIER
            sound = stack.enter_context(_sound.known(lab, guest, size=int(size), rate=float(rate)))
            port = stack.enter_context(witness.answering(lab, guest, patience=_machines.PATIENCE))
            self._loaded(guest, stack)
            heart, beats = self._beating(lab, guest, client, stack)
            with probing(lab, guest, self._probes(guest, port)) as seen:
                lab.clock.sleep(QUIET)
                moves = list(self._moves(lab, guest, sound, self.moves - first))
            arrivals = _hearing.beats(beats.stop().stdout, heart)
        for number, (moved, event) in enumerate(moves, first):
            yield event
            yield from _counted(moved, number)
            yield from _heartbeat(arrivals, moved, number, self.interval)
        yield from seen.histories()

    def _moves(self, lab: Lab, guest: Machine, sound: _sound.Known, count: int
               ) -> Iterator[tuple[Moved, Event]]:
        """Yield up to `count` moves with what became of them, until the guest is found unsound."""
        at = 0
        for _ in range(count):
            moved = lab.migrate(guest, 1 - at, self._how())
            lab.clock.sleep(QUIET)
            trouble = sound.trouble()
            found = lab.whereabouts(guest)
            if moved.error:
                trouble = (f"the platform says: {moved.error}", *trouble)
            if len(found) != 1:
                trouble = (f"it runs on {len(found)} hosts", *trouble)
            yield moved, Event(
                actor="migration", action="move", start=moved.start - lab.began, end=moved.end - lab.began,
                outcome=Outcome.FAILED if trouble else Outcome.OK,
                detail=f"host {at} to {1 - at}: {'; '.join(trouble) or 'the guest is sound'}")
            if trouble and (not moved.error or len(trouble) > 1):
                return
            at = found[0] if found else at

    def _how(self) -> protocols.Migration:
        return protocols.Migration(**{name: getattr(self, name) for name in protocols.Migration.__struct_fields__})

    def _loaded(self, guest: Machine, stack: ExitStack) -> None:
        """Keep the guest at work until the context ends; memory is kept busy by the sweep."""
        longest = Seconds(self.seconds() + self.moves * self.timeout)
        if self.load == "cpu":
            argv = stress_ng.Matrixprod(threads=1, duration=longest).argv()
        elif self.load == "disk":
            file = "virtmark-migration.disk"
            guest.run(fio.Fill(file=file, size=DISK).argv(), timeout=_machines.GRACE).checked()
            argv = fio.Load(file=file, size=DISK, pattern="randrw", depth=4, duration=longest).argv()
        else:
            return
        stack.enter_context(_machines.in_spite(guest.start(argv)))

    def _beating(self, lab: Lab, guest: Machine, client: Machine, stack: ExitStack
                 ) -> tuple[float, Running]:
        """Have the guest beat and the client listen; return the offset of its clock, and who listens."""
        heart = offset(lab, client).seconds
        port, beats = stack.enter_context(_hearing.receiving(lab, client))
        program = witness.install(guest)
        stack.enter_context(_machines.in_spite(guest.start(
            witness.beat(client.address, port, self.interval, program=program))))
        return heart, beats

    def _probes(self, guest: Machine, port: int) -> list[Probe]:
        return [Probe("icmp", guest.address, 0, self.interval, PATIENCE),
                Probe("udp", guest.address, port, self.interval, PATIENCE),
                Probe("http", guest.address, port, self.requests, PATIENCE)]


def _counted(moved: Moved, number: int) -> Iterator[Series]:
    """Yield the platform's counters of a move, and how long the call took."""
    for name, value in {"call": moved.end - moved.start, **moved.counters}.items():
        yield Series(metric=f"migration.{name}", unit="s" if name == "call" else UNITS.get(name, "1"),
                     values=(float(value),), labels={"move": str(number)})


def _heartbeat(arrivals: list[float], moved: Moved, number: int, interval: float) -> Iterator[Series]:
    """Yield how long the guest did not live, by its heartbeat: the longest gap around a move, and its bounds."""
    near = [at for at in arrivals if moved.start - QUIET / 2 <= at <= moved.end + QUIET / 2]
    gap = max((after - before for before, after in pairwise(near)), default=0.0)
    if gap:
        for end, value in (("", gap - interval / 2), (".low", gap - interval), (".high", gap)):
            yield Series(metric=f"migration.heartbeat{end}", unit="s", values=(max(0.0, value),),
                         labels={"move": str(number)})
