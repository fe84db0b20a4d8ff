"""A target for tests of the harness, in simulated time: boots, fails and disappears as it is told.

Its numbers depend only on the arguments of the toy tool, so that a run does not depend on its own history.
"""

import functools
import os
import random
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from harness.clock import Clock, FakeClock
from harness.errors import TargetError, ToolError, Unsupported
from harness.model import Record
from harness.protocols import Completed, GuestSpec


class Toytarget(Record, frozen=True, kw_only=True, dict=True):
    """`log` keeps what happened; the other fields say what goes wrong."""

    rate: float = 100.0
    tools: tuple[str, ...] = ("toytool",)
    unbootable: bool = False
    unreachable: bool = False
    hosts: int = 1
    token_env: str = ""
    vendor: str = "Toys"
    signal_at: int = 0
    signal_name: str = "SIGINT"
    lost_at: int = 0

    @functools.cached_property
    def clock(self) -> Clock:
        """Return simulated time."""
        return FakeClock()

    @functools.cached_property
    def log(self) -> list[str]:
        """Return what happened so far, in words."""
        return []

    @functools.cached_property
    def alive(self) -> set[str]:
        """Return the machines that are there now."""
        return set()

    def facts(self) -> Mapping[str, str]:
        """Return who made it."""
        if self.unreachable:
            raise TargetError("no route to toyland")
        return {"vendor": self.vendor, "product": "toy", "version": "1", "accelerator": "none"}

    @contextmanager
    def guest(self, spec: GuestSpec) -> Iterator["Toymachine"]:
        """Boot in ten simulated seconds."""
        self.log.append("boot")
        self.clock.sleep(10)
        if self.unbootable:
            raise TargetError("the guest never booted")
        with self._machine(f"{spec.role}-{spec.host}") as machine:
            yield machine

    @contextmanager
    def host(self, index: int = 0) -> Iterator["Toymachine"]:
        """Yield the machine below, twice as fast."""
        if index >= self.hosts:
            raise Unsupported("there is no such host")
        with self._machine(f"host-{index}", 2.0) as machine:
            yield machine

    @contextmanager
    def _machine(self, name: str, factor: float = 1.0) -> Iterator["Toymachine"]:
        self.alive.add(name)
        try:
            yield Toymachine(self, name, factor)
        finally:
            self.alive.discard(name)
            self.log.append(f"removed {name}")

    def clean(self) -> Sequence[str]:
        """Tell of one thing that was left."""
        self.log.append("clean")
        return ["an old guest"]

    def close(self) -> None:
        """Disconnect."""
        self.log.append("closed")


class Toymachine:
    """Answers the few commands that the harness and the toy workload use."""

    address = "127.0.0.1"

    def __init__(self, target: Toytarget, name: str, factor: float) -> None:
        self.target, self.name, self.factor = target, name, factor

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Completed:
        """Run a command."""
        said, err = self._answer(argv), os.environ.get(self.target.token_env, "") if self.target.token_env else ""
        elapsed = 5.0 if argv[0] == "toytool" else 0.0
        return Completed(argv=tuple(argv), code=0, stdout=said, stderr=err, elapsed=elapsed)

    def _answer(self, argv: Sequence[str]) -> str:
        if argv[0] == "sh" and argv[1] == "-c":
            return "\n".join(tool for tool in argv[4:] if tool not in self.target.tools)
        if argv[0] == "sh":
            return "os.name=Toy OS\nkernel.release=1.0\n"
        if argv[0] == "cat":
            return "another machine\n"
        if argv[0] not in self.target.tools:
            raise ToolError(f"{argv[0]}: no such program on {self.name}")
        return self._measure(argv)

    def _measure(self, argv: Sequence[str]) -> str:
        self.target.clock.sleep(5.0)
        self.target.log.append(f"{argv[0]} {argv[1]} on {self.name}")
        calls = sum(line.startswith("toytool") for line in self.target.log)
        if calls == self.target.signal_at:
            os.kill(os.getpid(), signal.Signals[self.target.signal_name])
        if calls == self.target.lost_at:
            raise TargetError(f"{self.name} is gone")
        noise = random.Random(f"{argv[1:]}").gauss(1.0, 0.02)
        return f"{self.target.rate * self.factor * noise:.6f}"
