"""What a driver offers: one small required protocol for targets, optional capabilities, and workloads.

A workload names the capabilities it needs; a target that lacks one makes the step UNSUPPORTED, never broken.
Guests live for one round: `Lab.guest` boots on first use and returns the same guest until the round ends.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

from harness.clock import Clock
from harness.errors import ToolError
from harness.model import Count, Event, GuestSize, History, Record, Series, Value
from harness.units import Bandwidth, Seconds, Share


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A finished command. `stdout` is decoded with surrogateescape, so that the bytes can be had back."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str = ""
    elapsed: float = 0.0

    def checked(self) -> Completed:
        """Return self, or raise ToolError with the last line it printed if the exit status is not 0."""
        if self.code:
            said = (self.stderr.strip() or self.stdout.strip()).splitlines()
            raise ToolError(f"{self.argv[0]}: exit status {self.code}: {said[-1] if said else 'no output'}")
        return self


class Running(Protocol):
    """A command in the background of a machine."""

    def stop(self) -> Completed:
        """End it if it still runs and return what it printed; safe to call twice."""


class Machine(Protocol):
    """Anything that runs commands: a guest, the host below it, or the client that looks from outside."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str:
        """The IP address that other machines of the target reach it by; "127.0.0.1" if there is no other."""

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Completed:
        """Run to completion. A non-zero exit is an answer; ToolError if the program is missing, cannot start or
        exceeds `timeout` (then it is killed); TargetError if the machine cannot be reached."""

    def start(self, argv: Sequence[str]) -> AbstractContextManager[Running]:
        """Start in the background; leaving the context stops it."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file on it; ToolError if there is none."""

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file on it."""


Life = Literal["plain", "movable", "carried", "protected"]


@dataclass(frozen=True, kw_only=True)
class GuestSpec:
    """Which guest: its role in the step (sut, peer, neighbour), its size, the index of the host it begins on, its life.

    A `plain` guest stays where it is. A `movable` one can be migrated; its disk is on storage that all hosts share. The
    disk of a `carried` one is on its host's own storage and goes along with it. A `protected` one is in the care of the
    platform's own high availability, which restarts it wherever it can when it or its host fails.
    """

    role: str
    size: GuestSize
    host: int = 0
    life: Life = "plain"


class Target(Protocol):
    """A platform under test, which lives in its own time: a simulated one in simulated time."""

    @property
    def clock(self) -> Clock: ...
    def facts(self) -> Mapping[str, str]:
        """vendor, product, version, accelerator (kvm, tcg, container, none, simulated), and what else is known.

        `simulated` = "true" marks numbers that were never measured; every table and chart then says SIMULATED.
        """

    def guest(self, spec: GuestSpec) -> AbstractContextManager[Machine]:
        """Create and boot a fresh guest, ready for commands; leaving the context removes all of it.
        Unsupported if there is no such host."""


@runtime_checkable
class Gathers(Protocol):
    """Boots several guests side by side, which takes less time than one after the other."""

    def guests(self, specs: Sequence[GuestSpec]) -> AbstractContextManager[Sequence[Machine]]:
        """Create and boot all of them, in that order; leaving the context removes all of each."""


@runtime_checkable
class Hosted(Protocol):
    """Commands on the machine that carries the guests: the baseline arm of an overhead, and what fingerprints it."""

    def host(self, index: int = 0) -> AbstractContextManager[Machine]: ...


@runtime_checkable
class Viewed(Protocol):
    """A client machine outside the hosts, from which probes and client-to-guest traffic come."""

    def client(self) -> AbstractContextManager[Machine]: ...


@runtime_checkable
class Cleans(Protocol):
    """Removes what earlier, killed runs left on the platform; returns one line for each thing removed."""

    def clean(self) -> Sequence[str]: ...


class Migration(Record, frozen=True, kw_only=True):
    """How a guest is moved; what is 0 or false is left to the platform's own default.

    `storage` copied: the hosts share no disk, so it is copied along. `bandwidth` and `downtime` are limits that the
    platform is asked to keep; `connections` above 1 sends over several at once.
    """

    storage: Literal["shared", "copied"] = "shared"
    transport: Literal["peer-to-peer", "direct"] = "peer-to-peer"
    bandwidth: Bandwidth = Bandwidth(0)
    downtime: Seconds = Seconds(0)
    auto_converge: bool = False
    connections: Count = 1
    compression: bool = False
    postcopy: bool = False
    timeout: Seconds = Seconds(300)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What the platform says of a migration: begin and end of the call on the target's clock, what went wrong ("" if
    nothing, by its own word), its counters of the completed job in base units, and its untouched answer.

    Counters that several platforms have: total, downtime, setup (s), transferred, memory, disk (B), iterations (1),
    dirty_rate (B/s).
    """

    start: float
    end: float
    error: str
    counters: Mapping[str, float]
    raw: bytes


