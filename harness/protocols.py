"""What a driver offers: one small required protocol for targets, optional capabilities, and workloads.

A workload names the capabilities it needs; a target that lacks one makes the step UNSUPPORTED, never broken.
Guests live for one round: `Lab.guest` boots on first use and returns the same guest until the round ends.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from harness.clock import Clock
from harness.errors import ToolError
from harness.model import Event, GuestSize, Record, Series


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


@dataclass(frozen=True, kw_only=True)
class GuestSpec:
    """Which guest: its role in the step (sut, peer, neighbour), its size, the index of the host it must run on."""

    role: str
    size: GuestSize
    host: int = 0


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


class Lab(Protocol):
    """What a workload may use. Every command and file that goes through it is kept as evidence."""

    @property
    def clock(self) -> Clock: ...
    @property
    def rng(self) -> random.Random: ...
    def guest(self, role: str = "sut", *, host: int = 0) -> Machine:
        """Return the round's guest of that role on that host, booting it on first use."""

    def host(self, index: int = 0) -> Machine:
        """Return the machine below the guests; Unsupported where the target offers none."""

    def client(self) -> Machine:
        """Return the client; Unsupported where the target offers none."""


class Workload(Protocol):
    """One kind of load: a frozen `Record` whose fields are its parameters (see `harness.units` for quantities)."""

    needs: ClassVar[tuple[type, ...]]
    tools: ClassVar[tuple[str, ...]]

    def seconds(self) -> float:
        """Return how long one step takes, without boot, for the time estimate of a plan."""

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event]:
        """Execute once and yield what was seen."""


__all__ = [
    "Cleans", "Completed", "GuestSpec", "Hosted", "Lab", "Machine", "Record", "Running", "Target", "Viewed", "Workload",
]
