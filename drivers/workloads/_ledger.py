"""A PostgreSQL in the guest and a ledger kept on it from outside, beside any event.

The one thing to know: the database is a child of the command that serves it, so it goes with the guest; `database` on
the guest that came back starts it again on the same files, and it recovers by itself.

    with database(lab, guest) as port, keeping(lab, guest.address, port) as ledger:
        with lab.fault(Fault(kind="guest-kill"), guest): ...
    with database(lab, guest) as port:
        yield from ledger.verify(lab.client(), guest.address, port)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from drivers import ledger as client
from drivers import postgres
from drivers.workloads import _machines
from drivers.workloads._machines import in_spite
from harness import ledger
from harness.errors import ToolError
from harness.ledger import Final, Judged, Operation
from harness.model import Series
from harness.protocols import Lab, Machine, Running

SOURCE = Path(client.__file__)
START = 300.0         # s that an emulated guest may take to make a database and to recover one
ROWS = 20             # that the ledger holds before anything may break
SECONDS = 3600.0      # after which a client that nobody stops ends by itself
OPENING = dict.fromkeys(range(1, client.ACCOUNTS + 1), client.BALANCE)
REGISTERS: dict[int, int | None] = dict.fromkeys(range(1, client.REGISTERS + 1), 0)


@contextmanager
def database(lab: Lab, guest: Machine, *, port: int = 0, folder: str = postgres.FOLDER) -> Iterator[int]:
    """Serve PostgreSQL in `guest` while the context lasts, on `port` (0: a free one); yields the port.

    It is left without complaint where the guest is gone.
    """
    with ExitStack() as stack:
        taken = port or _machines.free_port(lab, guest)
        running = stack.enter_context(in_spite(guest.start(["sh", "-c", postgres.SERVE, "sh", folder, str(taken)])))
        _machines.await_port(lab, guest, running, taken, patience=START)
        _await_recovery(lab, guest, taken)
        yield taken


def pattern(port: int, folder: str = postgres.FOLDER) -> str:
    """Return what finds the server on `port` among all processes by its command line, and not the one that looks."""
    return f"[p]ostgres -D {folder} -p {port}"


def _await_recovery(lab: Lab, guest: Machine, port: int) -> None:
    """Return once the server takes statements; it opens its port before it has recovered from a crash."""
    until = lab.clock.now() + START
    while (done := guest.run(["sh", "-c", postgres.READY, "sh", str(port)], timeout=_machines.GRACE)).code:
        if lab.clock.now() > until:
            raise ToolError(f"postgres on {guest.name}: takes no statements after {START:g} s: {done.stdout.strip()}")
        lab.clock.sleep(0.1)


class Keeper:
    """A ledger that is kept; what was done is known once it is stopped."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def history(self) -> list[Operation]:
        """Stop the sessions and return what they did."""
        done = self._running.stop()
        try:
            return ledger.read(done.stdout)
        except ValueError as error:
            raise ToolError(str(error)) from None

    def judge(self, machine: Machine, address: str, port: int) -> Judged:
        """Read the database from `machine` and judge."""
        return ledger.judge(self.history(), final(machine, address, port), OPENING, REGISTERS)

    def verify(self, machine: Machine, address: str, port: int, **labels: str) -> Iterator[Series]:
        """Yield the counts; `harness.integrity.loss` tells whether they are a failure."""
        yield from ledger.series(self.judge(machine, address, port), **labels)


@contextmanager
def keeping(lab: Lab, address: str, port: int, *, sessions: int = 4, patience: float = 10.0) -> Iterator[Keeper]:
    """Keep a ledger on the database at `address`, from the client, through whatever happens to it.

    It begins anew, and some of it is written when the context is entered: what breaks before has nothing to lose.
    """
    asked(lab.client(), address, port, client.ANEW)
    argv = ["python3", "-u", "-c", SOURCE.read_text(), address, str(port), f"{SECONDS:g}", str(sessions),
            f"{patience:g}", str(lab.rng.getrandbits(32))]
    with lab.client().start(argv) as running:
        until = lab.clock.now() + START
        while int(asked(lab.client(), address, port, client.KEPT)) < ROWS:
            if lab.clock.now() > until:
                raise ToolError(f"postgres at {address}: took fewer than {ROWS} rows in {START:g} s")
            lab.clock.sleep(0.2)
        yield Keeper(running)


def asked(machine: Machine, address: str, port: int, statements: str) -> str:
    """Return what the database prints, asked from `machine`; ToolError if it cannot be asked."""
    argv = [*client.client(address, str(port)), "-c", statements]
    return machine.run(argv, timeout=_machines.GRACE).checked().stdout


def final(machine: Machine, address: str, port: int) -> Final:
    """Return what the database holds; ToolError if it cannot be read."""
    said = asked(machine, address, port, client.FINAL)
    try:
        return msgspec.convert(json.loads(said), Final, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise ToolError(f"psql on {machine.name}: {error}") from None