@runtime_checkable
class Migrates(Protocol):
    """Moves a `movable`, `carried` or `protected` guest to another host while it runs.

    The guest's `Machine` goes on to work, wherever the guest is.
    """

    def migrate(self, guest: Machine, to: int, how: Migration) -> Moved:
        """Move to host `to`; a migration that fails is an answer. Unsupported for a way this platform cannot go."""

    def whereabouts(self, guest: Machine) -> Sequence[int]:
        """Return the indices of all hosts on which the guest runs now: one, none, or after a split brain two."""


FaultKind = Literal[
    "guest-kill", "guest-panic", "guest-hang", "host-power-off", "host-isolated", "link-down", "storage-error",
    "storage-slow", "storage-read-only", "manager-kill", "disk-full", "memory-pressure", "packet-loss", "packet-delay"]


class Fault(Record, frozen=True, kw_only=True):
    """Something to break: a guest, or the host of index `host`.

    `share` is that of packets lost, or of the guest's disk or memory taken; `delay` what packets or the disk are held
    up for.
    """

    kind: FaultKind
    host: int = 0
    share: Share = Share(0.1)
    delay: Seconds = Seconds(0.1)


@dataclass(kw_only=True)
class Injected:
    """A fault that took hold between `start` and `end`, on the target's clock, by the means `how`.

    `healed` is when healing was complete; None while it lasts, and for ever where there is nothing to heal.
    """

    start: float
    end: float
    how: str
    healed: float | None = None


@runtime_checkable
class Breaks(Protocol):
    """Breaks what this run created, and heals it: at the end of the context, on Ctrl-C, and after a kill -9 too."""

    def faults(self) -> Mapping[str, str]:
        """Return the kinds of faults that this platform can have, and by what means."""

    def fault(self, fault: Fault, guest: Machine | None) -> AbstractContextManager[Injected]:
        """Inject; leaving the context heals. Unsupported for a kind that `faults` does not name."""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """Packets dropped on purpose from `start` to `end` (target's clock), by protocol and length of the packet (B)."""

    start: float
    end: float
    packets: Mapping[tuple[str, int], int]


@runtime_checkable
class Disturbs(Protocol):
    """Disturbs a guest or the client's path to it in ways that are exactly known: truths to hold probes to.

    Each is Unsupported where guest or path are not the target's to disturb.
    """

    def cut(self, guest: Machine, windows: Sequence[tuple[float, float]]
            ) -> AbstractContextManager[Sequence[tuple[float, float]]]:
        """Plan cuts, each from begin to end on the target's clock, all still to come; yield when they exactly are.

        Leaving the context removes what is still to come.
        """

    def pausing(self, guest: Machine) -> AbstractContextManager[Callable[[float], tuple[float, float]]]:
        """Yield what stops the guest as a whole for so many s, and returns from when to when on the target's clock."""

    def lose(self, guest: Machine, share: float, length: float) -> Dropped:
        """Drop a share of what the client sends to a guest, at random, for `length` s; count what was dropped."""


@runtime_checkable
class Protects(Protocol):
    """Has a high availability of its own, which takes care of `protected` guests."""

    def chronicle(self, guest: Machine, since: float) -> Sequence[Event]:
        """Return what the platform's own log says that it noticed and did (detected, fenced, restarted, ...) for the
        guest after `since`, in the target's clock; empty where it keeps no log."""


