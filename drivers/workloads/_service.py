"""The insurer's service in a guest, part by part, so that parts can be broken and come back while it is loaded.

The one thing to know: every part is a process of its own, started from here; what ends one in the guest is a SIGKILL
there, which took hold between two moments of the lab's clock, and both are told.

    with serving(lab, guest, patience=10) as shop:
        shop.kill("b"); shop.bring("b", version=2); shop.tell("set server shop/b state drain")
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import PurePosixPath
from typing import NamedTuple

from drivers import postgres, service
from drivers.service import Ports
from drivers.workloads import _ledger, _machines
from drivers.workloads._machines import GRACE
from drivers.workloads._probing import Offset
from harness.errors import ToolError, Unsupported
from harness.model import Event, Outcome
from harness.protocols import Lab, Machine, Running, Target

START = 120.0           # s that an emulated guest may take to start a part
FILE, SETTINGS = "virtmark-shop.py", "virtmark-gateway.cfg"
LOOK = 0.05             # s between looks at what the gateway believes
TELL = 'printf "%s\\n" "$1" | busybox nc 127.0.0.1 "$2"'


class Moment(NamedTuple):
    """When something took hold: between `start` and `end` of the lab's clock, in s."""

    start: float
    end: float


class Shop:
    """The service while it stands; `database` and the replicas by name can be ended and brought back."""

    def __init__(self, lab: Lab, guest: Machine, ports: Ports, stack: ExitStack) -> None:
        self.lab, self.guest, self.ports, self._stack = lab, guest, ports, stack
        self.folder = self._prepared()

    def _prepared(self) -> str:
        """Return where the database's files are: those of the guest image, else fresh ones, which go with the service.
        """
        if not self.guest.run(["test", "-e", f"{postgres.FOLDER}/ready"], timeout=GRACE).code:
            return postgres.FOLDER
        fresh = f"{PurePosixPath(postgres.FOLDER).parent}/virtmark-{self.lab.rng.randrange(16**8):08x}"
        self._stack.callback(self.guest.run, ["rm", "-rf", fresh], timeout=GRACE)
        return fresh

    @property
    def url(self) -> str:
        """Return where the gateway is reached from outside."""
        return f"http://{self.guest.address}:{self.ports.gateway}"

    def database(self) -> Moment:
        """Start the database, again or for the first time; return when it took statements."""
        before = self.lab.clock.now()
        self._stack.enter_context(
            _ledger.database(self.lab, self.guest, port=self.ports.database, folder=self.folder))
        return Moment(before, self.lab.clock.now())

    def bring(self, name: str, version: int = 1) -> Moment:
        """Start a replica; return when its port was open."""
        before = self.lab.clock.now()
        self._part(service.replica(name, version, self.ports, FILE), getattr(self.ports, name))
        return Moment(before, self.lab.clock.now())

    def kill(self, part: str) -> Moment:
        """End a replica, or the database, by SIGKILL; ToolError if it was not there."""
        its = service.pattern(part) if part != "database" else _ledger.pattern(self.ports.database, self.folder)
        before = self.lab.clock.now()
        done = self.guest.run(["pkill", "-9", "-f", its], timeout=GRACE)
        if done.code:
            raise ToolError(f"{part} on {self.guest.name}: was not there to be killed")
        when = Moment(before, self.lab.clock.now())
        while (port := getattr(self.ports, part)) in _machines.open_ports(self.guest, "tcp"):
            if self.lab.clock.now() > when.end + GRACE:
                raise ToolError(f"{part} on {self.guest.name}: port {port} is still open {GRACE:g} s after SIGKILL")
            self.lab.clock.sleep(0.02)      # the kernel closes it a moment later; what comes next must not find it open
        return when

    def tell(self, command: str) -> None:
        """Give the gateway a command; ToolError if it does not take it."""
        done = self.guest.run(["sh", "-c", TELL, "sh", command, str(self.ports.admin)], timeout=GRACE)
        if done.code or done.stdout.strip():
            raise ToolError(f"haproxy on {self.guest.name}: {command}: {done.stdout.strip() or done.stderr.strip()}")

    def _part(self, argv: list[str], port: int) -> None:
        running = self._stack.enter_context(_machines.in_spite(self.guest.start(argv)))
        _machines.await_port(self.lab, self.guest, running, port, patience=START)

    def open(self, patience: float, limit: float, canary: float) -> None:
        """Start all parts, the gateway last."""
        self.database()
        where = f"host=127.0.0.1 port={self.ports.database} user=postgres dbname=postgres"
        self.guest.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", where], timeout=GRACE,
                       stdin=service.SCHEMA.encode()).checked()
        self._part(service.cache(self.ports.cache), self.ports.cache)
        self.guest.write(FILE, service.SHOP.read_bytes())
        for name in service.REPLICAS:
            self.bring(name)
        text = service.gateway(self.ports, patience=patience, limit=limit, canary=canary)
        self.guest.write(SETTINGS, text.encode())
        self._part(["haproxy", "-db", "-f", SETTINGS], self.ports.gateway)
        warm = map(str, (self.ports.a, self.ports.b, self.ports.one))
        self.guest.run([service.PYTHON, "-c", service.WARM, *warm], timeout=GRACE).checked()


def real(target: Target) -> None:
    """Raise Unsupported where the target is a simulated one, which would start real servers here."""
    if target.facts().get("simulated") == "true":
        raise Unsupported("a service of several parts is not simulated")


@contextmanager
def serving(lab: Lab, guest: Machine, *, patience: float = 10.0, limit: float = 0.0, canary: float = 0.5
            ) -> Iterator[Shop]:
    """Have the whole service stand in `guest`; see `drivers.service.gateway` for `limit` and `canary`."""
    taken = _machines.open_ports(guest, "tcp")
    free = [port for port in _machines.PORTS if port not in taken]
    with ExitStack() as stack:
        shop = Shop(lab, guest, Ports(*lab.rng.sample(free, len(Ports._fields))), stack)
        shop.open(patience, limit, canary)
        yield shop


def watching(lab: Lab, machine: Machine, shop: Shop) -> AbstractContextManager[Running]:
    """Follow from `machine` what the gateway believes of its replicas, until the context ends."""
    argv = ["python3", "-u", "-c", service.WATCH.read_text(), shop.guest.address, str(shop.ports.watch), f"{LOOK:g}"]
    return machine.start(argv)


def seen(text: str, clock: Offset, began: float) -> list[Event]:
    """Return each change of a replica's state that a watcher printed, in s since the step began at `began`."""
    found: list[Event] = []
    known: dict[str, str] = {}
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue        # a last line that was cut off
        start, end = (said[key] / 1e9 + clock.seconds - began for key in ("from", "to"))
        for name, its in said["servers"].items():
            if known.setdefault(name, its["state"]) != its["state"]:
                outcome = Outcome.FAILED if its["state"] == "DOWN" else Outcome.OK      # drained ones are so on purpose
                found.append(Event(actor="gateway", action=f"{name} {its['state'].lower()}", start=start, end=end,
                                   outcome=outcome, detail=f"weight {its['weight']}"))
            known[name] = its["state"]
    return found


__all__ = ["FILE", "Moment", "Shop", "real", "seen", "serving", "watching"]
