"""A sequence writer beside any event: what it promised outside is compared with what is on the disk afterwards.

The one thing to know: the guest may be gone when the context ends. The promises are with the client by then; what
stopped the writer is no error, and `verify` is asked of the guest that came back on the same disk.

    with writing(lab, guest) as writer:
        with lab.fault(Fault(kind="guest-kill"), guest) as injected: ...
        yield from writer.verify(guest, fault=injected.end)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from drivers import receiver, witness
from drivers.workloads import _machines
from harness import integrity
from harness.errors import ToolError, VirtmarkError
from harness.integrity import Compared, Promise
from harness.model import Series
from harness.protocols import Lab, Machine, Running

FILE = "/scratch/integrity.records"
INTERVAL = 0.01       # s between records
CHECK = 300.0         # s that a verifier may take in an emulated guest
SOURCE = Path(receiver.__file__)
OFFSET = "import time; print(time.monotonic_ns())"


class Writer:
    """The writer of a guest, and what the client heard of it."""

    def __init__(self, listening: Running, writing: Running, argv: Sequence[str], file: str, offset: float) -> None:
        self._listening, self._writing, self._argv, self._file, self._offset = listening, writing, argv, file, offset

    @contextmanager
    def again(self, guest: Machine) -> Iterator[None]:
        """Write on in a guest that came back, as another epoch of the same file."""
        with in_spite(guest.start([witness.install(guest), *self._argv[1:]])) as self._writing:
            yield

    def promises(self) -> list[Promise]:
        """Return what was acknowledged, with times on the lab's clock; the client stops to listen."""
        return promises(self._listening.stop().stdout, self._offset)

    def compare(self, guest: Machine) -> Compared:
        """Compare what was promised with what is on the disk of the guest that came back; the writer stops first."""
        with suppress(VirtmarkError):
            self._writing.stop()
        promised, program = self.promises(), witness.install(guest)
        done = guest.run(witness.check(self._file, program=program), timeout=CHECK).checked()
        try:
            return integrity.compare(promised, integrity.written(done.stdout))
        except ValueError as error:
            raise ToolError(f"{witness.PROGRAM} on {guest.name}: {error}") from None

    def verify(self, guest: Machine, *, fault: float | None = None, **labels: str) -> Iterator[Series]:
        """Yield the counts of the comparison, and the recovery point before the `fault` (on the lab's clock)."""
        yield from integrity.series(self.compare(guest), fault=fault, **labels)


@contextmanager
def writing(lab: Lab, guest: Machine, *, interval: float = INTERVAL, file: str = FILE,
            careless: bool = False) -> Iterator[Writer]:
    """Write records in `guest` every `interval` s while the client listens; the file may hold those of earlier starts.

    Leaving the context ends both, also where the guest is gone. A `careless` writer is the control that losses show.
    """
    client, program = lab.client(), witness.install(guest)
    offset = clock_offset(lab, client)
    with receiving(lab, client) as (port, listening):
        argv = witness.write(file, client.address, port, interval, careless=careless, program=program)
        with in_spite(guest.start(argv)) as running:
            yield Writer(listening, running, argv, file, offset)


def receiving(lab: Lab, client: Machine) -> AbstractContextManager[tuple[int, Running]]:
    """Have the client receive datagrams and print each with its arrival; yields the port and the program."""
    return _machines.listening(lab, client, _listener, "udp")


def beats(text: str, offset: float = 0.0) -> list[float]:
    """Return when heartbeats arrived, in s, among the lines of the receiver, shifted by `offset`."""
    found = (line.partition(" ") for line in text.splitlines())
    return [int(stamp) / 1e9 + offset for stamp, _, said in found
            if stamp.isdecimal() and isinstance(witness.parsed(said), witness.Beat)]


def promises(text: str, offset: float = 0.0) -> list[Promise]:
    """Return the acknowledgements among the lines of the receiver; times in s, shifted by `offset`."""
    found = []
    for line in text.splitlines():
        stamp, _, said = line.partition(" ")
        ack = witness.parsed(said) if stamp.isdecimal() else None
        if isinstance(ack, witness.Ack):
            found.append(Promise(ack.epoch, ack.sequence, int(stamp) / 1e9 + offset))
    return found


def clock_offset(lab: Lab, machine: Machine) -> float:
    """Return what is to be added to the monotonic clock of `machine` to get the lab's, in s; 0 for the same clock."""
    before = lab.clock.now()
    there = int(machine.run(["python3", "-c", OFFSET], timeout=_machines.GRACE).checked().stdout) / 1e9
    after = lab.clock.now()
    return 0.0 if before <= there <= after else (before + after) / 2 - there


def _listener(port: int) -> list[str]:
    return ["python3", "-u", "-c", SOURCE.read_text(), str(port)]


@contextmanager
def in_spite(job: AbstractContextManager[Running]) -> Iterator[Running]:
    """Run a command in the background of a machine that may be gone at the end, together with the command."""
    running = job.__enter__()
    try:
        yield running
    finally:
        with suppress(VirtmarkError):
            running.stop()
        with suppress(VirtmarkError):
            job.__exit__(None, None, None)