@runtime_checkable
class Managed(Protocol):
    """Has a management interface of libvirt's kind, of which it can be asked whether it answers."""

    def management(self, index: int = 0) -> str:
        """Return the URI of the interface of host `index`."""

    def console(self) -> AbstractContextManager[Machine]:
        """Yield the machine from which that URI is reached, with libvirt's Python module or virsh on it."""


class Lab(Protocol):
    """What a workload may use. Every command and file that goes through it is kept as evidence."""

    @property
    def clock(self) -> Clock: ...
    @property
    def rng(self) -> random.Random: ...
    @property
    def began(self) -> float:
        """When the step began, on `clock`; all times of what a workload yields count from there."""

    def guest(self, role: str = "sut", *, host: int = 0, life: Life = "plain") -> Machine:
        """Return the round's guest of that role, life and first host, booting it on first use."""

    def host(self, index: int = 0) -> Machine:
        """Return the machine below the guests; Unsupported where the target offers none."""

    def client(self) -> Machine:
        """Return the client; Unsupported where the target offers none."""

    def recorded(self, machine: Machine) -> Machine:
        """Return a machine that is not the target's, such as the controller, so that what it does is kept too."""

    def migrate(self, guest: Machine, to: int, how: Migration) -> Moved:
        """Migrate a guest of this step, keeping the platform's answer; see `Migrates`."""

    def fault(self, fault: Fault, guest: Machine | None = None) -> AbstractContextManager[Injected]:
        """Inject a fault, which becomes an event of the step, and heal it at the end; see `Breaks`."""

    def whereabouts(self, guest: Machine) -> Sequence[int]:
        """Return the hosts on which a guest of this step runs now; empty where the target cannot tell."""

    def chronicle(self, guest: Machine, since: float) -> Sequence[Event]:
        """Return what the platform's own log tells of a guest; empty where it has none; see `Protects`."""

    def cut(self, guest: Machine, windows: Sequence[tuple[float, float]]
            ) -> AbstractContextManager[Sequence[tuple[float, float]]]:
        """Cut the client's path to a guest at planned times; those that are over become events; see `Disturbs`."""

    def pausing(self, guest: Machine) -> AbstractContextManager[Callable[[float], tuple[float, float]]]:
        """Yield what pauses a guest for so many s, which becomes an event; see `Disturbs`."""

    def lose(self, guest: Machine, share: float, length: float) -> Dropped:
        """Drop a share of what the client sends to a guest for so many s, which becomes an event; see `Disturbs`."""

    def keep(self, name: str, data: bytes, source: str) -> None:
        """Keep bytes as evidence: a file `name`, and where they come from."""


class Workload(Protocol):
    """One kind of load: a frozen `Record` whose fields are its parameters (see `harness.units` for quantities)."""

    needs: ClassVar[tuple[type, ...]]
    tools: ClassVar[tuple[str, ...]]

    def seconds(self) -> float:
        """Return how long one step takes, without boot, for the time estimate of a plan."""

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event | History]:
        """Execute once and yield what was seen."""


@runtime_checkable
class Accompanies(Protocol):
    """A workload that can also go on beside another one, for as long as that takes.

    `alongside` names the parameters that make sense then, and for each the values that do (none: all).
    """

    alongside: ClassVar[Mapping[str, Sequence[Value]]]

    def beside(self, target: Target, lab: Lab, guest: Machine
               ) -> AbstractContextManager[Callable[[], Iterator[Series | Event | History]]]:
        """Begin, on `guest` unless the parameters name something else, and return once it is under way; leaving the
        context ends it, and what was yielded then tells what was seen."""


__all__ = [
    "Accompanies", "Breaks", "Cleans", "Completed", "Disturbs", "Dropped", "Fault", "FaultKind", "Gathers", "GuestSpec",
    "Hosted", "Injected", "Lab", "Life", "Machine", "Managed", "Migrates", "Migration", "Moved", "Protects", "Record",
    "Running", "Target", "Viewed", "Workload",
]
