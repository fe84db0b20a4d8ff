"""A sequence writer beside any event: what it promised outside is compared with what is on the disk afterwards.

The one thing to know: the guest may be gone when the context ends. The promises are with the client by then; what
stopped the writer is no error, and `verify` is asked of the guest that came back on the same disk.

    with writing(lab, guest) as writer:
        with lab.fault(Fault(kind="guest-kill"), guest) as injected: ...
        yield from writer.verify(guest, fault=injected.end)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from drivers import witness
from drivers.workloads._hearing import promises, receiving
from drivers.workloads._machines import in_spite
from drivers.workloads._probing import offset
from harness import integrity
from harness.errors import ToolError, VirtmarkError
from harness.integrity import Compared, Promise
from harness.model import Series
from harness.protocols import Lab, Machine, Running

FILE = "/scratch/integrity.records"
INTERVAL = 0.01       # s between records
CHECK = 300.0         # s that a verifier may take in an emulated guest


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
    shift = offset(lab, client).seconds
    with receiving(lab, client) as (port, listening):
        argv = witness.write(file, client.address, port, interval, careless=careless, program=program)
        with in_spite(guest.start(argv)) as running:
            yield Writer(listening, running, argv, file, shift)
