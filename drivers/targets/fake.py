"""A simulated platform, for tests, demonstrations and dry runs: nothing on it was ever measured.

It lives in simulated time, so a campaign of a day takes a minute. Same seed and same questions, same answers.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from drivers.shell import Local, Shell
from drivers.targets._simulated.machine import Failure, Simulated, World
from drivers.targets._simulated.platform import KINDS, MANAGER, Cluster, Tenant
from drivers.targets._simulated.watching import Watching
from harness.clock import FakeClock
from harness.errors import TargetError, Unsupported
from harness.model import Event, Record
from harness.protocols import Fault, GuestSpec, Injected, Machine, Migration, Moved
from harness.units import Seconds, Share

GIB = 2**30
NETWORK = "192.0.2."


class Fake(Record, frozen=True, kw_only=True, dict=True):
    """Guests that are `overhead` slower than their host, which is `speed` times as fast as a small server.

    `noise` is the standard deviation of guests among each other (of the logarithm), `spread` that of the runs on one
    guest, `drift` the share of speed lost in an hour. `failures` say which tools go wrong and how; every
    `boot_fails_every`-th guest does not come up.
    """

    seed: int = 1
    vendor: str = "Simulated A"
    product: str = "Fake"
    version: str = "1"
    hosts: int = 2
    speed: float = 1.0
    overhead: Share = Share(0.05)
    noise: Share = Share(0.01)
    spread: Share = Share(0.005)
    drift: Share = Share(0.0)
    boot: Seconds = Seconds(6)
    boot_fails_every: int = 0
    failures: tuple[Failure, ...] = ()

    def __post_init__(self) -> None:
        wrong = {"speed must be above 0": not self.speed > 0, "hosts must be at least 1": self.hosts < 1,
                 "overhead and drift must be below 100%": max(self.overhead, self.drift) >= 1,
                 "boot_fails_every must not be negative": self.boot_fails_every < 0,
                 "failures: every must be at least 1": any(each.every < 1 for each in self.failures)}
        if reasons := [text for text, bad in wrong.items() if bad]:
            raise ValueError(reasons[0])

    @functools.cached_property
    def clock(self) -> FakeClock:
        """Simulated time."""
        return FakeClock()

    def facts(self) -> Mapping[str, str]:
        """Say what it is: simulated."""
        return {"vendor": self.vendor, "product": self.product, "version": self.version, "accelerator": "simulated",
                "simulated": "true", "seed": str(self.seed)}

    @contextmanager
    def guest(self, spec: GuestSpec) -> Iterator[Shell]:
        """Yield a guest after the time that booting takes."""
        self._check_host(spec.host)
        number = next(self._numbers)
        rng = random.Random(f"{self.seed}/guest/{number}")
        self.clock.sleep(self.boot * math.exp(rng.gauss(0, 0.1)))
        if self.boot_fails_every and not number % self.boot_fails_every:
            raise TargetError(f"guest {spec.role} takes no commands after 180 s; its console said: nothing")
        slowed = (1 - self.overhead) * math.exp(rng.gauss(0, self.noise))
        last = 10 + number % 200
        address = f"{NETWORK}{last}"
        self._cluster.tenants[address] = Tenant(
            name=spec.role, address=address, host=spec.host, life=spec.life, memory=int(spec.size.memory),
            boot=self.boot, speed=self.speed * slowed)
        try:
            with self._machine(spec.role, f"guest-{number}", last, slowed, spec.size.vcpus,
                               int(spec.size.memory)) as machine:
                yield machine
        finally:
            del self._cluster.tenants[address]

    @contextmanager
    def host(self, index: int = 0) -> Iterator[Shell]:
        """Yield the machine below the guests."""
        self._check_host(index)
        with self._machine(f"host.{index}", f"host-{index}", 1 + index, 1.0, 8, 16 * GIB) as machine:
            yield machine

    @contextmanager
    def client(self) -> Iterator[Shell]:
        """Yield the machine that looks from outside."""
        with self._machine("client", "client", 254, 1.0, 8, 16 * GIB) as machine:
            yield machine

    def migrate(self, guest: Machine, to: int, how: Migration) -> Moved:
        """Move a guest to another host in simulated time."""
        self._check_host(to)
        tenant = self._cluster.tenant(guest.address)
        if tenant.life == "plain":
            raise Unsupported(f"fake: {guest.name} is a plain guest, which stays where it is")
        return self._cluster.migrate(tenant, to, how)

    def whereabouts(self, guest: Machine) -> Sequence[int]:
        """Return the host on which a guest runs now, if it does."""
        tenant = self._cluster.tenant(guest.address)
        return [tenant.host] if tenant.answers(self.clock.now()) else []

    def faults(self) -> Mapping[str, str]:
        """Return the faults that can be simulated."""
        return KINDS

    def fault(self, fault: Fault, guest: Machine | None) -> AbstractContextManager[Injected]:
        """Let it happen in simulated time."""
        if fault.kind not in KINDS:
            raise Unsupported(f"fake: {fault.kind} is none of the faults that can be simulated: {', '.join(KINDS)}")
        self._check_host(fault.host)
        return self._cluster.fault(fault, self._cluster.tenant(guest.address) if guest else None)

    def chronicle(self, guest: Machine, since: float) -> Sequence[Event]:
        """Return what the simulated cluster noticed and did for a guest after `since`."""
        return [event for event in self._cluster.tenant(guest.address).chronicle if event.start >= since]

    def management(self, index: int = 0) -> str:
        """Return what stands for the URI of a host's daemon."""
        self._check_host(index)
        return f"{MANAGER}{index}"

    def console(self) -> AbstractContextManager[Machine]:
        """Yield the client, from which that is reached."""
        return self.client()

    @contextmanager
    def _machine(self, name: str, identity: str, last: int, share: float, processors: int,
                 memory: int) -> Iterator[Simulated]:
        speed = self.speed * share * (1 - self.drift) ** (self.clock.now() / 3600)
        address = f"{NETWORK}{last}"
        files = Local(name, environment={"HOME": "/", "OMP_NUM_THREADS": str(processors)})  # nproc heeds it
        with files.private(tempfile.gettempdir()) as place:
            yield Simulated(self._world, place, name, identity=identity, address=address, speed=speed,
                            processors=processors, memory=memory)
        self._world.listening.pop(address, None)

    def _check_host(self, index: int) -> None:
        if index >= self.hosts:
            raise Unsupported(f"fake: there is no host {index}; `hosts` is {self.hosts}")

    @functools.cached_property
    def _world(self) -> World:
        watching = Watching(self.clock.now, self._cluster, random.Random(f"{self.seed}/watching"))
        return World(self.clock, self.seed, self.spread, self.failures, cluster=self._cluster, watching=watching)

    @functools.cached_property
    def _cluster(self) -> Cluster:
        return Cluster(self.clock, random.Random(f"{self.seed}/cluster"), self.hosts)

    @functools.cached_property
    def _numbers(self) -> Iterator[int]:
        return itertools.count(1)
